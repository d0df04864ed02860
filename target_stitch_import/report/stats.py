"""A run in numbers, in bounded room however long it takes: latencies, and how it went over time.

Invariant: nothing here grows with the number of requests, records or hours. No clock: times are given.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

if TYPE_CHECKING:
    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.delivery.answer import Failure

_SMALLEST_SECONDS = 0.0001
_BUCKETS_PER_OCTAVE = 8
MAX_SAMPLES = 400
MAX_REASONS = 100
"""Of one stream, that are counted by themselves."""
OTHER_REASONS = "other reasons"


class Latencies:
    """How long requests took, counted in buckets 9 % wide; the slowest is kept exactly."""

    def __init__(self) -> None:
        self.count = 0
        self.slowest_seconds = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one request."""
        self.count += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        octaves = math.log2(max(seconds, _SMALLEST_SECONDS) / _SMALLEST_SECONDS)
        self._buckets[int(octaves * _BUCKETS_PER_OCTAVE)] += 1

    def include(self, others: Latencies) -> None:
        """Count the requests of `others`, too."""
        self.count += others.count
        self.slowest_seconds = max(self.slowest_seconds, others.slowest_seconds)
        self._buckets += others._buckets

    def quantile(self, share: float) -> float:
        """Return the seconds that `share` of the requests took at most, rounded up by up to 9 %."""
        wanted = math.ceil(share * self.count)
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                edge = math.pow(2.0, (bucket + 1) / _BUCKETS_PER_OCTAVE)
                return min(_SMALLEST_SECONDS * edge, self.slowest_seconds)
        return 0.0


class Reasons:
    """How often each reason was given; once there are many, new ones are counted together."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, reason: str, count: int = 1) -> None:
        """Count a reason."""
        known = reason in self.counts or len(self.counts) < MAX_REASONS
        self.counts[reason if known else OTHER_REASONS] += count

    def include(self, others: Reasons) -> None:
        """Count the reasons of `others`, too."""
        for reason, count in others.counts.items():
            self.add(reason, count)


class Delivered(Struct):
    """What was acknowledged of a stream, and within which sequences."""

    batches: int = 0
    bytes: int = 0
    activations: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None

    def add(self, part: Batch) -> None:
        """Count a batch, or a part of one."""
        self.batches += 1
        self.bytes += part.size
        self.activations += part.count if part.barrier else 0
        # Records that bring their sequences may do so in any order.
        ends = part.first_sequence, part.last_sequence
        self._widen(min(ends), max(ends))

    def include(self, others: Delivered) -> None:
        """Count what `others` has, too."""
        self.batches += others.batches
        self.bytes += others.bytes
        self.activations += others.activations
        if others.first_sequence is not None and others.last_sequence is not None:
            self._widen(others.first_sequence, others.last_sequence)

    def _widen(self, first: int, last: int) -> None:
        if self.first_sequence is None or first < self.first_sequence:
            self.first_sequence = first
        if self.last_sequence is None or last > self.last_sequence:
            self.last_sequence = last


class Sample(Struct, frozen=True):
    """How a run stands at one moment: what came so far, and what is on its way.

    `seconds` is the time since it began, `acknowledged` counts messages, `activations` those of
    them that are not records, `bytes` those of acknowledged bodies, `held_bytes` those buffered or
    in flight. Reading has waited for room, and the service was unavailable, for so many seconds.
    """

    seconds: float
    acknowledged: int = 0
    bytes: int = 0
    retries: int = 0
    in_flight: int = 0
    held_bytes: int = 0
    activations: int = 0
    set_aside: int = 0
    seconds_without_room: float = 0.0
    unavailable_seconds: float = 0.0

    @property
    def records(self) -> int:
        """How many records were acknowledged."""
        return self.acknowledged - self.activations


class History:
    """A run over time: samples ever farther apart, so that there are never more than `most`.

    Merged samples keep the later totals and the peak of what was in flight.
    """

    def __init__(self, interval_seconds: float = 0.1, most: int = MAX_SAMPLES) -> None:
        self.samples: list[Sample] = []
        self._interval_seconds = interval_seconds
        self._most = most

    @property
    def due_seconds(self) -> float:
        """When the next sample is wanted, in seconds since the run began."""
        return (self.samples[-1].seconds if self.samples else 0.0) + self._interval_seconds

    def add(self, sample: Sample) -> None:
        """Take a sample later than the last."""
        self.samples.append(sample)
        if len(self.samples) > self._most:
            self._interval_seconds *= 2
            # The first stays alone: a run begins at its beginning.
            first, *rest = self.samples
            self.samples = [first, *map(_together, rest[::2], rest[1::2])]
            self.samples += rest[-1:] if len(rest) % 2 else []


def _together(one: Sample, later: Sample) -> Sample:
    return replace(
        later,
        in_flight=max(one.in_flight, later.in_flight),
        held_bytes=max(one.held_bytes, later.held_bytes),
    )


class Outage(Struct, frozen=True):
    """The service takes nothing: what it last answered, None for no answer, and the next try.

    `failure` and its `reason` say why there is no answer. `unreached_since` is when the first
    request failed, where none has ever been answered.
    """

    status: int | None
    next_try: float | None
    failure: Failure | None = None
    reason: str = ""
    unreached_since: float | None = None

    @property
    def advice(self) -> str:
        """What to check, in sentences; empty where nothing can be said."""
        return self.failure.advice if self.failure else ""


class Availability(Struct):
    """Whether the service takes requests, and how long it did not; `now` never steps back.

    An outage begins with a request that is to be tried again, and ends with one that is not.
    `failed` and `answered` are called under one lock, the others from any thread.
    """

    _since: float | None = None
    _status: int | None = None
    _failure: Failure | None = None
    _reason: str = ""
    _was_reached: bool = False
    _past_seconds: float = 0.0
    _tries: dict[int, float] = field(default_factory=dict)

    def failed(
        self, now: float, status: int | None, failure: Failure | None = None, reason: str = ""
    ) -> None:
        """Note that a request is to be tried again, as it was answered `status`, or not at all."""
        self._since = now if self._since is None else self._since
        self._was_reached |= status is not None
        self._status, self._failure, self._reason = status, failure, reason

    def answered(self, now: float) -> None:
        """Note that a request got an answer that settles something."""
        self._was_reached = True
        if self._since is not None:
            self._past_seconds += now - self._since
            self._since = None

    def waits(self, sender: int, until: float) -> None:
        """Note when a sender tries again."""
        self._tries[sender] = until

    def tries(self, sender: int) -> None:
        """Note that a sender does not wait any more."""
        self._tries.pop(sender, None)

    def outage(self) -> Outage | None:
        """Return what is wrong now, if anything is."""
        since = self._since
        if since is None:
            return None
        return Outage(
            self._status,
            min(self._tries.copy().values(), default=None),
            self._failure,
            self._reason,
            None if self._was_reached else since,
        )

    def unavailable_seconds(self, now: float) -> float:
        """Return how long the service was unavailable until `now`, in all."""
        since = self._since
        return self._past_seconds + (now - since if since is not None else 0.0)


class Traffic(Struct):
    """What goes over the wire; requests that failed count too."""

    in_flight: int = 0
    bytes_sent: int = 0
    throttle_changes: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    retries_by_stream: Counter[str] = field(default_factory=Counter)
    possible_duplicates_by_stream: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    possible_duplicates: int = 0
    availability: Availability = field(default_factory=Availability)


class LoopSnapshot(Struct, frozen=True):
    """What the loop alone knows of how a run stands."""

    held_bytes: int = 0
    lines_read: int = 0
    seconds_without_room: float = 0.0
    last_state: bytes | None = None
    traffic: Traffic = field(default_factory=Traffic)
