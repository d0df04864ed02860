"""What the lines of files to replay come to: batches of saved bodies, and of repaired records.

Invariant: batches come in the order of their lines, but dead letters of one table go together, and
activations that were set aside after all records.
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
from target_stitch_import.report.repair_words import words_on_repair
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.toolbox.saved_lines import (
    Activated,
    DeadActivation,
    read_body,
    read_letter,
    record_of,
    words_on_neither,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_stitch_import.batching.buffers import Limits
    from target_stitch_import.batching.payload import BodyPrefix
    from target_stitch_import.schema.checks import Passed
    from target_stitch_import.toolbox.saved_lines import DeadLetter, Letter, Place, SavedRequest
    from target_stitch_import.toolbox.versions import Versions


class _Message(msgspec.Struct):
    action: str
    sequence: int


_MESSAGE = msgspec.json.Decoder(_Message)


class SavedBatches:
    """Turns lines into batches, where their versions are to be sent.

    `replaced` is how many lines are not, as newer versions of their tables are loaded.
    """

    def __init__(self, versions: Versions, checks: LetterChecks, letters: LetterBatches) -> None:
        self.replaced = 0
        self._versions = versions
        self._checks = checks
        self._letters = letters

    def waiting(self) -> Iterator[Place]:
        """Yield lines that are read and not handed on, the first one among them."""
        yield from self._letters.waiting()
        yield from self._versions.waiting()

    def batches(self, lines: Iterable[tuple[Place, bytes]]) -> Iterator[Batch]:
        """Yield what `lines` come to.

        Raises:
            InputError: A line is nothing that can be sent.
        """
        for place, text in lines:
            if body := read_body(text):
                if self._takes(place, body):
                    yield from self._of_body(place, body)
            else:
                yield from self._of_letter(place, read_letter(place, text))
        yield from self._letters.rest()
        for place, letter in self._versions.kept():
            request, span = letter.request, place.span(letter.sequence)
            yield activation(request.table_name, request.prefix(), letter.version, span)

    def _takes(self, place: Place, request: SavedRequest) -> bool:
        """Note the version of a line; return whether it is to be sent."""
        if self._versions.note_if_replaced(place, request):
            self.replaced += 1
            return False
        self._versions.read(request)
        return True

    def _of_body(self, place: Place, body: SavedRequest) -> Iterator[Batch]:
        table, version = body.table_name, body.table_version
        for batch in _saved_body(place, body):
            if not (batch.barrier and self._versions.note_if_outdated(place, table, version)):
                yield batch

    def _of_letter(self, place: Place, letter: Letter) -> Iterator[Batch]:
        if isinstance(letter, Activated) or not self._takes(place, letter.request):
            return
        if isinstance(letter, DeadActivation):
            self._versions.keep(place, letter)
        else:
            prefix = letter.request.prefix()
            upsert = self._checks.checked(place, letter, prefix)
            yield from self._letters.add(place, letter.request, prefix, upsert)


class LetterBatches:
    """Groups repaired records: those of one table and schema go together."""

    def __init__(self, limits: Limits) -> None:
        self._buffers = Buffers(limits)
        self._encoder = UpsertEncoder()
        self._first: dict[BodyPrefix, Place] = {}

    def add(
        self, place: Place, request: SavedRequest, prefix: BodyPrefix, upsert: Upsert
    ) -> Iterator[Batch]:
        """Buffer a record; yield the batches that it completes."""
        table, version, sequence = request.table_name, request.table_version, upsert.sequence
        encoded, spans = self._encoder.encode([upsert]), [place.span(sequence)]
        fragment = Fragment(encoded, spans, sequence, sequence)
        self._first.setdefault(prefix, place)
        for batch in self._buffers.add(table, prefix, version, fragment, 0.0):
            yield batch
            self._first.pop(batch.prefix, None)
            self._first.setdefault(prefix, place)

    def rest(self) -> Iterator[Batch]:
        """Yield what is buffered."""
        for table in self._buffers.sizes():
            for batch in self._buffers.close(table):
                yield batch
                del self._first[batch.prefix]

    def waiting(self) -> Iterator[Place]:
        """Yield the first line of each batch that is not handed on."""
        yield from self._first.values()


class LetterChecks:
    """Checks the records of dead letters, as a run with the same settings does.

    `repaired` is how many values were repaired, by table, field and repair.

    Args:
        note: Told, once for each field, what was rewritten or repaired.
    """

    def __init__(
        self, naive_datetimes: str, repairs: tuple[str, ...], note: Callable[[str], None]
    ) -> None:
        self.repaired: Counter[tuple[str, str, str]] = Counter()
        self._naive_datetimes = naive_datetimes
        self._repairs = repairs
        self._note = note
        self._noted: set[tuple[str, ...]] = set()
        # The letters of one table have the same schema, so its check is made once.
        self._checks: dict[BodyPrefix, RecordCheck] = {}

    def checked(self, place: Place, letter: DeadLetter, prefix: BodyPrefix) -> Upsert:
        """Return the message that carries a letter's record; `prefix` is its request's.

        Raises:
            InputError: The record is not repaired.
        """
        check = self._check(place, letter.request, prefix)
        verdict = check.examine(*record_of(place, letter, self._repairs))
        if isinstance(verdict, Refused):
            raise InputError(f"{place} is not repaired: {verdict}.")
        self._tell(letter.request.table_name, verdict)
        return Upsert(letter.sequence, verdict.record, api_time(letter.time_extracted))

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

    def _tell(self, table: str, passed: Passed) -> None:
        for name, said in passed.notes.items():
            self._say(f"Table {quoted(table)}: field {quoted(name)}: {said}", (table, name, said))
        for (name, repair), count in passed.repaired.items():
            self.repaired[table, name, repair] += count
            self._say(
                f"Table {quoted(table)}: {words_on_repair(name, repair)}, and counted at the end.",
                (table, name, repair),
            )

    def _say(self, text: str, of: tuple[str, ...]) -> None:
        """Tell something of which it is enough to be told once."""
        if of not in self._noted:
            self._noted.add(of)
            self._note(text)


def _saved_body(place: Place, request: SavedRequest) -> Iterator[Batch]:
    """Yield a saved body; an activation in it goes by itself, after what precedes it."""
    messages = request.messages or []
    try:
        read = [_MESSAGE.decode(each) for each in messages]
    except (ValueError, RecursionError) as error:
        raise InputError(words_on_neither(place, str(error))) from None
    table, version = request.table_name, request.table_version
    for barrier in (False, True):
        group = [at for at, each in enumerate(read) if (each.action != "upsert") == barrier]
        if group:
            encoded = b"[%b]" % b",".join(bytes(messages[at]) for at in group)
            # All of them are in the same line.
            spans = [place.span(read[at].sequence) for at in group]
            fragment = Fragment(encoded, spans, spans[0].sequence, spans[-1].sequence)
            yield Batch.of(table, request.prefix(), [fragment], version, barrier=barrier)
