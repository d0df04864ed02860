"""JSON Schema, Draft 4, as the Import API applies it: is the schema itself usable, do records fit?

A compiled validator accepts quickly; only a record it refuses is walked again for the words.
No reference is ever fetched, and patterns run in an engine that bounds its backtracking.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec

from target_stitch_import.local.api.explain import explain
from target_stitch_import.local.api.values import parse, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
MAX_SCHEMA_DEPTH = 100
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ONE = ("not", "additionalProperties", "additionalItems")
_MANY = ("anyOf", "oneOf", "allOf")
_NAMED = ("properties", "patternProperties", "definitions")
_DATE_TIME = re.compile(
    r"(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)",
    re.ASCII,
)
_STRICT_OFFSET = re.compile(r".*(?:Z|[+-]\d\d:\d\d)", re.ASCII)


class InvalidSchemaError(ValueError):
    """A schema that cannot be applied; its text follows `Invalid JSON schema: `."""


def is_date_time(text: str) -> bool:
    """Whether `text` is a date-time with an offset (`Z`, `+00:00` or `+0000`) that exists."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return False
    if match[3] < "29":
        return True
    try:
        date(int(match[1]) or 4, int(match[2]), int(match[3]))  # year 0000 is a leap year
    except ValueError:
        return False
    return True


def is_strict_date_time(text: str) -> bool:
    """Like `is_date_time`, without the `+0000` form."""
    return _STRICT_OFFSET.fullmatch(text) is not None and is_date_time(text)


class RecordSchema:
    """One schema, compiled: `accepts` is fast, `explain` has the words of a refusal."""

    def __init__(self, schema: Mapping[str, Any], *, strict_date_time: bool = False) -> None:
        self._is_date_time: Callable[[str], bool] = (
            is_strict_date_time if strict_date_time else is_date_time
        )
        self.schema: Any = _usable(schema)
        try:
            validator = jsonschema_rs.Draft4Validator(
                self.schema,
                validate_formats=True,
                formats={"date-time": self._is_date_time},
                retriever=_never_fetch,
            )
        except (jsonschema_rs.ValidationError, ValueError) as error:
            raise InvalidSchemaError(_first_line(error)) from None
        self.accepts: Callable[[Any], bool] = validator.is_valid

    def explain(self, record: Any) -> str:
        """Say why `record` was refused, in the words of the live service's validator."""
        return explain(self.schema, record, self._is_date_time)


def compiled(schema: Mapping[str, Any], *, strict_date_time: bool = False) -> RecordSchema:
    """Compile `schema`, or raise InvalidSchemaError; the latest ones are kept."""
    return _compiled(_ENCODER.encode(schema), strict_date_time)


@lru_cache(maxsize=256)
def _compiled(text: bytes, strict_date_time: bool) -> RecordSchema:  # noqa: FBT001 - a cache key
    return RecordSchema(parse(text), strict_date_time=strict_date_time)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "invalid")


def _never_fetch(uri: str) -> Any:
    raise ValueError(f"reference to another document: {uri}")


def _usable(schema: Any, depth: int = 0) -> Any:
    """Check `schema` as Draft 4 and drop what the service does not enforce.

    Dropped are formats other than `date-time`, numeric `exclusiveMinimum` and
    `exclusiveMaximum` (Draft 6), and annotations, so that none of them can refuse a record.
    """
    if not isinstance(schema, dict):
        raise InvalidSchemaError(
            f"key null: expected type is one of JSONObject, found: {type_name(schema)}"
        )
    if depth > MAX_SCHEMA_DEPTH:
        raise InvalidSchemaError("nested too deeply")
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        usable = _keyword(keyword, value, depth + 1)
        if usable is not None:
            kept[keyword] = usable
    for strict, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if limit not in kept:
            kept.pop(strict, None)  # alone it says nothing
    return kept


def _keyword(keyword: str, value: Any, depth: int) -> Any:
    """Give a keyword's value as it is enforced; None for what is not."""
    if keyword in _NAMED:
        return _named(keyword, value, depth)
    if keyword in _MANY:
        return [_usable(item, depth) for item in _listed(keyword, value)]
    if keyword in _ONE:
        return value if _is_switch(keyword, value) else _usable(value, depth)
    if keyword == "items":
        several = isinstance(value, list)
        return [_usable(item, depth) for item in value] if several else _usable(value, depth)
    if keyword == "type":
        return _type(value)
    if keyword == "$ref" and isinstance(value, str):
        if not value.startswith("#"):
            raise InvalidSchemaError(f"reference to another document: {value}")
        return value
    check = _CHECKED.get(keyword)
    return value if check is not None and check(value) else None


def _is_switch(keyword: str, value: Any) -> bool:
    return keyword != "not" and isinstance(value, bool)


def _named(keyword: str, value: Any, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidSchemaError(
            f"key {keyword}: expected type is one of JSONObject, found: {type_name(value)}"
        )
    return {name: _usable(subschema, depth) for name, subschema in value.items()}


def _listed(keyword: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidSchemaError(
            f"key {keyword}: expected type is one of JSONArray, found: {type_name(value)}"
        )
    return value


def _type(value: Any) -> Any:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str):
            raise InvalidSchemaError(
                f"key type: expected type is one of JSONArray or String, found: {type_name(name)}"
            )
        if name not in TYPES:
            raise InvalidSchemaError(f"unknown type: [{name}]")
    if not names:
        raise InvalidSchemaError("key type: expected minimum item count: 1, found: 0")
    return list(dict.fromkeys(names)) if isinstance(value, list) else value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_pattern(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        jsonschema_rs.Draft4Validator({"pattern": value})
    except (jsonschema_rs.ValidationError, ValueError):
        raise InvalidSchemaError(f"pattern [{value}] is not a regular expression") from None
    return True


# Keywords with plain values, and which values are enforced; others are ignored, as unknown ones.
_CHECKED: dict[str, Callable[[Any], bool]] = {
    "required": lambda value: isinstance(value, list) and len(value) > 0,
    "enum": lambda value: isinstance(value, list) and len(value) > 0,
    "format": lambda value: value == "date-time",
    "pattern": _is_pattern,
    "minLength": _is_count,
    "maxLength": _is_count,
    "minItems": _is_count,
    "maxItems": _is_count,
    "minProperties": _is_count,
    "maxProperties": _is_count,
    "minimum": _is_number,
    "maximum": _is_number,
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "exclusiveMinimum": lambda value: isinstance(value, bool),
    "exclusiveMaximum": lambda value: isinstance(value, bool),
    "uniqueItems": lambda value: isinstance(value, bool),
    "dependencies": lambda value: isinstance(value, dict),
}
