"""Sends saved request bodies, or dead letters once they are repaired, with a run's guarantees.

Laws: sequences stay as they were saved, so that replaying never puts an old row over a newer one.
An activation that was set aside goes out behind all records of its table, and only that of the
newest version in the file: an older one could delete newer rows. Nothing of a version is sent where
the file says that a newer one was loaded since.
"""

from __future__ import annotations

import queue
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import msgspec

from target_stitch_import.batching.buffers import Buffers
from target_stitch_import.batching.payload import (
    Batch,
    Fragment,
    Span,
    Upsert,
    activation,
    encode_upserts,
)
from target_stitch_import.delivery.deliver import Settled
from target_stitch_import.errors import InputError, TargetError, quoted
from target_stitch_import.run.sender import Failed, Released, Sender
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.repairs import RESPELLED
from target_stitch_import.toolbox.saved_lines import (
    Activated,
    DeadActivation,
    DeadLetter,
    Letter,
    activated_versions,
    read_body,
    read_letter,
    record_of,
    words_on_neither,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_stitch_import.batching.buffers import Limits
    from target_stitch_import.batching.payload import BodyPrefix
    from target_stitch_import.run.sender import Report, SenderRules, Transport
    from target_stitch_import.schema.checks import Passed
    from target_stitch_import.toolbox.saved_lines import SavedRequest


class _Message(msgspec.Struct):
    action: str
    sequence: int


_MESSAGE = msgspec.json.Decoder(_Message)


@dataclass(slots=True)
class Replayed:
    """What was sent again.

    `replaced` is how many lines were not, as newer versions of their tables are loaded; `repaired`
    how many values were repaired, by table, field and repair.
    """

    messages: int = 0
    requests: int = 0
    replaced: int = 0
    repaired: Counter[tuple[str, str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """What the user decided. Bodies are sent as they are; all but `sender` is for dead letters."""

    sender: SenderRules
    limits: Limits
    naive_datetimes: str
    repairs: tuple[str, ...] = ()


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
    with _readable_twice(file) as text:
        replaced_by = activated_versions(text)
        text.seek(0)
        sending = _Sending(connect, rules.sender, note)
        lines = _Lines(rules, replaced_by, sending.replayed, note)
        try:
            _send(lines.batches(text), sending, at_once=2 * rules.sender.max_in_flight_requests)
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


def _send(batches: Iterator[Batch], sending: _Sending, at_once: int) -> None:
    for batch in batches:
        sending.wait_for_all_but(0 if batch.barrier else at_once - 1)
        sending.submit(batch)
        if batch.barrier:
            sending.wait_for_all_but(0)
    sending.wait_for_all_but(0)


@contextmanager
def _readable_twice(file: IO[bytes]) -> Iterator[IO[bytes]]:
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        copy.seek(0)
        yield copy


def _words_on_the_rest(sending: _Sending, lines: _Lines) -> str:
    """Tell from which line on the file is to be sent again."""
    first = min([*sending.lines.values(), *lines.waiting()], default=None)
    if first is None:
        return ""
    return f"Line {first} of the file and later lines may not have been delivered."


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

    def __init__(
        self,
        rules: ReplayRules,
        replaced_by: dict[str, int],
        replayed: Replayed,
        note: Callable[[str], None],
    ) -> None:
        self._replaced_by = replaced_by
        self._replayed = replayed
        self._waiting: dict[BodyPrefix, int] = {}
        self._versions: dict[str, int] = {}
        """The newest version of each table."""
        self._activations: dict[str, tuple[int, DeadActivation]] = {}
        """The newest one of each table, with its line."""
        self._rules = rules
        self._note = note
        self._noted: set[tuple[str, ...]] = set()
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
            if body := read_body(text):
                yield from _saved_body(line, body)
            else:
                yield from self._of_letter(line, read_letter(line, text))
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

    def _of_letter(self, line: int, letter: Letter) -> Iterator[Batch]:
        if self._is_replaced(line, letter):
            return
        self._note_version(letter.request)
        if isinstance(letter, DeadActivation):
            self._keep(line, letter)
        elif isinstance(letter, DeadLetter):
            yield from self._add(line, letter)

    def _is_replaced(self, line: int, letter: Letter) -> bool:
        """Tell whether a newer version was loaded since; what is older must not reach the table."""
        table, version = letter.request.table_name, letter.request.table_version
        newer = self._replaced_by.get(table)
        if isinstance(letter, Activated) or newer is None or version is None or version >= newer:
            return False
        self._replayed.replaced += 1
        self._say(
            f"Line {line}: version {version} of table {quoted(table)} is not sent, as version "
            f"{newer} was loaded since. Take its lines out of the file.",
            (table, str(version)),
        )
        return True

    def _note_version(self, request: SavedRequest) -> None:
        table, version = request.table_name, request.table_version
        if version is not None:
            self._versions[table] = max(version, self._versions.get(table, version))

    def _keep(self, line: int, letter: DeadActivation) -> None:
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

    def _add(self, line: int, letter: DeadLetter) -> Iterator[Batch]:
        """Buffer a repaired record; yield the batches that it completes."""
        table, version = letter.request.table_name, letter.request.table_version
        prefix, check = self._table(line, letter.request)
        verdict = check.examine(*record_of(line, letter, self._rules.repairs))
        if isinstance(verdict, Refused):
            raise InputError(f"Line {line} is not repaired: {verdict}.")
        self._tell(table, verdict)
        encoded = encode_upserts([Upsert(letter.sequence, verdict.record)])
        spans = [Span(line, letter.sequence, epoch=0)]
        fragment = Fragment(encoded, spans, letter.sequence, letter.sequence)
        self._waiting.setdefault(prefix, line)
        for batch in self._buffers.add(table, prefix, version, fragment, 0.0):
            yield batch
            self._waiting.pop(batch.prefix, None)
            self._waiting.setdefault(prefix, line)

    def _tell(self, table: str, passed: Passed) -> None:
        for name, said in passed.notes.items():
            self._say(f"Table {quoted(table)}: field {quoted(name)}: {said}", (table, name, said))
        for name, repair in passed.repaired:
            self._replayed.repaired[table, name, repair] += 1
            self._say(
                f"Table {quoted(table)}: field {quoted(name)}: {_words_on(repair)}, and "
                "counted at the end.",
                (table, name, repair),
            )

    def _say(self, text: str, of: tuple[str, ...]) -> None:
        """Tell something of which it is enough to be told once."""
        if of not in self._noted:
            self._noted.add(of)
            self._note(text)

    def _table(self, line: int, request: SavedRequest) -> tuple[BodyPrefix, RecordCheck]:
        prefix = request.prefix()
        if prefix.encoded not in self._tables:
            check = _check(line, request, prefix, self._rules)
            self._tables[prefix.encoded] = prefix, check
        return self._tables[prefix.encoded]


def _words_on(repair: str) -> str:
    if repair == RESPELLED:
        return "date-times are rewritten as the Import API asks for them"
    return f"values are repaired by `{repair}`"


def _saved_body(line: int, request: SavedRequest) -> Iterator[Batch]:
    """Yield a saved body; an activation in it goes by itself, behind what stands before it."""
    messages = request.messages or []
    try:
        read = [_MESSAGE.decode(each) for each in messages]
    except (ValueError, RecursionError) as error:
        raise InputError(words_on_neither(line, str(error))) from None
    table, version = request.table_name, request.table_version
    for barrier in (False, True):
        group = [at for at, each in enumerate(read) if (each.action != "upsert") == barrier]
        if group:
            encoded = b"[%b]" % b",".join(bytes(messages[at]) for at in group)
            # All of them stand in the same line.
            spans = [Span(line, read[at].sequence, epoch=0) for at in group]
            fragment = Fragment(encoded, spans, spans[0].sequence, spans[-1].sequence)
            yield Batch.of(table, request.prefix(), [fragment], version, barrier=barrier)


def _check(line: int, request: SavedRequest, prefix: BodyPrefix, rules: ReplayRules) -> RecordCheck:
    try:
        schema = read_schema(bytes(request.schema)).root
    except SchemaDefectError as defect:
        raise InputError(f"Line {line} has a schema that cannot be sent: {defect}.") from None
    return RecordCheck(
        schema,
        request.key_names,
        naive_datetimes=rules.naive_datetimes,
        repairs=rules.repairs,
        max_record_bytes=prefix.max_record_bytes,
    )
