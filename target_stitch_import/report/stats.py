"""A run in numbers, in bounded room however long it takes: latencies, and how it went over time.

Law: nothing here grows with the number of requests, records or hours. No clock: times are given.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

_SMALLEST_SECONDS = 0.0001
_BUCKETS_PER_OCTAVE = 8
MAX_SAMPLES = 400


class Latencies:
    """How long requests took, counted in buckets a twelfth wide; the slowest is kept as it is."""

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


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a run stands at one moment: what came so far, and what is on its way.

    `seconds` is the time since it began, `bytes` those of acknowledged bodies, `held_bytes` those
    buffered or in flight.
    """

    seconds: float
    acknowledged: int = 0
    bytes: int = 0
    retries: int = 0
    in_flight: int = 0
    held_bytes: int = 0


class History:
    """A run over time: samples ever farther apart, so that there are never more than `most`.

    Of samples that are put together the later counts; of what is on its way, the peak.
    """

    def __init__(self, interval_seconds: float = 0.1, most: int = MAX_SAMPLES) -> None:
        self.samples: list[Vitals] = []
        self._interval_seconds = interval_seconds
        self._most = most

    @property
    def due_seconds(self) -> float:
        """When the next sample is wanted, in seconds since the run began."""
        return (self.samples[-1].seconds if self.samples else 0.0) + self._interval_seconds

    def add(self, sample: Vitals) -> None:
        """Take a sample later than the last."""
        self.samples.append(sample)
        if len(self.samples) > self._most:
            self._interval_seconds *= 2
            # The first stays alone: a run begins at its beginning.
            first, *rest = self.samples
            self.samples = [first, *map(_together, rest[::2], rest[1::2])]
            self.samples += rest[-1:] if len(rest) % 2 else []


def _together(one: Vitals, later: Vitals) -> Vitals:
    return Vitals(
        later.seconds,
        later.acknowledged,
        later.bytes,
        later.retries,
        max(one.in_flight, later.in_flight),
        max(one.held_bytes, later.held_bytes),
    )


@dataclass(slots=True)
class Traffic:
    """What goes over the wire; requests that failed count too."""

    in_flight: int = 0
    bytes_sent: int = 0
    throttle_changes: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    retries_by_stream: Counter[str] = field(default_factory=Counter)
    possible_duplicates_by_stream: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    possible_duplicates: int = 0
