"""Statistics of a run in bounded memory: latencies, reasons, availability, and samples over time.

Invariant: memory does not grow with the number of requests, records or hours. Times are passed in.
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
"""How many reasons of one stream are counted separately."""
OTHER_REASONS = "other reasons"


class Latencies:
    """The latencies of requests, counted in buckets 9 % wide; the slowest is kept exactly."""

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
        """Add the counts of `others`."""
        self.count += others.count
        self.slowest_seconds = max(self.slowest_seconds, others.slowest_seconds)
        self._buckets += others._buckets

    def quantile(self, share: float) -> float:
        """Return the latency that `share` of the requests did not exceed, up to 9 % too high."""
        wanted = math.ceil(share * self.count)
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                edge = math.pow(2.0, (bucket + 1) / _BUCKETS_PER_OCTAVE)
                return min(_SMALLEST_SECONDS * edge, self.slowest_seconds)
        return 0.0


class Reasons:
    """The count of each reason; beyond `MAX_REASONS`, new reasons are counted together."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, reason: str, count: int = 1) -> None:
        """Count a reason."""
        known = reason in self.counts or len(self.counts) < MAX_REASONS
        self.counts[reason if known else OTHER_REASONS] += count

    def include(self, others: Reasons) -> None:
        """Add the counts of `others`."""
        for reason, count in others.counts.items():
            self.add(reason, count)


class Delivered(Struct):
    """The acknowledged batches of a stream, and their lowest and highest sequence."""

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
        # Sequences that rows bring with them can be in any order.
        ends = part.first_sequence, part.last_sequence
        self._widen(min(ends), max(ends))

    def include(self, others: Delivered) -> None:
        """Add the counts of `others`."""
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
    """The totals of a run at one moment, and what is in flight.

    `seconds` is the time since it began, `acknowledged` counts messages, `activations` those of
    them that are activations. `bytes` is the size of acknowledged bodies, `held_bytes` that of
    what is buffered or in flight. `seconds_without_room` is how long reading was paused because
    the buffer was full.
    """

    seconds: float
    acknowledged: int = 0
    bytes: int = 0
    retries: int = 0
    in_flight: int = 0
    held_bytes: int = 0
    activations: int = 0
    records_set_aside: int = 0
    seconds_without_room: float = 0.0
    unavailable_seconds: float = 0.0

    @property
    def records(self) -> int:
        """How many records were acknowledged."""
        return self.acknowledged - self.activations


class History:
    """The samples of a run; their interval doubles whenever there are more than `max_samples`.

    Merged samples keep the later totals, and the peak of what was in flight.
    """

    def __init__(self, interval_seconds: float = 0.1, max_samples: int = MAX_SAMPLES) -> None:
        self.samples: list[Sample] = []
        self._interval_seconds = interval_seconds
        self._max_samples = max_samples

    @property
    def due_seconds(self) -> float:
        """When the next sample is due, in seconds since the run began."""
        return (self.samples[-1].seconds if self.samples else 0.0) + self._interval_seconds

    def add(self, sample: Sample) -> None:
        """Add a sample that is later than the last one."""
        self.samples.append(sample)
        if len(self.samples) > self._max_samples:
            self._interval_seconds *= 2
            # The first sample is not merged, so that the beginning of the run stays visible.
            first, *rest = self.samples
            self.samples = [first, *map(_merged, rest[::2], rest[1::2])]
            self.samples += rest[-1:] if len(rest) % 2 else []


def _merged(one: Sample, later: Sample) -> Sample:
    return replace(
        later,
        in_flight=max(one.in_flight, later.in_flight),
        held_bytes=max(one.held_bytes, later.held_bytes),
    )


class Outage(Struct, frozen=True):
    """The service is unavailable: the last status, None without a response, and the next try.

    `failure` and `reason` say why there was no response. `unreached_since` is when the first
    request failed, if no request has ever got a response.
    """

    status: int | None
    next_try: float | None
    failure: Failure | None = None
    reason: str = ""
    unreached_since: float | None = None

    @property
    def advice(self) -> str:
        """What to check, in sentences; empty if there is no advice."""
        return self.failure.advice if self.failure else ""


class Availability(Struct):
    """Whether the service accepts requests, and for how long it did not; `now` is monotonic.

    An outage begins with a request that has to be retried, and ends with one that need not be.
    `failed` and `answered` are called under one lock, the other methods from any thread.
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
        """Note that a request has to be retried; `status` is None if there was no response."""
        self._since = now if self._since is None else self._since
        self._was_reached |= status is not None
        self._status, self._failure, self._reason = status, failure, reason

    def answered(self, now: float) -> None:
        """Note that a request got a response after which it is not retried."""
        self._was_reached = True
        if self._since is not None:
            self._past_seconds += now - self._since
            self._since = None

    def note_wait(self, thread: int, until: float) -> None:
        """Note when the next try of a sender's thread is due."""
        self._tries[thread] = until

    def note_wait_over(self, thread: int) -> None:
        """Note that a sender's thread does not wait any more."""
        self._tries.pop(thread, None)

    def outage(self) -> Outage | None:
        """Return the current outage, or None if the service is available."""
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
        """Return the total time that the service was unavailable until `now`."""
        since = self._since
        return self._past_seconds + (now - since if since is not None else 0.0)


class Traffic(Struct):
    """Counts of requests and bytes sent, including failed requests."""

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
    """What only the loop knows about the current state of a run."""

    held_bytes: int = 0
    lines_read: int = 0
    seconds_without_room: float = 0.0
    last_state: bytes | None = None
    traffic: Traffic = field(default_factory=Traffic)
