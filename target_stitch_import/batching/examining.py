"""Checks gathered records one by one, when the check of the whole group has failed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from target_stitch_import.batching.gathering import Gathered
from target_stitch_import.batching.payload import Upsert
from target_stitch_import.batching.times import api_time
from target_stitch_import.errors import quoted
from target_stitch_import.schema.advice import Advice
from target_stitch_import.schema.exact import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from msgspec import Raw

    from target_stitch_import.batching.payload import Span
    from target_stitch_import.batching.stream import Stream
    from target_stitch_import.schema.checks import AllPassed, Passed
    from target_stitch_import.singer.messages import MalformedRecord


class BadRecord(Struct, frozen=True):
    """A record that must not be sent."""

    span: Span
    record: bytes | Raw
    refused: Refused
    mapped: bool = True
    time_extracted: str | UnsetType = UNSET


class RepairCount(Struct, frozen=True):
    """How many values of a field were repaired by one kind of repair."""

    stream: str
    field: str
    repair: str
    count: int


Finding: TypeAlias = Gathered | BadRecord | Advice | RepairCount


def examined(
    stream: Stream, gathered: Gathered, check_interrupt: Callable[[], None]
) -> Iterator[Finding]:
    """Yield the records in their order: each bad one, and the good ones between them together.

    Advice and repair counts are yielded before the last good ones.

    Raises:
        InterruptedRunError: Raised by `check_interrupt`, which is called before each record.
    """
    good = Gathered(gathered.version)
    remarks = _Remarks(stream.name)
    for upsert, span in zip(gathered.upserts, gathered.spans, strict=True):
        check_interrupt()
        verdict = stream.check.examine(upsert.data)
        if isinstance(verdict, Refused):
            if good.spans:
                yield good
                good = Gathered(gathered.version)
            where, time = span.at(upsert.sequence), upsert.time_extracted
            yield BadRecord(where, upsert.data, verdict, time_extracted=time)
            continue
        upsert.data = verdict.record
        good.add(upsert, span)
        remarks.add(verdict)
    yield from remarks
    if good.spans:
        yield good


def findings_of(stream: Stream, passed: AllPassed) -> Iterator[Finding]:
    """Return the advice and repair counts of records that all passed together."""
    return _remarks(stream.name, passed.notes.items(), passed.repaired)


def examined_alone(stream: Stream, event: MalformedRecord, span: Span) -> Iterator[Finding]:
    """Yield the findings for a malformed record, which may have been repaired."""
    repaired, time = event.repaired_record, api_time(event.time_extracted)
    if repaired is None:
        refused = Refused(event.field, event.reason)
        yield BadRecord(span, event.text, refused, event.mapped, time)
        return
    verdict = stream.check.examine(repaired.record, event.repaired)
    if isinstance(verdict, Refused):
        yield BadRecord(span, event.text, verdict, event.mapped, time)
        return
    remarks = _Remarks(stream.name)
    remarks.add(verdict)
    yield from remarks
    good = Gathered(event.version)
    good.add(Upsert(span.sequence, verdict.record, time), span)
    yield good


class _Remarks:
    """Collects notes and repairs of records that passed."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._notes: set[tuple[str, str]] = set()
        self._repaired: Counter[tuple[str, str]] = Counter()

    def add(self, passed: Passed) -> None:
        """Add the notes and repairs of one record."""
        self._notes |= passed.notes.items()
        self._repaired.update(passed.repaired)

    def __iter__(self) -> Iterator[Finding]:
        """Return an iterator over the collected findings."""
        return _remarks(self._stream, self._notes, self._repaired)


def _remarks(
    stream: str, notes: Iterable[tuple[str, str]], repaired: Mapping[tuple[str, str], int]
) -> Iterator[Finding]:
    for name, note in sorted(notes):
        yield Advice(f"field {quoted(name)}: {note}")
    for (name, repair), count in sorted(repaired.items()):
        yield RepairCount(stream, name, repair, count)
