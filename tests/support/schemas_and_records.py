"""Generates schemas and records from a seed, to compare two implementations of JSON Schema.

Most records are valid or nearly valid. Numbers are texts, because JSON can write a number in
several forms.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.schema_parts import (
    DATE_TIMES,
    MISTAKES,
    NAMES,
    NUMBERS,
    PATTERNS,
    REFERENCES,
    STEPS,
    TEXTS,
    TYPES,
)

if TYPE_CHECKING:
    from random import Random


class Number(str):
    """A number as written in JSON."""

    __slots__ = ()


class Pair(NamedTuple):
    """A schema and a record as JSON, and the key properties."""

    schema: str
    keys: tuple[str, ...]
    record: str


@dataclass
class Pairs:
    """Generates pairs; the same seed gives the same pairs."""

    random: Random

    def pair(self) -> Pair:
        """Return the next pair."""
        schema = self._columns(3)
        schema |= {
            "definitions": {
                "tree": {"type": "object", "properties": {"a": {"$ref": "#/definitions/tree"}}},
                "text": self._of_type("string", 0),
                "c/d": {"$ref": "#/definitions/text"},
                "é": self._plain(),
            },
            "$defs": {"moment": {"type": "string", "format": "date-time"}},
            "components": {"schemas": [self._plain()]},
        }
        for _ in range(self.random.choice((0, 0, 0, 0, 1, 2))):
            schema |= self._of_type("object", 2) | {"properties": schema["properties"]}
        if self._chance(0.05):
            schema |= self._combined(2)
        if self._chance(0.05):
            schema["type"] = self.random.choice((["null", "object"], "object", ["object", "array"]))
        keys: tuple[str, ...] = ()
        if schema["properties"] and self._chance(0.2):
            keys = (self.random.choice(list(schema["properties"])),)
        record = self._value(schema, 4, schema)
        if not isinstance(record, dict) or self._chance(0.1):
            record = self._object({}, 2, schema)
        text = written(record)
        if record and self._chance(0.02):
            name = written(self.random.choice(list(record)))
            text = f"{{{name}:{written(self._any(1))},{text[1:]}"  # of two members, the last counts
        if self._chance(0.03):
            schema = {"$ref": "#/root", "root": schema, "definitions": schema["definitions"]}
        return Pair(written(schema), keys, text)

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _some(self, values: Any, most: int, least: int = 0) -> list[Any]:
        count = min(self.random.randint(least, most), len(values))
        return self.random.sample(list(values), count)

    # Schemas.

    def _columns(self, depth: int) -> dict[str, Any]:
        names = self._some(NAMES, 3)
        return {"properties": {name: self._schema(depth - 1) for name in names}}

    def _schema(self, depth: int) -> Any:
        pick = self.random.random()
        if pick < 0.02:
            return dict(self.random.choice(MISTAKES))
        if pick < 0.08:
            return {"$ref": self.random.choice(REFERENCES)}
        if pick < 0.2 and depth > 0:
            return self._combined(depth)
        return self._plain(depth)

    def _plain(self, depth: int = 0) -> dict[str, Any]:
        pick = self.random.random()
        if pick < 0.08:
            return {}
        if pick < 0.16:
            values = [self._any(1) for _ in range(self.random.randint(1, 4))]
            return {"enum": values} | ({"type": self._types()} if self._chance(0.3) else {})
        types = self._types()
        schema: dict[str, Any] = {"type": types} if pick < 0.9 else {}
        for each in (types,) if isinstance(types, str) else types:
            if self._chance(0.6):
                schema |= self._of_type(each, depth)
        return schema

    def _types(self) -> Any:
        if self._chance(0.5):
            return self.random.choice(TYPES)
        return self._some(TYPES, 3, 1)

    def _of_type(self, kind: str, depth: int) -> dict[str, Any]:
        """Return rules for values of one type."""
        draw = self.random
        rules: dict[str, Any] = {}
        if kind in {"number", "integer"}:
            bounds = {
                "minimum": Number(draw.choice(NUMBERS)),
                "maximum": Number(draw.choice(NUMBERS)),
                "exclusiveMinimum": self._chance(0.5),
                "exclusiveMaximum": self._chance(0.5),
                "multipleOf": Number(draw.choice(STEPS)),
            }
            rules = {name: bounds[name] for name in self._some(bounds, 3)}
        elif kind == "string":
            texts = {
                "minLength": draw.randint(0, 3),
                "maxLength": draw.choice((0, 1, 2, 3, 20, 300)),
                "pattern": draw.choice(PATTERNS[:-2] if self._chance(0.95) else PATTERNS),
                "format": "date-time",
            }
            rules = {name: texts[name] for name in self._some(texts, 2)}
        elif kind == "array" and depth > 0:
            items = self._schema(depth - 1)
            several = [self._schema(depth - 1) for _ in range(draw.randint(1, 2))]
            lists = {
                "items": items if self._chance(0.7) else several,
                "additionalItems": self._or_boolean(depth),
                "minItems": draw.randint(0, 2),
                "maxItems": draw.randint(0, 3),
                "uniqueItems": self._chance(0.7),
            }
            rules = {name: lists[name] for name in self._some(lists, 3)}
        elif kind == "object" and depth > 0:
            objects = {
                "properties": self._columns(depth)["properties"],
                "required": self._some(NAMES, 2, 1),
                "additionalProperties": self._or_boolean(depth),
                "patternProperties": {
                    draw.choice(PATTERNS[:-2]): self._schema(depth - 1) for _ in range(2)
                },
                "dependencies": {
                    name: self._some(NAMES, 2, 1) if self._chance(0.6) else self._schema(depth - 1)
                    for name in self._some(NAMES[:4], 2)
                },
                "minProperties": draw.randint(0, 2),
                "maxProperties": draw.randint(0, 4),
            }
            rules = {name: objects[name] for name in self._some(objects, 3)}
        return rules

    def _or_boolean(self, depth: int) -> Any:
        return self._chance(0.4) if self._chance(0.6) else self._schema(depth - 1)

    def _combined(self, depth: int) -> dict[str, Any]:
        keyword = self.random.choice(("anyOf", "anyOf", "oneOf", "allOf", "not"))
        if keyword == "not":
            return {"not": self._schema(depth - 1)}
        schemas = [self._schema(depth - 1) for _ in range(self.random.randint(1, 3))]
        return {keyword: schemas} | ({"type": self._types()} if self._chance(0.2) else {})

    # Values.

    def _value(self, schema: Any, depth: int, root: dict[str, Any]) -> Any:
        """Return a value that is likely valid."""
        if not isinstance(schema, dict) or depth <= 0 or self._chance(0.06):
            return self._any(1)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(keyword), list) and schema[keyword]:
                return self._value(self.random.choice(schema[keyword]), depth - 1, root)
        if isinstance(schema.get("enum"), list) and schema["enum"] and self._chance(0.8):
            return self.random.choice(schema["enum"])
        reference = schema.get("$ref")
        if reference == "#/definitions/tree":
            return self._object(root["definitions"]["tree"], depth - 1, root)
        if isinstance(reference, str):
            return self.random.choice((self._text({"format": ""}), self._any(2)))
        types = schema.get("type", TYPES)
        several = types if isinstance(types, list | tuple) and types else TYPES
        kind = types if isinstance(types, str) else self.random.choice(several)
        return self._typed(kind, schema, depth, root)

    def _typed(self, kind: Any, schema: dict[str, Any], depth: int, root: dict[str, Any]) -> Any:
        if kind == "string":
            return self._text(schema)
        if kind in {"number", "integer"}:
            return self._number(kind, schema)
        if kind == "boolean":
            return self._chance(0.5)
        if kind == "array":
            return self._array(schema, depth, root)
        return self._object(schema, depth, root) if kind == "object" else None

    def _text(self, schema: dict[str, Any]) -> str:
        if "format" in schema and self._chance(0.9):
            return self.random.choice(DATE_TIMES[:3] if self._chance(0.5) else DATE_TIMES)
        return self.random.choice(TEXTS)

    def _number(self, kind: str, schema: dict[str, Any]) -> Number:
        bounds = [schema[name] for name in ("minimum", "maximum", "multipleOf") if name in schema]
        if bounds and self._chance(0.5):
            return Number(self.random.choice(bounds))
        numbers = [each for each in NUMBERS if each.lstrip("-").isdigit()]
        return Number(self.random.choice(numbers if kind == "integer" else NUMBERS))

    def _array(self, schema: dict[str, Any], depth: int, root: dict[str, Any]) -> list[Any]:
        items = schema.get("items", {})
        made = []
        for at in range(self.random.randint(0, 3)):
            of = items[min(at, len(items) - 1)] if isinstance(items, list) and items else items
            made.append(self._value(of, depth - 1, root))
        return made + made[:1] if self._chance(0.1) else made

    def _object(self, schema: dict[str, Any], depth: int, root: dict[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        properties = properties if isinstance(properties, dict) else {}
        names = [name for name in properties if self._chance(0.8)]
        required = schema.get("required", ())
        names += (
            [each for each in required if isinstance(each, str)] if type(required) is list else []
        )
        names += self._some(NAMES, 2) if self._chance(0.3) else []
        return {
            name: self._value(properties.get(name, {}), depth - 1, root)
            for name in dict.fromkeys(names)
        }

    def _any(self, depth: int) -> Any:
        kind = self.random.choice(TYPES if depth else TYPES[:4])
        return self._typed(kind, {}, depth, {})


def written(value: Any) -> str:
    """Return a value as JSON, with numbers as they are written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return (
            f"{{{','.join(f'{json.dumps(name)}:{written(each)}' for name, each in value.items())}}}"
        )
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    return json.dumps(value)
