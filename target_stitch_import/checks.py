"""Checks records before they are sent: quickly where all is well, exactly where it is not.

Law: the quick check passes nothing that the exact one refuses. The exact check is `jsonschema`
(Draft 4) on exact decimals, with the Import API's rules for keys and sizes; its words name field
and rule, and never a value.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Raw

from target_stitch_import.errors import quoted
from target_stitch_import.fast_types import MAX_PLAIN_KEY_CHARACTERS, key_type, record_type
from target_stitch_import.json_schema import resolve, types_of
from target_stitch_import.payload import MAX_DATA_POINTS, MAX_KEY_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_stitch_import.json_schema import JsonSchema

SMALL_RECORD_BYTES = 2 * MAX_DATA_POINTS
"""A smaller record cannot hold too many data points: each takes two bytes with its comma."""

_LONGEST_NUMBER = 4_000
_DOUBLE_DIGITS = 15
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3])(:[0-5]\d){2}(\.\d+)?(?P<offset>[Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a record cannot be sent: `field` is a JSON Pointer into it, empty for the whole."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"field {quoted(self.field)}: {self.reason}" if self.field else self.reason


@dataclass(frozen=True, slots=True)
class Passed:
    """A record that can be sent, its date-times completed, with what its user should know.

    `notes` maps a field to a note about it.
    """

    record: Raw
    notes: dict[str, str]


class QuickCheck(Protocol):
    """Says yes to what it can see is right; a no means only that it must be looked at."""

    def accepts_all(self, messages: bytes) -> bool:
        """Check a JSON list of messages, each with its record in `data`."""

    def accepts(self, record: Raw) -> bool:
        """Check one record."""


class TypedCheck:
    """A quick check by a `msgspec` type: types are checked while the text is parsed."""

    def __init__(self, record: Any) -> None:
        message = msgspec.defstruct("Message", [("data", record)], gc=False)
        self._record = msgspec.json.Decoder(record)
        self._messages = msgspec.json.Decoder(list[message])  # type: ignore[valid-type]

    def accepts_all(self, messages: bytes) -> bool:
        """Check a JSON list of messages, each with its record in `data`."""
        return _decodes(self._messages, messages)

    def accepts(self, record: Raw) -> bool:
        """Check one record."""
        return _decodes(self._record, record)


class _DataOnly(msgspec.Struct, gc=False):
    data: Any


class CompiledCheck:
    """A quick check by `jsonschema-rs`, for schemas that no type can express.

    Args:
        keys: Checks the key properties, of which a schema says nothing.
    """

    def __init__(self, schema: JsonSchema, keys: QuickCheck) -> None:
        import jsonschema_rs  # noqa: PLC0415 - only where a schema needs it

        # The linear engine cannot be made to hang; what it lacks goes to the exact check.
        self._is_valid = jsonschema_rs.Draft4Validator(
            schema,
            formats={"date-time": is_date_time},
            validate_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(),
            offline=True,
        ).is_valid
        self._keys = keys
        # It is exact in multiples only as far as a double is.
        number = _short_decimal if "'multipleOf'" in repr(schema) else _decimal
        self._record = msgspec.json.Decoder(Any, float_hook=number)
        self._messages = msgspec.json.Decoder(list[_DataOnly], float_hook=number)

    def accepts_all(self, messages: bytes) -> bool:
        """Check a JSON list of messages, each with its record in `data`."""
        if not self._keys.accepts_all(messages):
            return False
        try:
            return all(self._is_valid(each.data) for each in self._messages.decode(messages))
        except (ValueError, RecursionError):
            return False

    def accepts(self, record: Raw) -> bool:
        """Check one record."""
        try:
            return self._keys.accepts(record) and self._is_valid(self._record.decode(record))
        except (ValueError, RecursionError):
            return False


class NoQuickCheck:
    """For schemas that only the exact check can take."""

    def accepts_all(self, messages: bytes) -> bool:  # noqa: ARG002
        """Look at every record."""
        return False

    def accepts(self, record: Raw) -> bool:  # noqa: ARG002
        """Look at the record."""
        return False


def quick_check(schema: JsonSchema | None, keys: Sequence[str]) -> QuickCheck:
    """Return the fastest check for an enforced schema, or for the keys alone without one."""
    record = key_type(keys) if schema is None else record_type(schema, keys)
    if record is not None:
        return TypedCheck(record)
    key_record = key_type(keys)
    if schema is None or key_record is None:
        return NoQuickCheck()
    try:
        return CompiledCheck(schema, TypedCheck(key_record))
    except ValueError:
        return NoQuickCheck()


class RecordCheck:
    """What records of one stream must be.

    Args:
        schema: As `json_schema.enforced` returns it; None checks keys and sizes alone.
        keys: The key properties.
        naive_datetimes: `utc` completes a date-time without offset, `fail` refuses it, `keep`
            lets it through.
        max_record_bytes: The longest text that still fits a request.
    """

    def __init__(
        self,
        schema: JsonSchema | None,
        keys: Sequence[str],
        *,
        naive_datetimes: str = "utc",
        max_record_bytes: int,
    ) -> None:
        self._schema = schema
        self._keys = tuple(keys)
        self._max_record_bytes = max_record_bytes
        self._naive = naive_datetimes
        self._quick = quick_check(schema, keys)

    @cached_property
    def _completion(self) -> _Completion | None:
        """Where naive date-times are completed; most streams never need to know."""
        if self._schema is None or self._naive == "fail":
            return None
        return _completion(self._schema)

    def accepts_all(self, messages: bytes, records: Sequence[Raw]) -> bool:
        """Tell at once whether all `records` are right; `messages` is their JSON list."""
        if len(messages) > SMALL_RECORD_BYTES and any(map(self._may_be_too_large, records)):
            return False
        return self._quick.accepts_all(messages)

    def examine(self, record: Raw) -> Passed | Refused:
        """Look at one record."""
        if self._may_be_too_large(record) and (refused := self._too_large(record)):
            return refused
        if self._quick.accepts(record):
            return Passed(record, {})
        notes: dict[str, str] = {}
        candidate = record
        if self._completion is not None:
            fields: list[str] = []
            candidate = _complete(record, self._completion, "", fields)
            if fields and self._naive == "utc":
                record = candidate
                notes = dict.fromkeys(fields, _NOTE_UTC)
            if fields and self._quick.accepts(candidate):
                return Passed(record, notes)
        refused, key_notes = self._exactly(candidate)
        return refused or Passed(record, notes | key_notes)

    def _may_be_too_large(self, record: Raw) -> bool:
        """Tell whether a record needs counting: each data point but one costs a comma."""
        return len(record) > SMALL_RECORD_BYTES and (
            len(record) > self._max_record_bytes or bytes(record).count(b",") >= MAX_DATA_POINTS
        )

    def _too_large(self, record: Raw) -> Refused | None:
        if len(record) > self._max_record_bytes:
            return Refused("", f"it is {len(record):,} bytes long; the Import API takes 20 MB")
        value, refused = parse_exactly(record)
        points = 0 if refused else data_points(value)
        if points > MAX_DATA_POINTS:
            return Refused(
                "", f"it has {points:,} data points; the Import API takes {MAX_DATA_POINTS:,}"
            )
        return refused

    def _exactly(self, record: Raw) -> tuple[Refused | None, dict[str, str]]:
        value, refused = parse_exactly(record)
        if refused:
            return refused, {}
        if not isinstance(value, dict):
            return Refused("", f"a record is an object, not {json_type(value)}"), {}
        notes: dict[str, str] = {}
        for key in self._keys:
            if refused := _refused_key(key, value, notes):
                return refused, {}
        if self._schema is None:
            return None, notes
        return _refused_by_schema(self._schema, value), notes


_NOTE_UTC = "date-times without an offset are taken as UTC and get a `Z` (see `naive_datetimes`)"


def is_date_time(text: object) -> bool:
    """Tell whether `text` is a date-time of RFC 3339; other types are no matter of formats."""
    if not isinstance(text, str):
        return True
    match = _DATE_TIME.fullmatch(text)
    return bool(match and match["offset"] and _is_on_the_calendar(match))


def _is_naive(text: str) -> bool:
    match = _DATE_TIME.fullmatch(text)
    return bool(match and not match["offset"] and _is_on_the_calendar(match))


def _is_on_the_calendar(match: re.Match[str]) -> bool:
    offset = match["offset"]
    if offset and offset not in "Zz" and (int(offset[1:3]) > 23 or int(offset[-2:]) > 59):
        return False
    try:
        datetime.strptime(match[1], "%Y-%m-%d")  # noqa: DTZ007 - the day alone
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class _Completion:
    """Where date-times stand in a value: it is one itself, or its members and items hold some."""

    is_date_time: bool = False
    members: dict[str, _Completion] = field(default_factory=dict)
    rest: _Completion | None = None
    items: _Completion | None = None


def _completion(schema: JsonSchema) -> _Completion | None:
    """Return where an enforced schema has date-times, or None where it has none."""
    if "'date-time'" not in repr(schema):
        return None
    return _completion_of(schema, schema, {})


def _completion_of(
    schema: JsonSchema, root: JsonSchema, known: dict[int, _Completion]
) -> _Completion:
    schema = resolve(schema, root)
    if id(schema) in known:
        return known[id(schema)]
    found = known[id(schema)] = _Completion()
    strings = [
        "format" in each
        for each in (resolve(alternative, root) for alternative in _alternatives(schema))
        if "string" in types_of(each) and not {"anyOf", "oneOf"} & each.keys()
    ]
    # Where any string will do, a date-time without an offset is right as it is.
    found.is_date_time = bool(strings) and all(strings)
    for each in (schema, *_alternatives(schema), *schema.get("allOf", ())):
        part = resolve(each, root)
        if part is not schema:
            below = _completion_of(part, root, known)
            found.members |= below.members
            found.rest = found.rest or below.rest
            found.items = found.items or below.items
            found.is_date_time |= below.is_date_time and each in schema.get("allOf", ())
    for name, below_schema in schema.get("properties", {}).items():
        found.members[name] = _completion_of(below_schema, root, known)
    if isinstance(schema.get("additionalProperties"), dict):
        found.rest = _completion_of(schema["additionalProperties"], root, known)
    if isinstance(schema.get("items"), dict):
        found.items = _completion_of(schema["items"], root, known)
    return found


def _alternatives(schema: JsonSchema) -> list[JsonSchema]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())] or [schema]


_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_STRING = msgspec.json.Decoder(str)


def _complete(text: Raw, completion: _Completion, field: str, fields: list[str]) -> Raw:
    """Return `text` with a `Z` behind each date-time without offset; note them in `fields`."""
    opening = bytes(memoryview(text)[:1])
    before = len(fields)
    try:
        if opening == b'"' and completion.is_date_time:
            if _is_naive(_STRING.decode(text)):
                fields.append(field)
                # The day is ten characters long; some write a space behind it.
                return Raw(bytes(text)[:11] + b"T" + bytes(text)[12:-1] + b'Z"')
        elif opening == b"{" and (completion.members or completion.rest):
            members = _MEMBERS.decode(text)
            for name, value in members.items():
                if below := completion.members.get(name, completion.rest):
                    members[name] = _complete(value, below, f"{field}/{name}", fields)
            return Raw(msgspec.json.encode(members)) if len(fields) > before else text
        elif opening == b"[" and completion.items:
            items = [_complete(i, completion.items, field, fields) for i in _ITEMS.decode(text)]
            return Raw(msgspec.json.encode(items)) if len(fields) > before else text
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # the exact check says what is wrong with it
    return text


def _decodes(decoder: msgspec.json.Decoder[Any], text: bytes | Raw) -> bool:
    try:
        decoder.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _decimal(text: str) -> Decimal:
    """Return a number exactly; refuse what would fill the memory once it is written out."""
    number = Decimal(text)
    if len(text) > _LONGEST_NUMBER or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise ValueError("it is too long, or its exponent too large")
    return number


def _short_decimal(text: str) -> Decimal:
    if len(text) > _DOUBLE_DIGITS:
        raise ValueError("beyond the precision of a double")
    return _decimal(text)


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("it is too long")
    return int(text)


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def parse_exactly(record: Raw | bytes) -> tuple[Any, Refused | None]:
    """Return the value of a record with exact numbers, or why it has none."""
    try:
        value = json.loads(
            bytes(record), parse_float=_decimal, parse_int=_integer, parse_constant=_not_json
        )
    except RecursionError:
        return None, Refused("", "it is nested too deeply")
    except json.JSONDecodeError:
        return None, Refused("", "it is not JSON")
    except ValueError as error:
        return None, Refused("", f"it holds a number that cannot be checked: {error}")
    return value, None


def data_points(value: object) -> int:
    """Count scalars, `null` included, as the Import API counts data points."""
    points = 0
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        else:
            points += 1
    return points


def json_type(value: object) -> str:
    """Return the JSON Schema name of a parsed value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, Decimal):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"


def _refused_key(key: str, record: dict[str, Any], notes: dict[str, str]) -> Refused | None:
    field = f"/{key}"
    if key not in record:
        return Refused(field, "the key property is missing")
    value = record[key]
    if value is None or isinstance(value, dict | list):
        return Refused(field, f"a key property cannot be {json_type(value)}")
    if isinstance(value, str) and len(value) > MAX_KEY_CHARACTERS:
        return Refused(
            field,
            f"the key is {len(value):,} characters long; "
            f"the Import API takes {MAX_KEY_CHARACTERS:,}",
        )
    if value == "":
        notes[field] = "some keys are empty strings"
    elif isinstance(value, str) and len(value) > MAX_PLAIN_KEY_CHARACTERS:
        notes[field] = (
            f"some keys are longer than {MAX_PLAIN_KEY_CHARACTERS} characters, "
            "which some destinations cut or refuse"
        )
    return None


def _refused_by_schema(schema: JsonSchema, record: dict[str, Any]) -> Refused | None:
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - slow to import, rarely needed

    try:
        error = best_match(_exact_validator()(schema).iter_errors(record))
    except RecursionError:
        return Refused("", "it is nested too deeply")
    if error is None:
        return None
    path = "".join(f"/{part}" for part in error.absolute_path)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return Refused(f"{path}/{missing[0]}", "a required member is missing")
    return Refused(path, _words(str(error.validator), error.validator_value, error.instance))


def _words(keyword: str, expected: Any, found: Any) -> str:
    """Say which rule was broken, in words that hold nothing of the record but its types."""
    if keyword == "type":
        types = expected if isinstance(expected, list) else [expected]
        return f"expected {' or '.join(types)}, found {json_type(found)}"
    if keyword == "format":
        return "expected a date-time with an offset, as in 2024-01-31T23:59:59Z"
    if keyword in {"anyOf", "oneOf"}:
        return f"it fits none, or too many, of the {len(expected)} alternatives of `{keyword}`"
    if keyword == "additionalProperties":
        return "it has a member that the schema does not allow"
    if keyword == "enum":
        return f"it is none of the {len(expected)} values of `enum`"
    if isinstance(expected, int | Decimal | str | bool):
        return f"it breaks `{keyword}`: {quoted(str(expected), mark='')}"
    return f"it breaks `{keyword}`"


@lru_cache(maxsize=1)
def _exact_validator() -> Any:
    """Return Draft 4 with exact `multipleOf`, patterns that cannot hang, and our date-times."""
    from jsonschema import Draft4Validator, FormatChecker, ValidationError  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415

    formats = FormatChecker(formats=())
    formats.checks("date-time")(is_date_time)

    def multiple_of(_: Any, factor: Any, number: Any, __: Any) -> Iterator[ValidationError]:
        if json_type(number) in {"integer", "number"} and not _is_multiple(number, factor):
            yield ValidationError("")

    def pattern(_: Any, expression: str, text: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(text, str) and not _matches(expression, text):
            yield ValidationError("")

    def pattern_properties(
        validator: Any, patterns: dict[str, Any], record: Any, __: Any
    ) -> Iterator[ValidationError]:
        if isinstance(record, dict):
            for expression, schema in patterns.items():
                for name in filter(lambda name: _matches(expression, name), record):
                    yield from validator.descend(
                        record[name], schema, path=name, schema_path=expression
                    )

    changed = {
        "multipleOf": multiple_of,
        "pattern": pattern,
        "patternProperties": pattern_properties,
    }
    validator = extend(Draft4Validator, changed)  # type: ignore[no-untyped-call]
    return lambda schema: validator(schema, format_checker=formats)


def _is_multiple(number: int | Decimal, factor: int | Decimal) -> bool:
    with localcontext() as context:
        # Both have at most this many digits before and behind the point.
        context.prec = 4 * _LONGEST_NUMBER
        return bool(Decimal(number) % Decimal(factor) == 0)


@lru_cache(maxsize=256)
def _pattern(expression: str) -> Any:
    import jsonschema_rs  # noqa: PLC0415 - only where a schema needs it

    schema = {"pattern": expression}
    try:
        return jsonschema_rs.Draft4Validator(schema, pattern_options=jsonschema_rs.RegexOptions())
    except ValueError:
        pass
    try:
        options = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000)
        return jsonschema_rs.Draft4Validator(schema, pattern_options=options)
    except ValueError:
        return None


def _matches(expression: str, text: str) -> bool:
    """Search `text`; an expression that no engine takes is not enforced."""
    validator = _pattern(expression)
    return validator is None or bool(validator.is_valid(text))
