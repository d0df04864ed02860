"""Prepares schemas so that the SDK's flattening declares each column as what its values become.

The SDK goes by a column's `type`, and writes as JSON text what it does not flatten. Invariant: a value
that the tap's schema takes, the flattened schema takes as the SDK delivers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_stitch_import.pointers import at
from target_stitch_import.schema.node import TYPES
from target_stitch_import.schema.values import json_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from target_stitch_import.schema.node import Node

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
"""Keywords that speak of a record with the members that it had before."""


def flattenable(schema: Mapping[str, Any], root: Node, depth: int) -> dict[str, Any]:
    """Return a schema that the SDK's flattening makes the right columns of.

    Args:
        schema: It has `properties`; numbers are exact.
        root: The same, as it was read.
        depth: How many levels are flattened.
    """
    columns = _Flattening(schema, depth).columns(schema, root, 0)
    nested = {name for name, column in columns.items() if "properties" in column}
    flat = {name: value for name, value in schema.items() if name not in _OF_THE_WHOLE}
    if isinstance(required := schema.get("required"), list):
        # Others may be objects, which become columns of other names.
        flat["required"] = [name for name in required if name in columns.keys() - nested]
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
        types = self._types_of(node) or node.types
        if types & _NESTED:
            return {"type": _listed((types - _NESTED) | {"string"})}
        found: dict[str, Any] = at(self._schema, node.place)
        if "type" in found and node.types.isdisjoint(_NESTED):
            return found
        return {**found, "type": _listed(types)}

    def _types_of(self, node: Node) -> frozenset[str]:
        """Return the types that a value may have, by all that is said of it."""
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
    """Return types as a schema lists them; every integer is a number."""
    return [
        each for each in _ORDER if each in types and not (each == "integer" and "number" in types)
    ]


_ORDER = sorted(TYPES)
