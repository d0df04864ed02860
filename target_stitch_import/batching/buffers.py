"""The open batches of all streams, and when they close: size, rows, age, version, or schemas.

Invariants: a batch never exceeds its limits, except that a message larger than the limits is sent
alone. A stream has several open batches only for a few schemas of one version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from target_stitch_import.batching.payload import Batch, BodyPrefix, Fragment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


MAX_SCHEMAS_PER_STREAM = 8
"""How many schemas of one stream are remembered, and have open batches at the same time."""
MAX_SCHEMA_BYTES_PER_STREAM = 1_000_000
"""The total size of those schemas, except for the newest one, which may have any size."""


class Limits(Struct):
    """The limits of one batch; `max_bytes` shrinks when the service refuses a body as too large."""

    max_bytes: int
    max_rows: int
    max_age_seconds: float


class OpenBatch:
    """Messages of one stream, schema and version that wait for more.

    Args:
        opened_at: When its first message arrived, in seconds on the caller's clock.
    """

    __slots__ = (
        "count",
        "fragments",
        "held_bytes",
        "opened_at",
        "prefix",
        "size",
        "stream",
        "version",
    )

    def __init__(
        self, stream: str, prefix: BodyPrefix, version: int | None, opened_at: float
    ) -> None:
        self.stream = stream
        self.prefix = prefix
        self.version = version
        self.opened_at = opened_at
        self.count = 0
        self.size = prefix.body_bytes
        self.held_bytes = 0
        self.fragments: list[Fragment] = []

    def fits(self, fragment: Fragment, limits: Limits) -> bool:
        """Return whether the whole `fragment` fits, with the comma before it."""
        size = self.size + fragment.joined_bytes + bool(self.fragments)
        return size <= limits.max_bytes and self.count + fragment.count <= limits.max_rows

    def add(self, fragment: Fragment) -> None:
        """Add the whole `fragment`, without checking the limits."""
        self.size += fragment.joined_bytes + bool(self.fragments)
        self.count += fragment.count
        self.held_bytes += fragment.held_bytes
        self.fragments.append(fragment)

    def fill(self, fragment: Fragment, limits: Limits) -> Fragment | None:
        """Add as much of `fragment` as fits, at least one message if empty; return the rest."""
        if self.fits(fragment, limits):
            self.add(fragment)
            return None
        room = limits.max_bytes - self.size - bool(self.fragments)
        fitting = fragment.fitting(room, limits.max_rows - self.count)
        if fitting == 0 and not self.fragments:
            fitting = 1
        if fitting == 0:
            return fragment
        if fitting == fragment.count:  # a single message that exceeds the limit
            self.add(fragment)
            return None
        head, tail = fragment.split(fitting)
        self.add(head)
        return tail

    def close(self) -> Batch:
        """Return its messages as a batch that no longer changes."""
        return Batch.of(self.stream, self.prefix, self.fragments, self.version)


class Buffers:
    """The open batches of all streams, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held_bytes = 0
        self._open: dict[tuple[str, BodyPrefix], OpenBatch] = {}
        self._by_stream: dict[str, dict[BodyPrefix, OpenBatch]] = {}

    def add(
        self, stream: str, prefix: BodyPrefix, version: int | None, fragment: Fragment, now: float
    ) -> Sequence[Batch]:
        """Buffer `fragment`; return the batches that this completes."""
        completed: list[Batch] = []
        rest: Fragment | None = fragment
        while rest:
            batch = self._open.get((stream, prefix))
            if batch is None:
                completed += self._close_conflicting(stream, prefix, version)
                batch = OpenBatch(stream, prefix, version, now)
                self._open[stream, prefix] = batch
                self._by_stream.setdefault(stream, {})[prefix] = batch
            before = batch.held_bytes
            rest = batch.fill(rest, self.limits)
            self.held_bytes += batch.held_bytes - before
            is_full = batch.size >= self.limits.max_bytes or batch.count >= self.limits.max_rows
            if rest or is_full:
                completed.append(self._close(batch))
        return completed

    def _close_conflicting(
        self, stream: str, prefix: BodyPrefix, version: int | None
    ) -> Iterator[Batch]:
        """Close and yield the batches that must not stay open beside a new batch of the stream."""
        beside = self._by_stream.get(stream, {})
        while beside:
            oldest = next(iter(beside.values()))
            schema_bytes = sum(len(each.encoded) for each in beside)
            if (
                oldest.version == version
                and len(beside) < MAX_SCHEMAS_PER_STREAM
                and schema_bytes + len(prefix.encoded) <= MAX_SCHEMA_BYTES_PER_STREAM
            ):
                return
            yield self._close(oldest)

    def close(self, stream: str) -> list[Batch]:
        """Close the open batches of `stream`."""
        return [self._close(each) for each in [*self._by_stream.get(stream, {}).values()]]

    def _close(self, batch: OpenBatch) -> Batch:
        del self._open[batch.stream, batch.prefix]
        beside = self._by_stream[batch.stream]
        del beside[batch.prefix]
        if not beside:
            del self._by_stream[batch.stream]
        self.held_bytes -= batch.held_bytes
        return batch.close()

    def expired(self, now: float) -> Iterator[Batch]:
        """Close and yield the batches that have waited long enough."""
        while self._open and self.next_deadline() <= now:
            yield self._close(next(iter(self._open.values())))

    def next_deadline(self) -> float:
        """Return when the oldest batch has waited long enough; infinity if none is open."""
        for batch in self._open.values():
            return batch.opened_at + self.limits.max_age_seconds
        return float("inf")

    def sizes(self) -> dict[str, int]:
        """Return the memory of each stream's open batches, in bytes."""
        return {
            stream: sum(each.held_bytes for each in beside.values())
            for stream, beside in self._by_stream.items()
        }
