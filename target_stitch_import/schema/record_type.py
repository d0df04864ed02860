"""A stream's schema as a `msgspec` type, which a decoder checks while it parses.

Law: the type accepts nothing that the schema refuses, but in the columns that it leaves open. It
may refuse what the schema accepts; a schema that it cannot express at all has no type.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from target_stitch_import.schema.draft4 import resolve, types_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_stitch_import.schema.draft4 import JsonSchema

# Longer keys are rare and looked at one by one: they may deserve a warning or a refusal.
MAX_PLAIN_KEY_CHARACTERS = 255

_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_LENGTHS = frozenset({"minLength", "maxLength"})
_EXPRESSED = (
    _BOUNDS
    | _LENGTHS
    | frozenset(
        {"type", "properties", "required", "items", "format", "additionalProperties", "definitions"}
    )
)
_INT64 = range(-(2**63), 2**63)


class _InexpressibleError(Exception):
    pass


class RecordType(NamedTuple):
    """A type for records; what is in the columns `left_open` is to be checked by other means."""

    type: Any
    left_open: frozenset[str]


def record_type(schema: JsonSchema, keys: Sequence[str]) -> RecordType | None:
    """Return a type for records under an enforced schema, or None where it has none."""
    root = schema
    schema = resolve(schema, root)
    if not schema.keys() <= _EXPRESSED or "object" not in types_of(schema):
        return None
    # Behind a reference, columns cannot be told from the whole.
    left_open: set[str] | None = set() if schema is root else None
    try:
        record = _struct(schema, root, frozenset(keys), (id(schema),), left_open)
    except _InexpressibleError:
        return None
    return RecordType(record, frozenset(left_open or ()))


def key_type(keys: Sequence[str]) -> Any | None:
    """Return a type for objects whose `keys` are there, plain scalars and not null."""
    record = record_type({}, keys)
    return record and record.type


def _struct(
    schema: JsonSchema,
    root: JsonSchema,
    keys: frozenset[str],
    path: tuple[int, ...],
    left_open: set[str] | None = None,
) -> Any:
    """Return a type for objects.

    What it cannot express of a member is left open, and its name put there; or an error.
    """
    required = keys.union(schema.get("required", ()))
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    if not isinstance(rest, bool):
        raise _InexpressibleError
    if rest is False and not required <= properties.keys():
        raise _InexpressibleError
    fields: list[Any] = []
    names: dict[str, str] = {}
    for at, name in enumerate([*properties, *sorted(required - properties.keys())]):
        if not name.isprintable() or '"' in name or "\\" in name:
            raise _InexpressibleError  # such names cannot be those of fields
        below = properties.get(name, {})
        try:
            kind = _key(below, root) if name in keys else _type(below, root, path)
        except _InexpressibleError:
            if left_open is None or name in keys:
                raise
            left_open.add(name)
            kind = Raw
        names[f"f{at}"] = name
        if name in required:
            fields.append((f"f{at}", kind))
        else:
            fields.append((f"f{at}", kind | UnsetType if kind is not Raw else kind, UNSET))
    fields.sort(key=len)
    return msgspec.defstruct(
        "Record", fields, rename=names, forbid_unknown_fields=rest is False, gc=False
    )


def _key(schema: JsonSchema, root: JsonSchema) -> Any:
    schema = resolve(schema, root)
    if not schema.keys() <= _EXPRESSED:
        raise _InexpressibleError
    if _is_date_time(schema):
        return _date_time(schema)
    types = types_of(schema)
    kinds = _numbers_and_booleans(schema, types)
    if "string" in types:
        kinds.append(_string(schema, at_least=1, at_most=MAX_PLAIN_KEY_CHARACTERS))
    return _union(kinds)


def _type(schema: JsonSchema, root: JsonSchema, path: tuple[int, ...]) -> Any:
    schema = resolve(schema, root)
    if id(schema) in path:
        raise _InexpressibleError
    path = (*path, id(schema))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return _alternatives(schema, keyword, root, path)
    if "enum" in schema:
        return _enumeration(schema)
    if not schema.keys() <= _EXPRESSED:
        raise _InexpressibleError
    if "type" in schema:
        return _of_types(schema, root, path)
    if schema.keys() - {"definitions"}:
        raise _InexpressibleError
    return Raw


def _of_types(schema: JsonSchema, root: JsonSchema, path: tuple[int, ...]) -> Any:
    types = types_of(schema)
    kinds = _numbers_and_booleans(schema, types)
    if "null" in types:
        kinds.append(None)
    if "string" in types:
        kinds.append(_date_time(schema) if _is_date_time(schema) else _string(schema))
    if "object" in types:
        kinds.append(_object(schema, root, path))
    if "array" in types:
        items = schema.get("items", {})
        if isinstance(items, list):
            raise _InexpressibleError
        kinds.append(list[_type(items, root, path)])  # type: ignore[misc]  # made at run time
    return _union(kinds)


def _object(schema: JsonSchema, root: JsonSchema, path: tuple[int, ...]) -> Any:
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict) and not schema.keys() & {"properties", "required"}:
        return dict[str, _type(rest, root, path)]  # type: ignore[misc]  # made at run time
    return _struct(schema, root, frozenset(), path)


def _enumeration(schema: JsonSchema) -> Any:
    if schema.keys() - {"type", "enum", "definitions"}:
        raise _InexpressibleError
    kinds = {str: "string", int: "integer", type(None): "null"}
    types = types_of(schema)
    for value in schema["enum"]:
        is_large = isinstance(value, int) and value not in _INT64
        if kinds.get(type(value)) not in types or is_large:
            raise _InexpressibleError
    return Literal[tuple(schema["enum"])]


def _alternatives(schema: JsonSchema, keyword: str, root: JsonSchema, path: tuple[int, ...]) -> Any:
    """Return a union, where no two alternatives can take the same value."""
    if schema.keys() - {keyword, "definitions"}:
        raise _InexpressibleError
    alternatives = [resolve(each, root) for each in schema[keyword]]
    seen: set[str] = set()
    for each in alternatives:
        types = {"number" if name == "integer" else name for name in types_of(each)}
        if "type" not in each or types & seen:
            raise _InexpressibleError
        seen |= types
    return _union([_type(each, root, path) for each in alternatives])


def _numbers_and_booleans(schema: JsonSchema, types: frozenset[str]) -> list[Any]:
    kinds: list[Any] = [bool] if "boolean" in types else []
    if "number" in types:
        if _BOUNDS & schema.keys():
            raise _InexpressibleError  # what is a hair below a bound may be rounded up to it
        kinds.append(float)
    if "integer" in types:
        kinds.append(_integer(schema))
    return kinds


def _integer(schema: JsonSchema) -> Any:
    bounds: dict[str, Any] = {}
    for name, keyword, step in (("ge", "minimum", 1), ("le", "maximum", -1)):
        if keyword in schema:
            excluded = schema.get(f"exclusive{keyword.capitalize()}", False)
            bound = schema[keyword]
            if not isinstance(bound, int) or bound + step not in _INT64 or bound not in _INT64:
                raise _InexpressibleError
            bounds[name] = bound + step if excluded else bound
    return Annotated[int, Meta(**bounds)] if bounds else int


def _string(schema: JsonSchema, at_least: int = 0, at_most: int | None = None) -> Any:
    at_least = max(at_least, schema.get("minLength", 0))
    lengths = [each for each in (at_most, schema.get("maxLength")) if each is not None]
    if not at_least and not lengths:
        return str
    if any(length not in _INT64 for length in (at_least, *lengths)):
        raise _InexpressibleError
    return Annotated[str, Meta(min_length=at_least, max_length=min(lengths, default=None))]


def _is_date_time(schema: JsonSchema) -> bool:
    return "string" in types_of(schema) and schema.get("format") == "date-time"


def _date_time(schema: JsonSchema) -> Any:
    # A date-time beside numbers would be decoded from those as well.
    if types_of(schema) & {"number", "integer"} or _LENGTHS & schema.keys():
        raise _InexpressibleError
    return Annotated[dt.datetime, Meta(tz=True)]


def _union(kinds: list[Any]) -> Any:
    if not kinds:
        raise _InexpressibleError
    union = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    return union
