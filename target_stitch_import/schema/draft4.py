"""A stream's JSON Schema as the Import API reads it: Draft 4, and nothing else of it.

Law: what `enforced` returns is sound. Every type is known, every reference is local and resolved,
no reference chases itself, so that any validator can take it without surprise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias
from urllib.parse import unquote

from target_stitch_import.errors import quoted

JsonSchema: TypeAlias = dict[str, Any]

TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})

_SCHEMAS_BY_NAME = ("properties", "patternProperties")
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf")
_SAME_VALUE = (*_SCHEMA_LISTS, "not", "$ref")
_COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
_NUMBERS = ("minimum", "maximum")


class SchemaDefectError(Exception):
    """A schema that the Import API would refuse; `place` is a JSON Pointer into it."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"at {quoted(f'#{place}')}: {reason}")


@dataclass(slots=True)
class Enforced:
    """The part of a schema that is enforced, and what was left out of it, by place."""

    schema: JsonSchema
    warnings: list[str] = field(default_factory=list)


def enforced(text: bytes) -> Enforced:
    """Return what the Import API enforces of a schema.

    References are collected under `definitions`; unknown keywords, and formats but `date-time`,
    are left out. Numbers stay exact.

    Raises:
        SchemaDefectError: the API would refuse the schema: it is no object, names an unknown type,
            has a boolean where a schema belongs, or a reference that leads nowhere or in a circle.
    """
    try:
        return _Reader(text).read()
    except (ValueError, RecursionError) as error:
        raise SchemaDefectError("", "it is nested too deeply or holds a huge number") from error


def resolve(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    """Follow an enforced schema's references to the schema that counts."""
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].removeprefix(_POINTER)]
    return schema


def types_of(schema: JsonSchema) -> frozenset[str]:
    """Return the types that an enforced schema lists, all of them where it lists none."""
    types = schema.get("type")
    if types is None:
        return TYPES
    return frozenset([types] if isinstance(types, str) else types)


class _Reader:
    def __init__(self, text: bytes) -> None:
        self._root = json.loads(text, parse_float=Decimal)
        self._definitions: dict[str, JsonSchema] = {}
        self._names: dict[str, str] = {}
        self._straight: set[str] = set()
        self._warnings: list[str] = []

    def read(self) -> Enforced:
        schema = self._schema(self._root, "")
        if self._definitions:
            schema["definitions"] = self._definitions
        self._refuse_circles(schema, schema, [])
        for name in self._definitions:
            self._refuse_circles({"$ref": f"{_POINTER}{name}"}, schema, [])
        return Enforced(schema, self._warnings)

    def _schema(self, source: object, place: str) -> JsonSchema:
        if not isinstance(source, dict):
            found = type(source).__name__
            raise SchemaDefectError(place, f"expected a schema object, found {found}")
        if isinstance(source.get("$ref"), str):
            # Draft 4: a reference replaces everything beside it.
            return {"$ref": self._definition(source["$ref"], place)}
        schema: JsonSchema = {}
        if "type" in source:
            schema["type"] = self._type(source["type"], f"{place}/type")
        self._subschemas(source, schema, place)
        self._assertions(source, schema, place)
        return schema

    def _type(self, types: object, place: str) -> str | list[str]:
        for name in types if isinstance(types, list) else [types]:
            if not isinstance(name, str) or name not in TYPES:
                raise SchemaDefectError(
                    place, f"unknown type {quoted(json.dumps(name, default=str), mark='')}"
                )
        return types  # type: ignore[return-value]  # each name was just seen to be a string

    def _subschemas(self, source: JsonSchema, schema: JsonSchema, place: str) -> None:
        for keyword in _SCHEMAS_BY_NAME:
            if keyword in source:
                schema[keyword] = self._by_name(source[keyword], f"{place}/{keyword}")
        for keyword in _SCHEMA_LISTS:
            if source.get(keyword):
                schema[keyword] = self._list(source[keyword], f"{place}/{keyword}")
        if "not" in source:
            schema["not"] = self._schema(source["not"], f"{place}/not")
        items = source.get("items")
        if isinstance(items, list):
            schema["items"] = self._list(items, f"{place}/items")
        elif items is not None:
            schema["items"] = self._schema(items, f"{place}/items")
        for keyword in ("additionalProperties", "additionalItems"):
            if keyword in source:
                rest = source[keyword]
                at = f"{place}/{keyword}"
                schema[keyword] = rest if isinstance(rest, bool) else self._schema(rest, at)

    def _by_name(self, schemas: object, place: str) -> dict[str, JsonSchema]:
        if not isinstance(schemas, dict):
            raise SchemaDefectError(place, "expected an object of schemas")
        return {
            name: self._schema(value, f"{place}/{_escape(name)}") for name, value in schemas.items()
        }

    def _list(self, schemas: object, place: str) -> list[JsonSchema]:
        if not isinstance(schemas, list):
            raise SchemaDefectError(place, "expected a list of schemas")
        return [self._schema(value, f"{place}/{at}") for at, value in enumerate(schemas)]

    def _assertions(self, source: JsonSchema, schema: JsonSchema, place: str) -> None:
        for keyword in _COUNTS:
            self._take(keyword, source, schema, place, _is_count)
        for keyword in _NUMBERS:
            self._take(keyword, source, schema, place, _is_number)
        self._take("multipleOf", source, schema, place, lambda n: _is_number(n) and n > 0)
        self._take("pattern", source, schema, place, lambda value: isinstance(value, str))
        self._take("uniqueItems", source, schema, place, lambda value: isinstance(value, bool))
        self._take("enum", source, schema, place, lambda value: isinstance(value, list) and value)
        self._take("required", source, schema, place, _is_names)
        if source.get("format") == "date-time":
            schema["format"] = "date-time"
        for keyword, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if _is_number(source.get(keyword)):
                self._warnings.append(
                    f"{quoted(f'#{place}/{keyword}')} is a number, as in Draft 6; the Import API "
                    "speaks Draft 4, so it is not enforced"
                )
            elif source.get(keyword) is True and bound in schema:
                schema[keyword] = True

    def _take(
        self, keyword: str, source: JsonSchema, schema: JsonSchema, place: str, sound: Any
    ) -> None:
        if keyword not in source:
            return
        if keyword == "required" and source[keyword] == []:
            return  # Draft 4 wants a name at least; everybody takes none
        if sound(source[keyword]):
            schema[keyword] = source[keyword]
        else:
            self._warnings.append(
                f"{quoted(f'#{place}/{keyword}')} is not Draft 4, so it is not enforced"
            )

    def _definition(self, reference: str, place: str) -> str:
        if not reference.startswith("#"):
            raise SchemaDefectError(
                place, f"`$ref` {quoted(reference)} is not local, and is never fetched"
            )
        if reference not in self._names:
            target: Any = self._root
            for part in map(_unescape, unquote(reference[1:]).lstrip("/").split("/")):
                if part == "" and target is self._root:
                    continue
                if isinstance(target, list) and part.isdecimal() and int(part) < len(target):
                    target = target[int(part)]
                elif isinstance(target, dict) and part in target:
                    target = target[part]
                else:
                    raise SchemaDefectError(place, f"`$ref` {quoted(reference)} leads nowhere")
            name = self._names[reference] = str(len(self._names))
            # It stands there before it is read, as it may refer to itself.
            definition = self._definitions[name] = {}
            definition.update(self._schema(target, reference[1:]))
        return f"{_POINTER}{self._names[reference]}"

    def _refuse_circles(self, schema: JsonSchema, root: JsonSchema, path: list[str]) -> None:
        """Refuse references that come back to themselves without stepping into the value."""
        for keyword in _SAME_VALUE:
            value = schema.get(keyword, [])
            if keyword == "$ref" and value:
                if value in path:
                    raise SchemaDefectError("", "a `$ref` leads in a circle")
                if value not in self._straight:
                    definition = root["definitions"][value.removeprefix(_POINTER)]
                    self._refuse_circles(definition, root, [*path, value])
                    self._straight.add(value)
            else:
                for below in value if isinstance(value, list) else [value]:
                    self._refuse_circles(below, root, path)


_POINTER = "#/definitions/"


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
