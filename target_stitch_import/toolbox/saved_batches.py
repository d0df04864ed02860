"""Turns the lines of a replay into batches: of saved bodies, and of repaired records.

Invariant: batches are in the order of their lines, except that dead letters of one table are sent
together, and that activations that were set aside come after all records.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from target_stitch_import.batching.buffers import Buffers
from target_stitch_import.batching.payload import (
    Batch,
    Fragment,
    Upsert,
    UpsertEncoder,
    activation,
)
from target_stitch_import.batching.times import api_time
from target_stitch_import.errors import InputError, quoted
from target_stitch_import.report.repair_words import repair_words
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.toolbox.saved_lines import (
    Activated,
    DeadActivation,
    cannot_be_replayed,
    read_body,
    read_dead_letter,
    record_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_stitch_import.batching.buffers import Limits
    from target_stitch_import.batching.payload import BodyPrefix
    from target_stitch_import.schema.checks import Passed
    from target_stitch_import.toolbox.saved_lines import (
        DeadLetter,
        DeadLetterLine,
        Place,
        SavedRequest,
    )
    from target_stitch_import.toolbox.versions import Versions


class _Message(msgspec.Struct):
    action: str
    sequence: int


_MESSAGE = msgspec.json.Decoder(_Message)


class SavedBatches:
    """Turns lines into batches, except lines of versions that were replaced.

    `replaced` counts the lines that are skipped because newer versions of their tables are loaded.
    """

    def __init__(self, versions: Versions, checks: RecordChecks, batches: RecordBatches) -> None:
        self.replaced = 0
        self._versions = versions
        self._checks = checks
        self._record_batches = batches

    def waiting(self) -> Iterator[Place]:
        """Yield some lines that are read but not yet in a batch, always including the first."""
        yield from self._record_batches.waiting()
        yield from self._versions.waiting()

    def batches(self, lines: Iterable[tuple[Place, bytes]]) -> Iterator[Batch]:
        """Yield the batches of `lines`.

        Raises:
            InputError: A line has nothing that can be sent.
        """
        for place, text in lines:
            if body := read_body(text):
                if self._admit(place, body):
                    yield from self._of_body(place, body)
            else:
                yield from self._of_dead_letter(place, read_dead_letter(place, text))
        yield from self._record_batches.rest()
        for place, kept in self._versions.kept():
            request, span = kept.request, place.span(kept.sequence)
            yield activation(request.table_name, request.prefix(), kept.version, span)

    def _admit(self, place: Place, request: SavedRequest) -> bool:
        """Register a line's version, or count the line as replaced; return whether to send it."""
        if self._versions.note_if_replaced(place, request):
            self.replaced += 1
            return False
        self._versions.register(request)
        return True

    def _of_body(self, place: Place, body: SavedRequest) -> Iterator[Batch]:
        table, version = body.table_name, body.table_version
        for batch in _saved_body(place, body):
            if not (batch.barrier and self._versions.note_if_outdated(place, table, version)):
                yield batch

    def _of_dead_letter(self, place: Place, line: DeadLetterLine) -> Iterator[Batch]:
        if isinstance(line, Activated) or not self._admit(place, line.request):
            return
        if isinstance(line, DeadActivation):
            self._versions.keep(place, line)
        else:
            prefix = line.request.prefix()
            upsert = self._checks.checked(place, line, prefix)
            yield from self._record_batches.add(place, line.request, prefix, upsert)


class RecordBatches:
    """Groups repaired records into batches: those of one table and schema are sent together."""

    def __init__(self, limits: Limits) -> None:
        self._buffers = Buffers(limits)
        self._encoder = UpsertEncoder()
        self._first: dict[BodyPrefix, Place] = {}

    def add(
        self, place: Place, request: SavedRequest, prefix: BodyPrefix, upsert: Upsert
    ) -> Iterator[Batch]:
        """Buffer a record; yield the batches that it completes."""
        table, version, sequence = request.table_name, request.table_version, upsert.sequence
        span = place.span(sequence)
        fragment = Fragment(self._encoder.encode([upsert]), [span], sequence, sequence)
        self._first.setdefault(prefix, place)
        for batch in self._buffers.add(table, prefix, version, fragment, 0.0):
            yield batch
            del self._first[batch.prefix]
            if batch.spans[-1] != span:  # the record is still buffered
                self._first.setdefault(prefix, place)

    def rest(self) -> Iterator[Batch]:
        """Yield the batches of what is still buffered."""
        for table in self._buffers.sizes():
            for batch in self._buffers.close(table):
                yield batch
                del self._first[batch.prefix]

    def waiting(self) -> Iterator[Place]:
        """Yield the first line of each batch that is still open."""
        yield from self._first.values()


class RecordChecks:
    """Checks the records of dead letters, as a run with the same settings does.

    `repaired` counts the values that were repaired, by table, field and repair.

    Args:
        naive_datetimes: The setting of that name.
        repairs: The setting of that name.
        note: Called, once for each field, with what was rewritten or repaired.
    """

    def __init__(
        self, naive_datetimes: str, repairs: tuple[str, ...], note: Callable[[str], None]
    ) -> None:
        self.repaired: Counter[tuple[str, str, str]] = Counter()
        self._naive_datetimes = naive_datetimes
        self._repairs = repairs
        self._note = note
        self._noted: set[tuple[str, ...]] = set()
        # Most dead letters of a table have the same schema, whose check is made once.
        self._checks: dict[BodyPrefix, RecordCheck] = {}

    def checked(self, place: Place, dead_letter: DeadLetter, prefix: BodyPrefix) -> Upsert:
        """Return the message with the record of a dead letter; `prefix` is that of its request.

        Raises:
            InputError: The record is still invalid.
        """
        check = self._check(place, dead_letter.request, prefix)
        verdict = check.examine(*record_of(place, dead_letter, self._repairs))
        if isinstance(verdict, Refused):
            raise InputError(f"{place} is not repaired: {verdict}.")
        self._report(dead_letter.request.table_name, verdict)
        return Upsert(dead_letter.sequence, verdict.record, api_time(dead_letter.time_extracted))

    def _check(self, place: Place, request: SavedRequest, prefix: BodyPrefix) -> RecordCheck:
        if prefix not in self._checks:
            try:
                schema = read_schema(bytes(request.schema)).root
            except SchemaDefectError as defect:
                raise InputError(f"{place} has a schema that cannot be sent: {defect}.") from None
            self._checks[prefix] = RecordCheck(
                schema,
                request.key_names,
                naive_datetimes=self._naive_datetimes,
                repairs=self._repairs,
                max_record_bytes=prefix.max_record_bytes,
            )
        return self._checks[prefix]

    def _report(self, table: str, passed: Passed) -> None:
        for name, said in passed.notes.items():
            text = f"Table {quoted(table)}: field {quoted(name)}: {said}"
            self._note_once(text, (table, name, said))
        for (name, repair), count in passed.repaired.items():
            self.repaired[table, name, repair] += count
            self._note_once(
                f"Table {quoted(table)}: {repair_words(name, repair)}, and counted at the end.",
                (table, name, repair),
            )

    def _note_once(self, text: str, key: tuple[str, ...]) -> None:
        if key not in self._noted:
            self._noted.add(key)
            self._note(text)


def _saved_body(place: Place, request: SavedRequest) -> Iterator[Batch]:
    """Yield the batches of a saved body: its upserts, then an activation on its own."""
    messages = request.messages or []
    try:
        read = [_MESSAGE.decode(each) for each in messages]
    except (ValueError, RecursionError) as error:
        raise InputError(cannot_be_replayed(place, str(error))) from None
    table, version = request.table_name, request.table_version
    for barrier in (False, True):
        group = [at for at, each in enumerate(read) if (each.action != "upsert") == barrier]
        if group:
            encoded = b"[%b]" % b",".join(bytes(messages[at]) for at in group)
            # A span each, because all messages are in one line of the file.
            spans = [place.span(read[at].sequence) for at in group]
            fragment = Fragment(encoded, spans, spans[0].sequence, spans[-1].sequence)
            yield Batch.of(table, request.prefix(), [fragment], version, barrier=barrier)
