"""Sends saved request bodies, or dead letters once they are repaired, with a run's guarantees.

Laws: sequences stay as they were saved, so that replaying never puts an old row over a newer one.
An activation that was set aside goes out behind all records of its table, and only that of the
newest version in the file: an older one could delete newer rows.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, UnsetType

from target_stitch_import.batching.buffers import Buffers
from target_stitch_import.batching.payload import (
    Batch,
    BodyPrefix,
    Fragment,
    Span,
    Upsert,
    activation,
    encode_upserts,
)
from target_stitch_import.delivery.deliver import Settled
from target_stitch_import.errors import InputError, TargetError, quoted
from target_stitch_import.run.dead_letter import ACTIVATE_VERSION, UPSERT
from target_stitch_import.run.sender import Failed, Released, Sender
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_stitch_import.batching.buffers import Limits
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


class _DeadActivation(msgspec.Struct):
    sequence: int
    version: int
    request: _Request


class _Kind(msgspec.Struct):
    action: str = UPSERT


class _Message(msgspec.Struct):
    action: str
    sequence: int


_BODY = msgspec.json.Decoder(_Request)
_KIND = msgspec.json.Decoder(_Kind)
_LETTER = msgspec.json.Decoder(_DeadLetter)
_ACTIVATION = msgspec.json.Decoder(_DeadActivation)
_MESSAGE = msgspec.json.Decoder(_Message)


@dataclass(slots=True)
class Replayed:
    """What was sent again."""

    messages: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """What the user decided. Bodies are sent as they are; `limits` and dates are dead letters'."""

    sender: SenderRules
    limits: Limits
    naive_datetimes: str


def replay(
    file: IO[bytes],
    connect: Callable[[], Transport],
    rules: ReplayRules,
    note: Callable[[str], None],
) -> Replayed:
    """Send everything in `file`, one body or dead letter a line, and wait until it is taken.

    Args:
        file: What to send.
        connect: Makes a transport; each of the sender's threads has its own.
        rules: What the user decided.
        note: Told, from any thread, what a person should know about trouble on the way.

    Raises:
        TargetError: Something was not taken; the text names the first line of the file that must
            be sent again.
    """
    sending = _Sending(connect, rules.sender, note)
    lines = _Lines(rules, note)
    at_once = 2 * rules.sender.max_in_flight_requests
    try:
        for batch in lines.batches(file):
            sending.wait_for_all_but(0 if batch.barrier else at_once - 1)
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
    first = min([*sending.lines.values(), *lines.waiting()], default=None)
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
    """Reads a file of request bodies and dead letters."""

    def __init__(self, rules: ReplayRules, note: Callable[[str], None]) -> None:
        self._waiting: dict[BodyPrefix, int] = {}
        self._versions: dict[str, int] = {}
        """The newest version of each table."""
        self._activations: dict[str, tuple[int, _DeadActivation]] = {}
        """The newest one of each table, with its line."""
        self._naive_datetimes = rules.naive_datetimes
        self._note = note
        self._noted: set[tuple[str, str, str]] = set()
        self._buffers = Buffers(rules.limits)
        # One table's letters share what their requests say, so it is worked out once.
        self._tables: dict[bytes, tuple[BodyPrefix, RecordCheck]] = {}

    def waiting(self) -> Iterator[int]:
        """Yield lines that are read and not handed on, the first one among them."""
        yield from self._waiting.values()
        yield from (line for line, _ in self._activations.values())

    def batches(self, file: IO[bytes]) -> Iterator[Batch]:
        """Yield what the lines of `file` come to; dead letters of one table go together."""
        for line, text in enumerate(file, 1):
            if text.isspace():
                continue
            request = _read_body(text)
            if request is not None and request.messages is not UNSET:
                yield from _saved_body(line, request, request.messages)
            else:
                letter = _read_letter(line, text)
                self._note_version(letter.request)
                if isinstance(letter, _DeadActivation):
                    self._keep(line, letter)
                else:
                    yield from self._add(line, letter)
        for table in self._buffers.sizes():
            for batch in self._buffers.close(table):
                yield batch
                del self._waiting[batch.prefix]
        while self._activations:
            table, (line, letter) = next(iter(self._activations.items()))
            if letter.version == self._versions[table]:
                span = Span(line, letter.sequence, epoch=0)
                yield activation(table, letter.request.prefix(), letter.version, span)
            else:
                self._say_outdated(line, table, letter.version)
            del self._activations[table]

    def _note_version(self, request: _Request) -> None:
        table, version = request.table_name, request.table_version
        if version is not None:
            self._versions[table] = max(version, self._versions.get(table, version))

    def _keep(self, line: int, letter: _DeadActivation) -> None:
        """Keep an activation until all records are sent, in the place of one of its table."""
        table = letter.request.table_name
        if table in self._activations:
            kept_line, kept = self._activations[table]
            if kept.version > letter.version:
                self._say_outdated(line, table, letter.version)
                return
            if kept.version < letter.version:
                self._say_outdated(kept_line, table, kept.version)
        self._activations[table] = line, letter

    def _say_outdated(self, line: int, table: str, version: int) -> None:
        self._note(
            f"Line {line}: version {version} of table {quoted(table)} is not activated, as the "
            "file has lines of a newer one."
        )

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
        self._waiting.setdefault(prefix, line)
        for batch in self._buffers.add(table, prefix, version, fragment, 0.0):
            yield batch
            self._waiting.pop(batch.prefix, None)
            self._waiting.setdefault(prefix, line)

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


def _read_letter(line: int, text: bytes) -> _DeadLetter | _DeadActivation:
    try:
        if _KIND.decode(text).action == ACTIVATE_VERSION:
            return _ACTIVATION.decode(text)
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
