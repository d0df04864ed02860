"""Sends saved request bodies, or dead letters once they are repaired, with a run's guarantees.

Laws: sequences stay as they were saved, so that replaying never puts an old row over a newer one.
What holds of versions (`versions`) holds over all files together.
"""

from __future__ import annotations

import queue
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from target_stitch_import.batching.buffers import Buffers
from target_stitch_import.batching.payload import (
    Batch,
    Fragment,
    Upsert,
    UpsertEncoder,
    activation,
)
from target_stitch_import.batching.times import api_time
from target_stitch_import.delivery.deliver import Settled
from target_stitch_import.errors import InputError, TargetError, quoted
from target_stitch_import.report.repair_words import words_on_repair
from target_stitch_import.run.dead_letter import NoDeadLetters
from target_stitch_import.run.sender import Failed, Released, Sender
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.toolbox.saved_lines import (
    Activated,
    DeadActivation,
    Place,
    activated_versions,
    read_body,
    read_letter,
    record_of,
    words_on_neither,
)
from target_stitch_import.toolbox.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_stitch_import.batching.buffers import Limits
    from target_stitch_import.batching.payload import BodyPrefix
    from target_stitch_import.run.sender import Report, SenderRules, Transport
    from target_stitch_import.schema.checks import Passed
    from target_stitch_import.toolbox.saved_files import SavedFiles
    from target_stitch_import.toolbox.saved_lines import DeadLetter, Letter, SavedRequest


class _Message(msgspec.Struct):
    action: str
    sequence: int


_MESSAGE = msgspec.json.Decoder(_Message)


class Replayed(Struct):
    """What was sent again.

    `replaced` is how many lines were not, as newer versions of their tables are loaded; `repaired`
    how many values were repaired, by table, field and repair.
    """

    messages: int = 0
    requests: int = 0
    replaced: int = 0
    repaired: Counter[tuple[str, str, str]] = field(default_factory=Counter)


class ReplayRules(Struct, frozen=True):
    """What the user decided. Bodies are sent as they are; all but `sender` is for dead letters."""

    sender: SenderRules
    limits: Limits
    naive_datetimes: str
    repairs: tuple[str, ...] = ()


def replay(
    files: SavedFiles,
    connect: Callable[[], Transport],
    rules: ReplayRules,
    note: Callable[[str], None],
) -> Replayed:
    """Send everything in `files`, one body or dead letter a line, and wait until it is taken.

    Args:
        files: What to send.
        connect: Makes a transport; each of the sender's threads has its own.
        rules: What the user decided.
        note: Told, from any thread, what a person should know about trouble on the way.

    Raises:
        TargetError: Something was not taken; the text names the first line that must be sent
            again.
    """
    replaced_by = activated_versions(files.lines())
    sending = _Sending(connect, rules.sender, note)
    lines = _Lines(rules, Versions(replaced_by, note), sending.replayed, note)
    batches = lines.batches(files.lines())
    try:
        _send(batches, sending, at_once=2 * rules.sender.max_in_flight_requests)
    except TargetError as error:
        hint = _words_on_the_rest(files, sending, lines)
        raise type(error)(f"{error} {hint}".rstrip()) from None
    except KeyboardInterrupt:
        if hint := _words_on_the_rest(files, sending, lines):
            note(hint)
        raise
    finally:
        sending.close()
    return sending.replayed


def _send(batches: Iterator[Batch], sending: _Sending, at_once: int) -> None:
    for batch in batches:
        sending.wait_for_all_but(0 if batch.barrier else at_once - 1)
        sending.submit(batch)
        if batch.barrier:
            sending.wait_for_all_but(0)
    sending.wait_for_all_but(0)


def _words_on_the_rest(files: SavedFiles, sending: _Sending, lines: _Lines) -> str:
    """Tell from which line on the files are to be sent again."""
    first = min([*sending.places.values(), *lines.waiting()], key=files.order, default=None)
    if first is None:
        return ""
    if first.file is None:
        return f"{first} of the file and later lines may not have been delivered."
    return f"{first} and later lines, including those of later files, may not have been delivered."


class _Sending:
    """What is on its way; `places` has the line that each batch of it begins with."""

    def __init__(
        self,
        connect: Callable[[], Transport],
        rules: SenderRules,
        note: Callable[[str], None],
    ) -> None:
        self.replayed = Replayed()
        self.places: dict[int, Place] = {}
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._sender = Sender(
            connect, rules, NoDeadLetters(), lambda: self._wakeups.put(None), note
        )

    def submit(self, batch: Batch) -> None:
        """Send a batch."""
        span = batch.spans[0]
        self.places[id(batch)] = Place(span.line, span.file)
        self._sender.submit(batch)

    def wait_for_all_but(self, count: int) -> None:
        """Wait until no more than `count` batches are on their way.

        Raises:
            TargetError: One was not taken.
        """
        while len(self.places) > count:
            self._wakeups.get()
            while self._sender.reports:
                self._take(self._sender.reports.popleft())

    def _take(self, report: Report) -> None:
        match report:
            case Settled(part):
                self.replayed.messages += part.count
                self.replayed.requests += 1
            case Released(batch):
                self.places.pop(id(batch))
            case Failed(error):
                raise error
            case _:
                pass

    def close(self) -> None:
        """Send no more."""
        self._sender.close()


class _Lines:
    """Reads lines that hold a request body or a dead letter each."""

    def __init__(
        self,
        rules: ReplayRules,
        versions: Versions,
        replayed: Replayed,
        note: Callable[[str], None],
    ) -> None:
        self._rules = rules
        self._versions = versions
        self._replayed = replayed
        self._note = note
        self._noted: set[tuple[str, ...]] = set()
        self._waiting: dict[BodyPrefix, Place] = {}
        self._buffers = Buffers(rules.limits)
        self._encoder = UpsertEncoder()
        # One table's letters share what their requests say, so it is worked out once.
        self._tables: dict[bytes, tuple[BodyPrefix, RecordCheck]] = {}

    def waiting(self) -> Iterator[Place]:
        """Yield lines that are read and not handed on, the first one among them."""
        yield from self._waiting.values()
        yield from self._versions.waiting()

    def batches(self, lines: Iterable[tuple[Place, bytes]]) -> Iterator[Batch]:
        """Yield what `lines` come to; dead letters of one table go together."""
        for place, text in lines:
            if body := read_body(text):
                if self._is_sent(place, body):
                    yield from self._of_body(place, body)
            else:
                yield from self._of_letter(place, read_letter(place, text))
        for table in self._buffers.sizes():
            for batch in self._buffers.close(table):
                yield batch
                del self._waiting[batch.prefix]
        for place, letter in self._versions.kept():
            request, span = letter.request, place.span(letter.sequence)
            yield activation(request.table_name, request.prefix(), letter.version, span)

    def _is_sent(self, place: Place, request: SavedRequest) -> bool:
        if self._versions.is_replaced(place, request):
            self._replayed.replaced += 1
            return False
        self._versions.read(request)
        return True

    def _of_body(self, place: Place, body: SavedRequest) -> Iterator[Batch]:
        table, version = body.table_name, body.table_version
        for batch in _saved_body(place, body):
            if not (batch.barrier and self._versions.is_outdated(place, table, version)):
                yield batch

    def _of_letter(self, place: Place, letter: Letter) -> Iterator[Batch]:
        if isinstance(letter, Activated) or not self._is_sent(place, letter.request):
            return
        if isinstance(letter, DeadActivation):
            self._versions.keep(place, letter)
        else:
            yield from self._add(place, letter)

    def _add(self, place: Place, letter: DeadLetter) -> Iterator[Batch]:
        """Buffer a repaired record; yield the batches that it completes."""
        table, version = letter.request.table_name, letter.request.table_version
        prefix, check = self._table(place, letter.request)
        verdict = check.examine(*record_of(place, letter, self._rules.repairs))
        if isinstance(verdict, Refused):
            raise InputError(f"{place} is not repaired: {verdict}.")
        self._tell(table, verdict)
        upsert = Upsert(letter.sequence, verdict.record, api_time(letter.time_extracted))
        encoded, spans = self._encoder.encode([upsert]), [place.span(letter.sequence)]
        fragment = Fragment(encoded, spans, letter.sequence, letter.sequence)
        self._waiting.setdefault(prefix, place)
        for batch in self._buffers.add(table, prefix, version, fragment, 0.0):
            yield batch
            self._waiting.pop(batch.prefix, None)
            self._waiting.setdefault(prefix, place)

    def _tell(self, table: str, passed: Passed) -> None:
        for name, said in passed.notes.items():
            self._say(f"Table {quoted(table)}: field {quoted(name)}: {said}", (table, name, said))
        for (name, repair), count in passed.repaired.items():
            self._replayed.repaired[table, name, repair] += count
            self._say(
                f"Table {quoted(table)}: {words_on_repair(name, repair)}, and counted at the end.",
                (table, name, repair),
            )

    def _say(self, text: str, of: tuple[str, ...]) -> None:
        """Tell something of which it is enough to be told once."""
        if of not in self._noted:
            self._noted.add(of)
            self._note(text)

    def _table(self, place: Place, request: SavedRequest) -> tuple[BodyPrefix, RecordCheck]:
        prefix = request.prefix()
        if prefix.encoded not in self._tables:
            check = _check(place, request, prefix, self._rules)
            self._tables[prefix.encoded] = prefix, check
        return self._tables[prefix.encoded]


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


def _check(
    place: Place, request: SavedRequest, prefix: BodyPrefix, rules: ReplayRules
) -> RecordCheck:
    try:
        schema = read_schema(bytes(request.schema)).root
    except SchemaDefectError as defect:
        raise InputError(f"{place} has a schema that cannot be sent: {defect}.") from None
    return RecordCheck(
        schema,
        request.key_names,
        naive_datetimes=rules.naive_datetimes,
        repairs=rules.repairs,
        max_record_bytes=prefix.max_record_bytes,
    )
