"""Sends saved request bodies, or dead letters once they are repaired, with a run's guarantees.

Law: sequences stay as they were saved, so that replaying never puts an old row over a newer one.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, UnsetType

from target_stitch_import.batching.buffers import Buffers, Limits
from target_stitch_import.batching.payload import (
    Batch,
    BodyPrefix,
    Fragment,
    Span,
    Upsert,
    encode_upserts,
)
from target_stitch_import.delivery.deliver import Settled
from target_stitch_import.errors import InputError, TargetError, quoted
from target_stitch_import.run.sender import Failed, Released, Sender
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_stitch_import.run.sender import Report, SenderRules, Transport


class _Request(msgspec.Struct):
    """A request body, with or without its messages."""

    table_name: str
    schema: Raw
    key_names: list[str] = []
    table_version: int | None = None
    bookmark_names: list[str] = []
    messages: list[Raw] | UnsetType = UNSET

    def prefix(self) -> BodyPrefix:
        """Return how bodies with these arguments open."""
        return BodyPrefix.of(
            self.table_name,
            bytes(self.schema),
            self.key_names,
            self.table_version,
            self.bookmark_names,
        )


class _DeadLetter(msgspec.Struct):
    sequence: int
    request: _Request
    record: Raw
    mapped: bool = True


class _Message(msgspec.Struct):
    action: str
    sequence: int


_BODY = msgspec.json.Decoder(_Request)
_LETTER = msgspec.json.Decoder(_DeadLetter)
_MESSAGE = msgspec.json.Decoder(_Message)


@dataclass(slots=True)
class Replayed:
    """What was sent again."""

    messages: int = 0
    requests: int = 0


def replay(
    file: IO[bytes],
    connect: Callable[[], Transport],
    rules: SenderRules,
    naive_datetimes: str,
    note: Callable[[str], None],
) -> Replayed:
    """Send everything in `file`, one body or dead letter a line, and wait until it is taken.

    Args:
        file: What to send.
        connect: Makes a transport; each of the sender's threads has its own.
        rules: Those of the sender.
        naive_datetimes: As the setting; for dead letters, as bodies are sent as they are.
        note: Told, from any thread, what a person should know about trouble on the way.

    Raises:
        TargetError: Something was not taken; the text names the first line of the file that must
            be sent again.
    """
    sending = _Sending(connect, rules, note)
    lines = _Lines(naive_datetimes, note)
    try:
        for batch in lines.batches(file):
            sending.wait_for_all_but(0 if batch.barrier else 2 * rules.max_in_flight_requests - 1)
            sending.submit(batch)
            if batch.barrier:
                sending.wait_for_all_but(0)
        sending.wait_for_all_but(0)
    except TargetError as error:
        hint = _words_on_the_rest(sending, lines)
        raise type(error)(f"{error} {hint}".rstrip()) from None
    except KeyboardInterrupt:
        if hint := _words_on_the_rest(sending, lines):
            note(hint)
        raise
    finally:
        sending.close()
    return sending.replayed


def _words_on_the_rest(sending: _Sending, lines: _Lines) -> str:
    """Tell from which line on the file is to be sent again."""
    first = min([*sending.lines.values(), *lines.waiting.values()], default=None)
    if first is None:
        return ""
    return f"Line {first} of the file and those behind it may not have arrived."


class _Sending:
    """What is on its way; `lines` has the line of the file that each batch of it begins with."""

    def __init__(
        self,
        connect: Callable[[], Transport],
        rules: SenderRules,
        note: Callable[[str], None],
    ) -> None:
        self.replayed = Replayed()
        self.lines: dict[int, int] = {}
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._sender = Sender(connect, rules, None, lambda: self._wakeups.put(None), note)

    def submit(self, batch: Batch) -> None:
        """Send a batch."""
        self.lines[id(batch)] = batch.spans[0].line
        self._sender.submit(batch)

    def wait_for_all_but(self, count: int) -> None:
        """Wait until no more than `count` batches are on their way.

        Raises:
            TargetError: One was not taken.
        """
        while len(self.lines) > count:
            self._wakeups.get()
            while self._sender.reports:
                self._take(self._sender.reports.popleft())

    def _take(self, report: Report) -> None:
        match report:
            case Settled(part):
                self.replayed.messages += part.count
                self.replayed.requests += 1
            case Released(batch):
                self.lines.pop(id(batch))
            case Failed(error):
                raise error
            case _:
                pass

    def close(self) -> None:
        """Send no more."""
        self._sender.close()


class _Lines:
    """Reads a file; `waiting` tells, by table, the first line that is read and not handed on."""

    def __init__(self, naive_datetimes: str, note: Callable[[str], None]) -> None:
        self.waiting: dict[str, int] = {}
        self._naive_datetimes = naive_datetimes
        self._note = note
        self._noted: set[tuple[str, str, str]] = set()
        self._buffers = Buffers(Limits())
        # One table's letters share what their requests say, so it is worked out once.
        self._tables: dict[bytes, tuple[BodyPrefix, RecordCheck]] = {}

    def batches(self, file: IO[bytes]) -> Iterator[Batch]:
        """Yield what the lines of `file` come to; dead letters of one table go together."""
        for line, text in enumerate(file, 1):
            if text.isspace():
                continue
            request = _read_body(text)
            if request is not None and request.messages is not UNSET:
                yield from _saved_body(line, request, request.messages)
            else:
                yield from self._add(line, _read_letter(line, text))
        for table in self._buffers.sizes():
            yield self._buffers.close(table)
            self.waiting.pop(table, None)

    def _add(self, line: int, letter: _DeadLetter) -> Iterator[Batch]:
        """Buffer a repaired record; yield the batches that it completes."""
        table, version = letter.request.table_name, letter.request.table_version
        prefix, check = self._table(line, letter.request)
        verdict = check.examine(letter.record)
        if isinstance(verdict, Refused):
            raise InputError(f"Line {line} is not repaired: {verdict}.")
        for name, said in verdict.notes.items():
            if (table, name, said) not in self._noted:
                self._noted.add((table, name, said))
                self._note(f"Table {quoted(table)}: field {quoted(name)}: {said}")
        encoded = encode_upserts([Upsert(letter.sequence, verdict.record)])
        spans = [Span(line, letter.sequence, epoch=0)]
        fragment = Fragment(encoded, spans, letter.sequence, letter.sequence)
        self.waiting.setdefault(table, line)
        for batch in self._buffers.add(table, prefix, version, fragment, 0.0):
            yield batch
            self.waiting[table] = line

    def _table(self, line: int, request: _Request) -> tuple[BodyPrefix, RecordCheck]:
        prefix = request.prefix()
        if prefix.encoded not in self._tables:
            check = _check(line, request, prefix, self._naive_datetimes)
            self._tables[prefix.encoded] = prefix, check
        return self._tables[prefix.encoded]


def _read_body(text: bytes) -> _Request | None:
    try:
        return _BODY.decode(text)
    except (ValueError, RecursionError):
        return None


def _read_letter(line: int, text: bytes) -> _DeadLetter:
    try:
        letter = _LETTER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InputError(_words_on_neither(line, error)) from None
    if not letter.mapped:
        raise InputError(
            f"Line {line} holds a record as the tap sent it, also what its stream map drops or "
            "masks. Mend the tap or the map, and run again; or bring the record into the form that "
            "the map gives it, and take `mapped` out of the line."
        )
    return letter


def _words_on_neither(line: int, error: Exception) -> str:
    return (
        f"Line {line} is neither a request body nor a dead letter with its `record` as JSON: "
        f"{quoted(str(error), mark='')}."
    )


def _saved_body(line: int, request: _Request, messages: list[Raw]) -> Iterator[Batch]:
    """Yield a saved body; an activation in it goes by itself, behind what stands before it."""
    try:
        read = [_MESSAGE.decode(each) for each in messages]
    except (ValueError, RecursionError) as error:
        raise InputError(_words_on_neither(line, error)) from None
    table, version = request.table_name, request.table_version
    for barrier in (False, True):
        group = [at for at, each in enumerate(read) if (each.action != "upsert") == barrier]
        if group:
            encoded = b"[%b]" % b",".join(bytes(messages[at]) for at in group)
            # All of them stand in the same line.
            spans = [Span(line, read[at].sequence, epoch=0) for at in group]
            fragment = Fragment(encoded, spans, spans[0].sequence, spans[-1].sequence)
            yield Batch.of(table, request.prefix(), [fragment], version, barrier=barrier)


def _check(line: int, request: _Request, prefix: BodyPrefix, naive: str) -> RecordCheck:
    try:
        schema = read_schema(bytes(request.schema)).root
    except SchemaDefectError as defect:
        raise InputError(f"Line {line} has a schema that cannot be sent: {defect}.") from None
    return RecordCheck(
        schema,
        request.key_names,
        naive_datetimes=naive,
        max_record_bytes=prefix.max_record_bytes,
    )
