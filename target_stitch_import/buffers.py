"""One stream's open batch: it closes on bytes, rows, age, a changed schema or version.

Law: a batch never exceeds its limits, but for a message that is larger than them by itself, which
goes alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_stitch_import.payload import MAX_MESSAGES, Batch, BodyPrefix, Fragment

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAGMENT_BYTES = 250
"""About what a fragment costs in memory beside its text."""


@dataclass(slots=True)
class Limits:
    """What one batch may hold. `max_bytes` sinks when the service refuses a body as too large."""

    max_bytes: int = 4_000_000
    max_rows: int = MAX_MESSAGES
    max_age_seconds: float = 60.0


class OpenBatch:
    """Messages of one stream, schema and version that wait for more.

    Args:
        opened_at: Seconds on the clock of the caller, when its first message came.
    """

    def __init__(
        self, stream: str, prefix: BodyPrefix, version: int | None, opened_at: float
    ) -> None:
        self.stream = stream
        self.prefix = prefix
        self.version = version
        self.opened_at = opened_at
        self.count = 0
        self.size = prefix.body_bytes
        self._fragments: list[Fragment] = []

    @property
    def held_bytes(self) -> int:
        """About how much memory its messages take."""
        return self.size + FRAGMENT_BYTES * len(self._fragments)

    def add(self, fragment: Fragment, limits: Limits) -> Fragment | None:
        """Take what fits of `fragment`; return what does not, once nothing more fits."""
        room = limits.max_bytes - self.size - bool(self._fragments)
        if len(fragment.encoded) <= room and self.count + fragment.count <= limits.max_rows:
            self._join(fragment)
            return None
        fitting = fragment.fitting(room, limits.max_rows - self.count)
        if fitting == 0 and not self._fragments:
            fitting = 1
        if fitting == fragment.count:
            self._join(fragment)
            return None
        if fitting == 0:
            return fragment
        head, tail = fragment.split(fitting)
        self._join(head)
        return tail

    def _join(self, fragment: Fragment) -> None:
        self.size += len(fragment.encoded) + bool(self._fragments)
        self.count += fragment.count
        self._fragments.append(fragment)

    def is_full(self, limits: Limits) -> bool:
        """Tell whether no further message can join."""
        return self.size >= limits.max_bytes or self.count >= limits.max_rows

    def close(self) -> Batch:
        """Return its messages as a batch that no longer changes."""
        return Batch(self.stream, self.prefix, tuple(self._fragments), self.version)


class Buffers:
    """The open batches of all streams, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: dict[str, OpenBatch] = {}
        self.held_bytes = 0

    def add(
        self, stream: str, prefix: BodyPrefix, version: int | None, fragment: Fragment, now: float
    ) -> Iterator[Batch]:
        """Buffer `fragment`; yield the batches that this completes."""
        batch = self._open.get(stream)
        if batch and (batch.prefix is not prefix or batch.version != version):
            yield self.close(stream)
        rest: Fragment | None = fragment
        while rest:
            batch = self._open.get(stream)
            if batch is None:
                batch = self._open[stream] = OpenBatch(stream, prefix, version, now)
                self.held_bytes += batch.held_bytes
            before = batch.held_bytes
            rest = batch.add(rest, self.limits)
            self.held_bytes += batch.held_bytes - before
            if rest or batch.is_full(self.limits):
                yield self.close(stream)

    def close(self, stream: str) -> Batch:
        """Close the open batch of `stream`, which must have one."""
        batch = self._open.pop(stream)
        self.held_bytes -= batch.held_bytes
        return batch.close()

    def __contains__(self, stream: str) -> bool:
        return stream in self._open

    def expired(self, now: float) -> Iterator[Batch]:
        """Close and yield the batches that have waited long enough."""
        while self._open and self.next_deadline() <= now:
            yield self.close(next(iter(self._open)))

    def next_deadline(self) -> float:
        """Return when the oldest batch has waited long enough; infinity without one."""
        for batch in self._open.values():
            return batch.opened_at + self.limits.max_age_seconds
        return float("inf")

    def largest_first(self) -> Iterator[Batch]:
        """Close and yield the batches, the largest first."""
        by_size = sorted(self._open, key=lambda stream: -self._open[stream].size)
        for stream in by_size:
            yield self.close(stream)
