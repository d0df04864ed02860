"""Checks gathered records, buffers or refuses them, and closes batches.

Invariant: records of a stream are buffered or refused in the order in which they were read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct, field

from target_stitch_import.batching.examining import (
    BadRecord,
    RepairCount,
    examined,
    examined_alone,
    findings_of,
)
from target_stitch_import.batching.gathering import Gathered
from target_stitch_import.batching.payload import Fragment, UpsertEncoder
from target_stitch_import.errors import InterruptedRunError, assert_never
from target_stitch_import.schema.advice import Advice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from target_stitch_import.batching.buffers import Buffers
    from target_stitch_import.batching.examining import Finding
    from target_stitch_import.batching.gathering import Gathering
    from target_stitch_import.batching.lanes import Lanes
    from target_stitch_import.batching.payload import Span
    from target_stitch_import.batching.refusals import Refusals
    from target_stitch_import.batching.stream import Stream
    from target_stitch_import.batching.streams import Streams
    from target_stitch_import.singer.messages import MalformedRecord, Rows


class Packer(Struct):
    """Moves records from `gathering` to `buffers`, and closed batches to `lanes`.

    Bad records go to `refusals`. `check_interrupt` is called between records that are checked one
    by one, and may raise InterruptedRunError; the records not checked yet then never settle.
    """

    streams: Streams
    gathering: Gathering
    buffers: Buffers
    lanes: Lanes
    refusals: Refusals
    check_interrupt: Callable[[], None]
    repaired: deque[RepairCount] = field(default_factory=deque)
    """Repairs that the caller has not reported yet."""
    _encoder: UpsertEncoder = field(default_factory=UpsertEncoder)

    @property
    def held_bytes(self) -> int:
        """The size in bytes of gathered records, and of batches that are not released yet."""
        return self.gathering.size + self.buffers.held_bytes + self.lanes.held_bytes

    # From gathered to buffered.

    def admit_all(self) -> None:
        """Check and buffer the gathered records of all streams."""
        for stream in self.gathering.streams():
            self.admit(stream)

    def admit(self, name: str) -> None:
        """Check the gathered records of one stream, and buffer the valid ones."""
        if name not in self.gathering:
            return
        stream = self.streams[name]
        since = self.gathering.since
        gathered = self.gathering.take(name)
        self.lanes[name].counts.read += len(gathered.spans)
        messages = gathered.encoded(self._encoder)
        longest = max(map(len, gathered.records))
        passed = stream.check.accepted(messages, longest)
        if passed is None:
            self._examine(stream, gathered, since)
            return
        self._take_up(stream, gathered.version, findings_of(stream, passed), since)
        self._buffer(stream, gathered.version, gathered.fragment(passed.messages), since)

    def admit_rows(self, stream: Stream, rows: Rows, span: Span, now: float) -> None:
        """Check rows, and buffer the valid ones."""
        self.lanes[stream.name].counts.read += rows.count
        messages, longest = rows.messages(span.sequence)
        if rows.sequences is None:
            spans = [span] * rows.count
            ends = span.sequence, span.sequence + rows.count - 1
        else:
            spans = list(span.numbered(rows.sequences))
            ends = rows.sequences[0], rows.sequences[-1]
        passed = stream.check.accepted(messages, longest, rows.types)
        if passed is None:
            self._examine(stream, Gathered.of(rows.version, messages, spans), now)
            return
        self._take_up(stream, rows.version, findings_of(stream, passed), now)
        fragment = Fragment(passed.messages, spans, *ends)
        self._buffer(stream, rows.version, fragment, now)

    def _examine(self, stream: Stream, gathered: Gathered, since: float) -> None:
        """Check records one by one; an interruption is raised later, by `Refusals.raise_first`."""
        try:
            findings = examined(stream, gathered, self.check_interrupt)
            self._take_up(stream, gathered.version, findings, since)
        except InterruptedRunError as error:
            self.refusals.interrupted(error)

    def admit_malformed(
        self, stream: Stream, event: MalformedRecord, span: Span, now: float
    ) -> None:
        """Buffer a malformed record that was repaired, or refuse it."""
        self.lanes[stream.name].counts.read += 1
        self._take_up(stream, event.version, examined_alone(stream, event, span), now)

    def _take_up(
        self, stream: Stream, version: int | None, findings: Iterable[Finding], since: float
    ) -> None:
        """Buffer the good records, refuse the bad ones, and queue advice and repair counts."""
        for finding in findings:
            match finding:
                case Gathered():
                    fragment = finding.fragment(finding.encoded(self._encoder))
                    self._buffer(stream, finding.version, fragment, since)
                case BadRecord():
                    self.lanes[stream.name].note_lacking(version, finding.span.sequence)
                    self.refusals.refuse_record(stream, version, finding)
                case Advice():
                    self.streams.notice(stream.name, finding)
                case RepairCount():
                    self.repaired.append(finding)
                case _:
                    assert_never(finding)

    def _buffer(
        self, stream: Stream, version: int | None, fragment: Fragment, since: float
    ) -> None:
        """Buffer valid records."""
        prefix = stream.prefix(version)
        for batch in self.buffers.add(stream.name, prefix, version, fragment, since):
            self.lanes.enqueue(batch)

    # From buffered to closed.

    def close(self, stream: str) -> None:
        """Check the gathered records of a stream, and close its open batches."""
        self.admit(stream)
        for batch in self.buffers.close(stream):
            self.lanes.enqueue(batch)

    def close_largest(self, enough: int, enough_bytes: int) -> None:
        """Close the largest batches, until `enough` can be sent, with `enough_bytes` in total.

        The other batches keep growing.
        """
        for stream in self._largest():
            if self.lanes.ready_or_in_flight >= enough and self.lanes.held_bytes >= enough_bytes:
                break
            self.close(stream)

    def _largest(self) -> list[str]:
        """Return the streams with gathered records or open batches, the largest first."""
        sizes = self.buffers.sizes()
        for stream, gathered in self.gathering.items():
            sizes[stream] = sizes.get(stream, 0) + gathered.size
        return sorted(sizes, key=sizes.__getitem__, reverse=True)

    def expire(self, now: float) -> None:
        """Close the batches that have waited long enough."""
        for batch in self.buffers.expired(now):
            self.lanes.enqueue(batch)
