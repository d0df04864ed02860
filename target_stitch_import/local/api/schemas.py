"""Reads JSON Schema, Draft 4, as the Import API applies it: keeps the parts that it enforces.

References may point anywhere in the document; none is ever fetched.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jsonschema_rs

from target_stitch_import.local.api.numbers import is_number
from target_stitch_import.local.api.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
MAX_SCHEMA_DEPTH = 100
COMBINATIONS = ("anyOf", "oneOf", "allOf")
"""Keywords whose value is a list of schemas."""
SINGLE = ("not", "additionalProperties", "additionalItems")
"""Keywords whose value is a schema; all but `not` also take a boolean."""
NAMED = ("properties", "patternProperties")
"""Keywords whose value has a schema for each name."""
REFERRED = "definitions"
"""The keyword under which a usable schema has the targets of its references."""
_REFERRED_PREFIX = f"#/{REFERRED}/"


class InvalidSchemaError(ValueError):
    """A schema that cannot be applied; its text follows `Invalid JSON schema: `."""


def usable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Check `schema` as Draft 4 and keep what the service enforces.

    Formats other than `date-time`, numeric `exclusiveMinimum` and `exclusiveMaximum` (Draft 6), and
    annotations are dropped, so that none of them can refuse a record. Targets of references are put
    into `definitions`, wherever they are in the document.
    Raises InvalidSchemaError.
    """
    return _Reading(schema).whole()


def referred(root: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """Return the target of a reference in a usable schema."""
    pointer: str = reference["$ref"]
    if pointer == "#":
        return root
    found: dict[str, Any] = root[REFERRED][pointer.removeprefix(_REFERRED_PREFIX)]
    return found


class _Reading:
    """One reading of a schema document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        """The name in `definitions` of each pointer that a reference uses."""

    def whole(self) -> dict[str, Any]:
        """Return the usable schema, with the targets of its references."""
        kept = self._schema(self._document, 0)
        read: dict[str, Any] = {}
        while len(read) < len(self._names):
            pointer, name = list(self._names.items())[len(read)]
            read[name] = self._schema(self._target(pointer), 0)
        if read:
            kept[REFERRED] = read
        _refuse_cycles(kept)
        return kept

    def _schema(self, schema: Any, depth: int) -> dict[str, Any]:
        if not isinstance(schema, dict):
            raise InvalidSchemaError(
                f"key null: expected type is one of JSONObject, found: {type_name(schema)}"
            )
        if depth > MAX_SCHEMA_DEPTH:
            raise InvalidSchemaError("nested too deeply")
        if isinstance(schema.get("$ref"), str):
            return {"$ref": self._reference(schema["$ref"])}  # keywords next to it have no effect
        kept: dict[str, Any] = {}
        for keyword, value in schema.items():
            enforced = self._keyword(keyword, value, depth + 1)
            if enforced is not None:
                kept[keyword] = enforced
        if "patternProperties" in kept:
            self._patterns(kept)
        for strict, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if limit not in kept:
                kept.pop(strict, None)  # alone it has no effect
        return kept

    def _patterns(self, kept: dict[str, Any]) -> None:
        """Drop name patterns that are too large, and with them the rules for all other names."""
        patterns = kept["patternProperties"]
        applied = {each: schema for each, schema in patterns.items() if _pattern(each) is not None}
        kept["patternProperties"] = applied
        if len(applied) < len(patterns):
            kept.pop("additionalProperties", None)

    def _reference(self, pointer: str) -> str:
        if not pointer.startswith("#"):
            raise InvalidSchemaError(f"reference to another document: {pointer}")
        if pointer == "#":
            return pointer
        name = self._names.setdefault(pointer, str(len(self._names)))
        return _REFERRED_PREFIX + name

    def _target(self, pointer: str) -> Any:
        target: Any = self._document
        start, *steps = pointer.removeprefix("#").split("/")
        is_found = not start
        for step in steps:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            elif isinstance(target, list) and _is_index(name) and int(name) < len(target):
                target = target[int(name)]
            else:
                is_found = False
                break
        if not is_found:
            raise InvalidSchemaError(f"reference that leads nowhere: {pointer}")
        return target

    def _keyword(self, keyword: str, value: Any, depth: int) -> Any:
        """Return a keyword's value as it is enforced; None if it is not."""
        if keyword in NAMED:
            return self._named(keyword, value, depth)
        if keyword in COMBINATIONS:
            return [self._schema(item, depth) for item in _listed(keyword, value)]
        if keyword in SINGLE:
            is_boolean = isinstance(value, bool) and keyword != "not"
            return value if is_boolean else self._schema(value, depth)
        if keyword == "items":
            if not isinstance(value, list):
                return self._schema(value, depth)
            return [self._schema(item, depth) for item in _listed(keyword, value)]
        if keyword == "dependencies":
            return self._dependencies(value, depth)
        if keyword == "definitions":
            self._named(keyword, value, depth)  # each must be a schema, used or not
            return None
        if keyword in _READ:
            return _READ[keyword](value)
        check = _CHECKED.get(keyword)
        return value if check is not None and check(value) else None

    def _named(self, keyword: str, value: Any, depth: int) -> dict[str, Any]:
        return {
            name: self._schema(subschema, depth)
            for name, subschema in _object(keyword, value).items()
        }

    def _dependencies(self, value: Any, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, needed in _object("dependencies", value).items():
            if isinstance(needed, list):
                if needed:  # Draft 4 requires at least one; an empty list requires nothing
                    kept[name] = _names(name, needed)
            elif isinstance(needed, dict):
                kept[name] = self._schema(needed, depth)
            else:
                raise InvalidSchemaError(
                    f"key {name}: expected type is one of JSONArray or JSONObject, found:"
                    f" {type_name(needed)}"
                )
        return kept


def _is_index(name: str) -> bool:
    """Return whether a step can be an index; Python refuses to convert thousands of digits."""
    return name.isdecimal() and len(name) < 10


def _refuse_cycles(root: dict[str, Any]) -> None:
    """Refuse references that return to themselves without descending into the value."""
    named = {_REFERRED_PREFIX + name: schema for name, schema in root.get(REFERRED, {}).items()}
    graph = {pointer: set(_same_value(schema)) for pointer, schema in ({"#": root} | named).items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        raise InvalidSchemaError("reference that leads in a circle") from None


def _same_value(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the references that apply to the same value as the schema."""
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if "$ref" in each:
            yield each["$ref"]
        for keyword in COMBINATIONS:
            waiting += each.get(keyword, ())
        waiting += [each["not"]] if "not" in each else []
        waiting += [other for other in each.get("dependencies", {}).values() if type(other) is dict]


def _object(keyword: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidSchemaError(
            f"key {keyword}: expected type is one of JSONObject, found: {type_name(value)}"
        )
    return value


def _listed(keyword: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidSchemaError(
            f"key {keyword}: expected type is one of JSONArray, found: {type_name(value)}"
        )
    if not value:
        raise InvalidSchemaError(f"key {keyword}: expected minimum item count: 1, found: 0")
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


def _names(keyword: str, value: list[Any]) -> list[str]:
    """Return each name once: a repeated name requires nothing more."""
    if not all(isinstance(name, str) for name in value):
        raise InvalidSchemaError(f"key {keyword}: expected an array of strings")
    return list(dict.fromkeys(value))


def _required(value: Any) -> list[str] | None:
    return _names("required", value) if isinstance(value, list) and value else None


def _pattern(value: Any) -> str | None:
    """Return an expression; None if it is not a string, or too large to be applied."""
    if not isinstance(value, str):
        return None
    if _compiles(value):
        return value
    # An expression that is only too large compiles without its repetitions.
    if not _compiles(_REPETITION.sub("{1}", value)):
        raise InvalidSchemaError(f"pattern [{value}] is not a regular expression")
    return None


def _compiles(expression: str) -> bool:
    try:
        jsonschema_rs.Draft4Validator({"pattern": expression})
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True


_REPETITION = re.compile(r"\{\d+(?:,\d*)?\}", re.ASCII)
# Keywords whose values are normalised, or dropped.
_READ: dict[str, Callable[[Any], Any]] = {
    "type": _type,
    "required": _required,
    "pattern": _pattern,
}
# Keywords with plain values, and the values that are enforced; all others are ignored.
_CHECKED: dict[str, Callable[[Any], bool]] = {
    "enum": lambda value: isinstance(value, list) and len(value) > 0,
    "format": lambda value: value == "date-time",
    "minLength": _is_count,
    "maxLength": _is_count,
    "minItems": _is_count,
    "maxItems": _is_count,
    "minProperties": _is_count,
    "maxProperties": _is_count,
    "minimum": is_number,
    "maximum": is_number,
    "multipleOf": lambda value: is_number(value) and value > 0,
    "exclusiveMinimum": lambda value: isinstance(value, bool),
    "exclusiveMaximum": lambda value: isinstance(value, bool),
    "uniqueItems": lambda value: isinstance(value, bool),
}
