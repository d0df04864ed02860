"""Decodes Singer messages, and defines the events that readers yield.

Invariant: a record is never parsed here; its text is passed on unchanged.
"""

from __future__ import annotations

import re
from itertools import count, groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from target_stitch_import.errors import InputError, assert_never, quoted
from target_stitch_import.limits import MAX_DATA_POINTS
from target_stitch_import.singer.lines import MAX_LINE_BYTES
from target_stitch_import.singer.outline import MAX_BYTES, outline, plain_text, record_defect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from target_stitch_import.singer.origin import BatchFile


class RecordMessage(msgspec.Struct, tag_field="type", tag="RECORD", gc=False):
    """A RECORD message; `record` is the record's text as the tap wrote it."""

    stream: str
    record: Raw
    version: int | None = None
    time_extracted: str | None = None


class _SchemaMessage(msgspec.Struct, tag_field="type", tag="SCHEMA"):
    stream: str
    schema: Raw
    key_properties: list[str] | UnsetType | None = UNSET
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


class _Row(msgspec.Struct):
    data: Raw


_ROWS = msgspec.json.Decoder(list[_Row])
_RECORD = msgspec.json.Decoder(RecordMessage)
_RECORD_FIELDS = RecordMessage.__struct_fields__

_OtherMessage: TypeAlias = _SchemaMessage | _StateMessage | _ActivateVersionMessage | _BatchMessage
_Message: TypeAlias = RecordMessage | _OtherMessage
_MESSAGES = msgspec.json.Decoder(_Message)
_STREAM = re.compile(rb'"stream"\s*:\s*("(?:[^"\\]|\\.){0,1000}")')
RECORD_BYTES = 400
"""Approximate memory of a waiting record, in addition to its text."""
MAX_SCHEMA_BYTES = 4_000_000
MAX_SCHEMA_MARKS = 100_000
"""Limit for the commas and opening brackets of a schema, which are about as many as its names and
values. It allows more than 16,000 columns, more than any destination supports; a larger schema
would take seconds to read."""
_EARLY_BYTES = 4_096
"""How far into a line the name of its stream is searched, so that the search takes little time."""
_REQUIRED = {
    "RECORD": ("stream", "record"),
    "SCHEMA": ("stream", "schema"),
    "STATE": ("value",),
    "ACTIVATE_VERSION": ("stream", "version"),
    "BATCH": ("stream", "encoding", "manifest"),
}


class Records(Struct, frozen=True):
    """Records of any streams on consecutive lines; `messages[i]` is on line `line + i`.

    Lines are counted in `file` if there is one, else in the tap's output.
    """

    line: int
    messages: list[RecordMessage]
    file: BatchFile | None = None


class Rows(Struct, frozen=True):
    """Rows of one stream and version, from a columnar file; the first row has the number `line`.

    `messages(first_sequence)` returns the rows' messages as a JSON list, and the length in bytes of
    the longest record. `types` maps columns to the JSON types that their values can have,
    `date-time` among them. `sequences` has the rows' own sequences, where they bring their own.
    """

    line: int
    stream: str
    version: int | None
    count: int
    messages: Callable[[int], tuple[bytes, int]]
    types: Mapping[str, frozenset[str]]
    file: BatchFile
    sequences: list[int] | None = None

    def records(self) -> Records:
        """Return the rows as single records, for stream maps; those have no `sequences`."""
        texts = _ROWS.decode(self.messages(0)[0])
        messages = [RecordMessage(self.stream, each.data, self.version) for each in texts]
        return Records(self.line, messages, self.file)


class MalformedRecord(Struct, frozen=True):
    """A record that cannot be validated as it is; `reason` says why.

    Its text is not valid JSON, its stream map failed, or its row must not be sent.
    """

    line: int
    stream: str
    version: int | None
    text: bytes
    reason: str
    file: BatchFile | None = None
    mapped: bool = True
    """Whether the stream's map was applied, where it has one."""
    field: str = ""
    """JSON Pointer to the invalid value; empty for the whole record."""
    time_extracted: str | None = None
    repaired_record: RecordMessage | None = None
    """The repaired record, if repairs made it valid JSON."""
    repaired: tuple[tuple[tuple[str | int, ...], str], ...] = ()
    """The repairs of `repaired_record`: the path to each value, and the name of its repair."""
    sequence: int | None = None
    """The row's own sequence, where rows bring their own."""


class Schema(Struct, frozen=True):
    """The schema of a stream's records from here on; `schema` is the tap's own JSON text."""

    line: int
    stream: str
    schema: bytes
    key_properties: tuple[str, ...]
    bookmark_properties: tuple[str, ...] = ()
    is_map_output: bool = False
    """Whether a stream map produced it; then a `MappedSchema` follows."""


class MappedSchema(Struct, frozen=True):
    """The streams that stream maps make from one stream of the tap; each has had its `Schema`."""

    line: int
    stream: str
    aliases: tuple[str, ...]


class State(Struct, frozen=True):
    """A checkpoint: `text` is the tap's own JSON text of the value."""

    line: int
    text: bytes


class ActivateVersion(Struct, frozen=True):
    """Deletes every record of `stream` whose version is not `version`."""

    line: int
    stream: str
    version: int


class RecordFiles(Struct, frozen=True):
    """A BATCH message: files that contain records, and their encoding."""

    line: int
    stream: str
    encoding: dict[str, str | None]
    manifest: tuple[str, ...]
    version: int | None = None


Event: TypeAlias = (
    Records | Rows | MalformedRecord | Schema | MappedSchema | State | ActivateVersion | RecordFiles
)


class MessageLines:
    """Decodes the lines of a tap's output, each of which is a Singer message."""

    decode = staticmethod(_MESSAGES.decode)

    def events(self, line: int, found: list[Any], chunk_bytes: int) -> Iterator[Event]:
        """Yield the events of the messages on consecutive lines."""
        if chunk_bytes:
            _copy_records(chunk_bytes, found)
        for kind, group in groupby(found, type):
            run = list(group)
            if kind is RecordMessage:
                yield Records(line, run)
            else:
                yield from map(_event, count(line), run)
            line += len(run)

    def explain(self, line: int, text: bytes, error: Exception | None) -> MalformedRecord:
        """Return the malformed record of a line that is otherwise a valid RECORD message.

        Raises:
            InputError: The line is not a RECORD message, or more than its record is invalid.
        """
        if b"\x00" in text[:4]:
            raise InputError(
                f"Line {line} looks like UTF-16. Singer messages are UTF-8: check the tap's "
                "encoding."
            )
        if error is None:
            raise InputError(
                f"Line {line}{_of_stream(text)} is not UTF-8. Singer messages are UTF-8: check "
                "the tap's encoding."
            )
        return _explain(line, text, error)

    def too_long(self, line: int) -> str:
        """Return the error message for a line of more than `MAX_LINE_BYTES`."""
        return (
            f"Line {line} is longer than {MAX_LINE_BYTES:,} bytes: the input is not a tap's "
            "output, or a record is far too large."
        )

    def cut_off(self, line: int, text: bytes) -> str:
        """Return the error message for an incomplete last line."""
        return (
            f"Line {line}{_of_stream(text)} is incomplete: the tap's output ends in the middle of "
            "a message. Find out what stopped the tap, then run again."
        )


def _copy_records(chunk_bytes: int, messages: list[_Message]) -> None:
    """Copy the records out of their chunk if they are only a small part of it.

    A record keeps its whole chunk in memory. Long STATE messages, or unknown members, can make up
    most of a chunk.
    """
    records = [message for message in messages if type(message) is RecordMessage]
    kept = sum([len(message.record) for message in records]) + RECORD_BYTES * len(records)
    if chunk_bytes > 2 * kept:
        for message in records:
            message.record = Raw(bytes(message.record))


def _event(line: int, message: _OtherMessage) -> Event:
    match message:
        case _SchemaMessage():
            return _schema(line, message)
        case _StateMessage():
            return State(line, bytes(message.value))
        case _ActivateVersionMessage():
            return ActivateVersion(line, message.stream, message.version)
        case _BatchMessage():
            encoding = msgspec.structs.asdict(message.encoding)
            manifest = tuple(message.manifest)
            return RecordFiles(line, message.stream, encoding, manifest, message.version)
        case _:
            return assert_never(message)


def _schema(line: int, message: _SchemaMessage) -> Schema:
    text, bookmarks = bytes(message.schema), tuple(message.bookmark_properties or ())
    is_long = len(text) > MAX_SCHEMA_BYTES
    if is_long or sum(map(text.count, (b",", b"{", b"["))) > MAX_SCHEMA_MARKS:
        most = f"{MAX_SCHEMA_MARKS:,} names and values"
        if is_long:
            most = f"{MAX_SCHEMA_BYTES:,} bytes"
        raise InputError(
            f"Line {line}: SCHEMA of stream {quoted(message.stream)} is larger than {most}; no "
            "destination supports that many columns. Select fewer columns in the tap."
        )
    keys = _key_properties(line, message)
    if max(len(keys), len(bookmarks)) > MAX_DATA_POINTS:
        raise InputError(
            f"Line {line}: SCHEMA of stream {quoted(message.stream)} has more than "
            f"{MAX_DATA_POINTS:,} key properties, more than a record may have values. Fix the "
            "tap's `key_properties`."
        )
    return Schema(line, message.stream, text, keys, bookmarks)


def _key_properties(line: int, message: _SchemaMessage) -> tuple[str, ...]:
    """Return the message's key properties; some taps put them inside the schema object.

    A stream without keys has an empty list or null.
    """
    if isinstance(message.key_properties, list):
        return tuple(message.key_properties)
    try:
        inside = msgspec.json.decode(message.schema, type=_KeysInSchema).key_properties
    except (msgspec.MsgspecError, RecursionError):
        inside = None
    if inside is None and message.key_properties is UNSET:
        raise InputError(
            f"Line {line}: SCHEMA of stream {quoted(message.stream)} has no `key_properties`. For "
            "a stream without a key, send an empty list."
        )
    return tuple(inside or ())


class _KeysInSchema(msgspec.Struct):
    key_properties: list[str] | None = None


def _explain(line: int, text: bytes, error: Exception) -> MalformedRecord:
    """Return the malformed record of an otherwise valid message, or raise `InputError`."""
    members = outline(text)
    if members is None and len(text) > MAX_BYTES:
        raise InputError(
            f"Line {line}{_of_stream(text)} is not JSON, and is too long for a detailed error."
        )
    if members is None:
        what = "JSON" if record_defect(text) else "a JSON object"
        raise InputError(
            f"Line {line} is not {what}. The tap may print something other than Singer messages to "
            "stdout."
        )
    if "type" not in members:
        raise InputError(f"Line {line} has no `type`, so it is not a Singer message.")
    kind = plain_text(members["type"])
    if kind not in _REQUIRED:
        raise InputError(
            f"Line {line} has the unknown type {quoted(kind)}. Known types: {', '.join(_REQUIRED)}."
        )
    stream = plain_text(members.get("stream", b""))
    where = f"Line {line}: {kind}" + (f" of stream {quoted(stream)}" if stream else "")
    for name in _REQUIRED[kind]:
        if name not in members:
            raise InputError(f"{where} has no `{name}`.")
    if kind == "RECORD" and (defect := record_defect(members["record"])):
        try:
            message = _without_record(members)
        except msgspec.MsgspecError as failed:
            error = failed
        else:
            return MalformedRecord(
                line,
                message.stream,
                message.version,
                members["record"],
                defect.reason,
                field=defect.field,
                time_extracted=message.time_extracted,
            )
    detail = str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
    raise InputError(f"{where} cannot be read: {quoted(detail, mark='')}.")


def _of_stream(text: bytes) -> str:
    """Return ` of stream ...` for an unreadable line if it names one early enough; else empty."""
    found = _STREAM.search(text[:_EARLY_BYTES].split(b'"record"', 1)[0])
    return f" of stream {quoted(plain_text(found[1]))}" if found else ""


def _without_record(members: dict[str, bytes]) -> RecordMessage:
    """Return a RECORD message with null as its record; unknown members are not examined.

    Raises:
        msgspec.MsgspecError: Another member is invalid.
    """
    known = {name: Raw(members[name]) for name in _RECORD_FIELDS if name in members}
    return _RECORD.decode(msgspec.json.encode(known | {"record": None}))
