"""Singer messages: bytes of the tap's output in, numbered events out.

Law: however the same bytes are cut into chunks, the same events with the same line numbers come
out. A record is never parsed here; its text goes on as it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count, groupby
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Raw

from target_stitch_import.errors import InputError, quoted
from target_stitch_import.singer.lines import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    Line,
    WholeLines,
    are_utf8,
    decoded,
    is_utf8,
    outline,
    plain_text,
    record_defect,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.singer.origin import BatchFile


class RecordMessage(msgspec.Struct, tag_field="type", tag="RECORD", gc=False):
    """A record, its text as the tap wrote it."""

    stream: str
    record: Raw
    version: int | None = None
    time_extracted: str | None = None


class _SchemaMessage(msgspec.Struct, tag_field="type", tag="SCHEMA"):
    stream: str
    schema: Raw
    key_properties: list[str] | None = None
    bookmark_properties: list[str] | None = None


class _StateMessage(msgspec.Struct, tag_field="type", tag="STATE"):
    value: Raw


class _ActivateVersionMessage(msgspec.Struct, tag_field="type", tag="ACTIVATE_VERSION"):
    stream: str
    version: int


class _Encoding(msgspec.Struct):
    format: str | None = None
    compression: str | None = None


class _BatchMessage(msgspec.Struct, tag_field="type", tag="BATCH"):
    stream: str
    encoding: _Encoding
    manifest: list[str]
    version: int | None = None


_Message: TypeAlias = (
    RecordMessage | _SchemaMessage | _StateMessage | _ActivateVersionMessage | _BatchMessage
)
_MESSAGES = msgspec.json.Decoder(_Message)
_STREAM = re.compile(rb'"stream"\s*:\s*("(?:[^"\\]|\\.){0,1000}")')
RECORD_BYTES = 400
"""About what a record costs in memory beside its text while it waits."""
_EARLY_BYTES = 4_096
"""Where the name of a line's stream is looked for; a pattern's repeats take memory, too."""
_REQUIRED = {
    "RECORD": ("stream", "record"),
    "SCHEMA": ("stream", "schema", "key_properties"),
    "STATE": ("value",),
    "ACTIVATE_VERSION": ("stream", "version"),
    "BATCH": ("stream", "encoding", "manifest"),
}


@dataclass(frozen=True, slots=True)
class Records:
    """Records of any streams on consecutive lines; `messages[i]` is on line + i.

    The lines are those of `file`, where the records came from one. `sequences` has a number for
    each record, all of one stream and version, where they bring their own.
    """

    line: int
    messages: list[RecordMessage]
    file: BatchFile | None = None
    sequences: list[int] | None = None


@dataclass(frozen=True, slots=True)
class MalformedRecord:
    """A record whose own text is no JSON, in a message that is otherwise sound."""

    line: int
    stream: str
    version: int | None
    text: bytes
    reason: str
    file: BatchFile | None = None
    mapped: bool = True
    """Whether a stream map has had its say, where the stream has one."""
    sequence: int | None = None
    """Its number, where records bring their own."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a stream's records look like from here on; `schema` is the tap's own JSON text."""

    line: int
    stream: str
    schema: bytes
    key_properties: tuple[str, ...]
    bookmark_properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """A checkpoint: `text` is the tap's own JSON text of the value."""

    line: int
    text: bytes


@dataclass(frozen=True, slots=True)
class ActivateVersion:
    """Every record of `stream` whose version is not `version` is to go."""

    line: int
    stream: str
    version: int


@dataclass(frozen=True, slots=True)
class RecordFiles:
    """Records that wait in files, with the encoding they are written in."""

    line: int
    stream: str
    encoding: dict[str, str | None]
    manifest: tuple[str, ...]
    version: int | None = None


Event: TypeAlias = Records | MalformedRecord | Schema | State | ActivateVersion | RecordFiles


class MessageReader:
    """Turns chunks of the tap's output into events.

    Feed it with `feed`, then call `close` once at the end of the input. Both yield events and
    raise `InputError` for a line that is no Singer message, after every event before it.
    """

    def __init__(self) -> None:
        self.lines_read = 0
        self._lines = WholeLines()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events of every line that `chunk` completes."""
        if lines := self._lines.feed(chunk):
            yield from self._events(lines, chunk)
        if self._lines.is_too_long:
            raise InputError(
                f"Line {self.lines_read + 1} is longer than {MAX_LINE_BYTES:,} bytes: "
                "the input is not a tap's output, or a record is far too large."
            )

    def close(self) -> Iterator[Event]:
        """Yield the event of a last line without a line break."""
        last = self._lines.close()
        if not last:
            return
        try:
            yield from self._events([last], last)
        except InputError as error:
            if outline(last.removeprefix(BYTE_ORDER_MARK)) is None:
                raise InputError(
                    f"Line {self.lines_read}{_of_stream(last)} is cut off: the tap's output ends "
                    "in the middle of a message. Look for what stopped the tap, then run again."
                ) from None
            raise error from None

    def _events(self, lines: list[Line], chunk: bytes) -> Iterator[Event]:
        """Yield the events of the `lines` that `chunk` completed."""
        line = self.lines_read + 1
        messages = decoded(lines, _MESSAGES.decode) if are_utf8(lines, chunk) else None
        if messages is None:
            yield from self._events_one_by_one(lines)
            return
        self.lines_read += len(messages)
        if isinstance(lines[-1], memoryview):
            _let_go_of(len(chunk), messages)
        for kind, group in groupby(messages, type):
            run = list(group)
            if kind is RecordMessage:
                yield Records(line, run)
            else:
                yield from map(_event, count(line), run)
            line += len(run)

    def _events_one_by_one(self, lines: list[Line]) -> Iterator[Event]:
        """Yield each line's event: for blank lines, and whatever else cannot be read at once."""
        for text in map(bytes, lines):
            self.lines_read += 1
            if not text or text.isspace():
                continue
            yield _read_line(self.lines_read, text)


def _let_go_of(chunk_bytes: int, messages: list[_Message]) -> None:
    """Copy the records of a chunk where they are a small part of what they would keep in memory.

    Long states, say, or members that nobody knows stand between them.
    """
    records = [message for message in messages if type(message) is RecordMessage]
    kept = sum([len(message.record) for message in records]) + RECORD_BYTES * len(records)
    if chunk_bytes > 2 * kept:
        for message in records:
            message.record = Raw(bytes(message.record))


def _read_line(line: int, text: bytes) -> Event:
    if b"\x00" in text[:4]:
        raise InputError(f"Line {line} looks like UTF-16. Singer messages are UTF-8.")
    if not is_utf8(text):
        raise InputError(
            f"Line {line}{_of_stream(text)} is not UTF-8. Singer messages are UTF-8: check the "
            "tap's encoding."
        )
    try:
        message = _MESSAGES.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        return _explain(line, text, error)
    return _event(line, message)


def _event(line: int, message: _Message) -> Event:
    match message:
        case _SchemaMessage():
            return Schema(
                line,
                message.stream,
                bytes(message.schema),
                _key_properties(line, message),
                tuple(message.bookmark_properties or ()),
            )
        case _StateMessage():
            return State(line, bytes(message.value))
        case _ActivateVersionMessage():
            return ActivateVersion(line, message.stream, message.version)
        case _BatchMessage():
            encoding = msgspec.structs.asdict(message.encoding)
            manifest = tuple(message.manifest)
            return RecordFiles(line, message.stream, encoding, manifest, message.version)
        case _:
            return Records(line, [message])


def _key_properties(line: int, message: _SchemaMessage) -> tuple[str, ...]:
    """Return the message's key properties; some taps put them inside the schema object."""
    if message.key_properties is not None:
        return tuple(message.key_properties)
    try:
        inside = msgspec.json.decode(message.schema, type=_KeysInSchema).key_properties
    except (msgspec.MsgspecError, RecursionError):
        inside = None
    if inside is None:
        raise InputError(
            f"Line {line}: SCHEMA of stream {quoted(message.stream)} has no `key_properties`. "
            "A stream without a key sends an empty list."
        )
    return tuple(inside)


class _KeysInSchema(msgspec.Struct):
    key_properties: list[str] | None = None


def _explain(line: int, text: bytes, error: Exception) -> MalformedRecord:
    """Return a record that is broken by itself; raise `InputError` for any other line."""
    members = outline(text)
    if members is None:
        what = "JSON" if record_defect(text) else "a JSON object"
        raise InputError(
            f"Line {line} is not {what}. Something else than Singer messages may be printed to "
            "the tap's stdout."
        )
    if "type" not in members:
        raise InputError(f"Line {line} has no `type`: it is no Singer message.")
    kind = plain_text(members["type"])
    if kind not in _REQUIRED:
        raise InputError(
            f"Line {line} has the unknown type {quoted(kind)}. Known are {', '.join(_REQUIRED)}."
        )
    stream = plain_text(members.get("stream", b""))
    where = f"Line {line}: {kind}" + (f" of stream {quoted(stream)}" if stream else "")
    for name in _REQUIRED[kind]:
        if name not in members:
            raise InputError(f"{where} has no `{name}`.")
    if kind == "RECORD" and (reason := record_defect(members["record"])):
        return MalformedRecord(line, stream, _version(members), members["record"], reason)
    detail = str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
    raise InputError(f"{where} cannot be read: {quoted(detail, mark='')}.")


def _of_stream(text: bytes) -> str:
    """Return ` of stream ...` for a line that cannot be read, where it names one early enough."""
    found = _STREAM.search(text[:_EARLY_BYTES].split(b'"record"', 1)[0])
    return f" of stream {quoted(plain_text(found[1]))}" if found else ""


def _version(members: dict[str, bytes]) -> int | None:
    try:
        return msgspec.json.decode(members.get("version", b"null"), type=int | None)
    except msgspec.MsgspecError:
        return None
