"""Prepares schemas for the SDK's flattening, so that columns get the types of their values.

The SDK uses only a column's `type`, and writes values that it does not flatten as JSON strings.

Invariant: if the tap's schema accepts a value, the flattened schema accepts what the SDK makes of
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_stitch_import.pointers import at
from target_stitch_import.schema.node import TYPES
from target_stitch_import.schema.values import json_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from target_stitch_import.schema.node import Node

_ORDER = sorted(TYPES)
_NESTED = frozenset({"object", "array"})
_OF_THE_WHOLE = frozenset(
    {
        "additionalProperties",
        "patternProperties",
        "dependencies",
        "minProperties",
        "maxProperties",
        "enum",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
    }
)
"""Keywords about the members of a whole object, which flattening changes."""


def flattenable(schema: Mapping[str, Any], root: Node, depth: int) -> dict[str, Any]:
    """Return a schema from which the SDK's flattening makes the right columns.

    Args:
        schema: The schema, with `properties`; its numbers are exact.
        root: The same schema as nodes.
        depth: The number of levels to flatten.
    """
    columns = _Flattening(schema, depth).columns(schema, root, 0)
    nested = {name for name, column in columns.items() if "properties" in column}
    kept = columns.keys() - nested
    flat = {name: value for name, value in schema.items() if name not in _OF_THE_WHOLE}
    if isinstance(required := schema.get("required"), list):
        # Required objects become columns with other names, so they are left out.
        flat["required"] = [name for name in required if name in kept]
    return flat | {"properties": columns}


class _Flattening:
    def __init__(self, schema: Mapping[str, Any], depth: int) -> None:
        self._schema = schema
        self._depth = depth
        self._types: dict[Node, frozenset[str]] = {}

    def columns(self, source: Mapping[str, Any], node: Node, level: int) -> dict[str, Any]:
        """Return the members of an object; those that the SDK flattens still have `properties`."""
        found: dict[str, Any] = {}
        for name, member in source["properties"].items():
            below = node.properties[name]
            is_own = "properties" in member and "$ref" not in member
            if level < self._depth and is_own and "object" in below.types:
                inner = self.columns(member, below, level + 1)
                found[name] = {"type": ["null", "object"], "properties": inner}
            else:
                found[name] = self._column(below)
        return found

    def _column(self, node: Node) -> dict[str, Any]:
        types = self._types_of(node) or node.types  # a schema that no value satisfies has no types
        if types & _NESTED:
            return {"type": _listed((types - _NESTED) | {"string"})}
        found: dict[str, Any] = at(self._schema, node.place)
        if "type" in found and node.types.isdisjoint(_NESTED):
            return found
        return {**found, "type": _listed(types)}

    def _types_of(self, node: Node) -> frozenset[str]:
        """Return the types that all keywords of a node together allow."""
        if node not in self._types:
            types = _with_integers(node.types)
            if "enum" in node.rules:
                types &= _with_integers(map(json_type, node.rules["enum"]))
            for each in node.all_of:
                types &= self._types_of(each)
            for alternatives in (node.any_of, node.one_of):
                if alternatives:
                    types &= frozenset().union(*map(self._types_of, alternatives))
            self._types[node] = types
        return self._types[node]


def _with_integers(types: Iterable[str]) -> frozenset[str]:
    found = frozenset(types)
    return found | {"integer"} if "number" in found else found


def _listed(types: frozenset[str]) -> list[str]:
    """Return types as a sorted list, without `integer` if `number` is among them."""
    return [
        each for each in _ORDER if each in types and not (each == "integer" and "number" in types)
    ]
