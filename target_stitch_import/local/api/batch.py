"""Reads the body of a batch request: returns the `Load` for the warehouse, or raises its error.

A typed decoder reads valid bodies quickly; an invalid body is read again without types, to find the
words of its error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from target_stitch_import.local.api.schemas import InvalidSchemaError
from target_stitch_import.local.api.validator import RecordSchema, compiled
from target_stitch_import.local.api.values import (
    INT64,
    MAX_DATA_POINTS,
    MAX_RECORDS,
    MAX_SEQUENCE,
    Columns,
    data_points,
    decoder_for,
    longest_key,
    parse,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_stitch_import.local.options import Strictness

_ENVELOPE = "Request failed validation:"
_POINTER = re.compile(r"(?<![^\s:])#((?:/.*?)?): ", re.DOTALL)
"""A JSON Pointer in an error of `_envelope_error`: it ends at `: `, which none of its names has."""
_UNSURE_KEYS = {type(None), dict, list, str}
"""Types of values that cannot be keys, and of strings, which can be too long."""


@dataclass(frozen=True, slots=True)
class Load:
    """The records of one table in an accepted request, and whether they activate its version.

    `schema` is None for push, where each value's own type counts.
    """

    table_name: str
    key_names: tuple[str, ...]
    version: int
    records: list[dict[str, Any]]
    sequences: list[int]
    extracted_at: list[str | None] | None = None
    schema: dict[str, Any] | None = None
    activate: bool = False
    columns: Columns | None = None
    """The records column by column, where that is known."""


class RefusedError(ValueError):
    """The batch is refused with status 400; the text is the body's `error`.

    `places` are JSON Pointers to what is wrong in the body.
    """

    def __init__(self, text: str, places: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.places = places


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    action: str
    sequence: int
    data: dict[str, Any] | UnsetType = UNSET
    time_extracted: str | UnsetType = UNSET


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    table_name: str
    schema: dict[str, Any]
    messages: list[_Message]
    key_names: list[str] = []
    table_version: int = 0
    bookmark_names: list[str] = []


_decoder = decoder_for(_Batch)


def read_batch(body: bytes, strictness: Strictness) -> Load:
    """Check a batch body in the API's order and return what to load.

    Raises MalformedError for a body that is not JSON and RefusedError for one that is refused.
    """
    batch = _decode(body)
    if max(message.sequence for message in batch.messages) > MAX_SEQUENCE:
        raise RefusedError(f"{_ENVELOPE}#: sequence can not be above {MAX_SEQUENCE}")
    try:
        schema = compiled(batch.schema, strict_date_time=strictness.strict_datetime)
    except InvalidSchemaError as error:
        raise RefusedError(f"Invalid JSON schema: {error}") from None
    upserts = [message for message in batch.messages if message.action == "upsert"]
    records: list[Any] = [message.data for message in upserts]
    _check_keys_exist(batch)
    columns = Columns.of(records)
    try:
        _check_records(columns, batch.key_names, schema, strictness)
    except _BadRecordError as error:
        upsert = upserts[error.at]
        at = next(at for at, message in enumerate(batch.messages) if message is upsert)
        within = f"/messages/{at}/data"
        raise RefusedError(str(error), tuple(within + place for place in error.places)) from None
    return Load(
        table_name=batch.table_name,
        key_names=tuple(batch.key_names),
        version=batch.table_version,
        records=records,
        sequences=[message.sequence for message in upserts],
        extracted_at=_times([message.time_extracted for message in upserts]),
        schema=schema.schema,
        activate=len(upserts) < len(batch.messages),
        columns=columns,
    )


class _BadRecordError(ValueError):
    """An invalid record: its position among the records, and the places in it."""

    def __init__(self, at: int, text: str, places: Iterable[str] = ("",)) -> None:
        super().__init__(text)
        self.at = at
        self.places = tuple(places)


def _check_keys_exist(batch: _Batch) -> None:
    properties = batch.schema.get("properties")
    for name in batch.key_names:
        if not isinstance(properties, dict) or name not in properties:
            raise RefusedError(f"{_ENVELOPE}#/key_names: key [{name}] is not a property of schema")


def _check_records(
    columns: Columns, key_names: list[str], schema: RecordSchema, strictness: Strictness
) -> None:
    """Refuse the batch for its first bad record: by its key, its size, or its schema."""
    records = columns.records
    wrong_key = _first_wrong_key(columns, key_names, strictness)
    too_wide = _first_too_wide(columns) if strictness.count_data_points else None
    unfit = schema.first_unfit(columns)
    positions = (wrong_key[0] if wrong_key is not None else None, too_wide, unfit)
    first = min((at for at in positions if at is not None), default=None)
    if first is None:
        return
    if wrong_key is not None and wrong_key[0] == first:
        raise _BadRecordError(*wrong_key)
    if too_wide == first:
        points = data_points(records[first])
        raise _BadRecordError(first, f"Record {first} has too many data points: {points}")
    why = schema.explain(records[first])
    text = _unfit(first, why.text or "#: does not fit the schema", live=strictness.live_messages)
    raise _BadRecordError(first, text, (each.removeprefix("#") for each in why.places or ("#",)))


def _times(extracted: list[str | UnsetType]) -> list[str | None] | None:
    if all(each is UNSET for each in extracted):
        return None
    return [None if isinstance(each, UnsetType) else each for each in extracted]


def _unfit(index: int, why: str, *, live: bool) -> str:
    if live:
        lines = why.replace(" #", "\n#").replace("expected: ", "expected type: ")
        return f"Record {index} did not conform to schema:\n{lines}\n"
    return f"Record {index} did not conform to schema: {why}"


def _first_wrong_key(
    columns: Columns, key_names: list[str], strictness: Strictness
) -> tuple[int, str] | None:
    """Return the position and error of the first record with an invalid key.

    A key must be a scalar, not null, and not too long.
    """
    longest = longest_key(strictness)
    first: tuple[int, str] | None = None
    for name in key_names if columns.records else ():
        # A key that no record has is missing from the first one.
        values = columns.values.get(name, (None,))
        if name in columns.kinds and columns.kinds[name].isdisjoint(_UNSURE_KEYS):
            continue
        for index, value in enumerate(values):
            if first is not None and index >= first[0]:
                break
            if value is None or isinstance(value, dict | list):
                first = index, f"Record is missing key property {name}"
            elif isinstance(value, str) and len(value) > longest:
                first = index, f"String keys cannot be longer than {longest} characters"
    return first


def _first_too_wide(columns: Columns) -> int | None:
    nested = any(not kinds.isdisjoint({dict, list}) for kinds in columns.kinds.values())
    if len(columns.values) <= MAX_DATA_POINTS and not nested:
        return None
    for index, record in enumerate(columns.records):
        if data_points(record) > MAX_DATA_POINTS:
            return index
    return None


def _decode(body: bytes) -> _Batch:
    try:
        batch: _Batch = _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        raise _envelope_refusal(body) from None
    known = {"upsert", "activate_version"}
    usable = (
        batch.table_name
        and 0 < len(batch.messages) <= MAX_RECORDS
        and batch.table_version in INT64
        and min(message.sequence for message in batch.messages) >= INT64.start
    )
    if not usable or any(
        message.action not in known or (message.action == "upsert") == (message.data is UNSET)
        for message in batch.messages
    ):
        raise _envelope_refusal(body)
    return batch


def _envelope_refusal(body: bytes) -> RefusedError:
    text = _envelope_error(parse(body))
    return RefusedError(text, tuple(dict.fromkeys(_POINTER.findall(text))))


_REQUIRED = ("table_name", "schema", "messages")
_ARGUMENTS: dict[str, tuple[type, str]] = {
    "table_name": (str, "String"),
    "schema": (dict, "JSONObject"),
    "messages": (list, "JSONArray"),
    "key_names": (list, "JSONArray"),
    "table_version": (int, "Integer"),
    "bookmark_names": (list, "JSONArray"),
}
_MEMBERS: dict[str, tuple[type, str]] = {
    "action": (str, "String"),
    "sequence": (int, "Integer"),
    "data": (dict, "JSONObject"),
    "time_extracted": (str, "String"),
}


def _envelope_error(body: Any) -> str:
    """Say what is wrong with the structure of a parsed batch body."""
    if not isinstance(body, dict):
        return f"{_ENVELOPE}#: expected type: JSONObject, found: {type_name(body)}"
    texts = [f"#: required key [{name}] not found" for name in _REQUIRED if name not in body]
    texts += [
        f"#: extraneous key [{name}] is not permitted" for name in body if name not in _ARGUMENTS
    ]
    for name in _ARGUMENTS:
        if name in body:
            texts += _argument_errors(name, body[name])
    if not texts:  # of repeated keys, only the last value was checked here
        texts = ["#: a repeated key has an invalid value"]
    if len(texts) > 1:
        texts.insert(0, f"#: {len(texts)} schema violations found")
    return _ENVELOPE + " ".join(texts)


def _argument_errors(name: str, value: Any) -> list[str]:
    type_, words = _ARGUMENTS[name]
    fits = isinstance(value, type_) and not isinstance(value, bool)
    if not fits:
        return [f"#/{name}: expected type: {words}, found: {type_name(value)}"]
    if name == "table_name" and not value:
        return ["#/table_name: expected minLength: 1, actual: 0"]
    if name == "table_version" and value not in INT64:
        return [f"#/{name}: expected type: {words}, found: {type_name(value)}"]
    if name == "messages":
        return _messages_errors(value)
    if name in ("key_names", "bookmark_names"):
        return [
            f"#/{name}/{index}: expected type: String, found: {type_name(item)}"
            for index, item in enumerate(value)
            if not isinstance(item, str)
        ]
    return []


def _messages_errors(messages: list[Any]) -> list[str]:
    if not messages:
        return ["#/messages: expected minimum item count: 1, found: 0"]
    if len(messages) > MAX_RECORDS:
        return [f"#/messages: expected maximum item count: {MAX_RECORDS}, found: {len(messages)}"]
    texts = (_message_error(f"#/messages/{at}", each) for at, each in enumerate(messages))
    return [text for text in texts if text]


def _message_error(here: str, message: Any) -> str:
    """Say what is wrong with one message, as the live service words a `oneOf` of two shapes."""
    head = f"{here}: #: 0 subschemas matched instead of one"
    if not isinstance(message, dict):
        return f"{head} {here}: expected type: JSONObject, found: {type_name(message)}"
    for name in ("action", "sequence"):
        if name not in message:
            missing = f"{here}: required key [{name}] not found"
            return (
                f"{head} {here}: 2 schema violations found {missing}"
                f" {here}: extraneous key [data] is not permitted {missing}"
            )
    wrong = [
        f"{here}: extraneous key [{name}] is not permitted"
        for name in message
        if name not in _MEMBERS
    ]
    for name, (type_, words) in _MEMBERS.items():
        value = message.get(name)
        if name in message and (not isinstance(value, type_) or isinstance(value, bool)):
            wrong.append(f"{here}/{name}: expected type: {words}, found: {type_name(value)}")
    sequence = message["sequence"]
    if isinstance(sequence, int) and sequence < INT64.start:
        wrong.append(f"{here}/sequence: {sequence} is not greater or equal to {INT64.start}")
    wrong += _action_errors(here, message)
    return " ".join([head, *wrong]) if wrong else ""


def _action_errors(here: str, message: dict[str, Any]) -> list[str]:
    action = message["action"]
    if not isinstance(action, str):
        return []
    if action not in ("upsert", "activate_version"):
        return [f"{here}/action: {action} is not a valid enum value"]
    if action == "upsert" and "data" not in message:
        return [f"{here}: required key [data] not found"]
    if action == "activate_version" and "data" in message:
        return [f"{here}: extraneous key [data] is not permitted"]
    return []
