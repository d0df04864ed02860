"""Finds columns that need no check, because the known types of their values satisfy the schema.

Invariant: a column is left out of the check only if its schema accepts every value that it can
have.

`types` maps columns, which all records have, to the JSON types of their values. `date-time` means
strings that the service accepts as date-times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from target_stitch_import.schema.node import ACCEPTS_ALL
from target_stitch_import.schema.record_type import is_plain, takes_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from target_stitch_import.schema.node import Node

_OF_KEYS = frozenset({"integer", "number", "boolean"})
"""Types that need no check in keys. Strings do: one may be empty, or too long for a key."""


def known_columns(
    schema: Node, keys: Sequence[str], types: Mapping[str, AbstractSet[str]]
) -> frozenset[str]:
    """Return the columns whose `types` guarantee everything that the schema requires."""
    return frozenset(
        name
        for name, known in types.items()
        if (node := schema.properties.get(name))
        and (name not in keys or known <= _OF_KEYS)
        and all(_takes(node, each) for each in known)
    )


def _takes(node: Node, kind: str) -> bool:
    """Return whether a node accepts all values of a JSON type, or all date-times."""
    if node.any_of and is_plain(replace(node, any_of=())) and not node.rules:
        return any(_takes(each, kind) for each in node.any_of)
    if kind == "date-time":
        return is_plain(node) and "string" in node.types and node.rules.keys() <= {"type", "format"}
    return takes_all(node, kind)


def without(schema: Node, columns: AbstractSet[str]) -> Node:
    """Return a schema that accepts any value in these columns."""
    properties = {
        name: replace(node, rules={}, **ACCEPTS_ALL) if name in columns else node
        for name, node in schema.properties.items()
    }
    return replace(schema, properties=properties)


def nothing_else_to_check(
    schema: Node,
    keys: Sequence[str],
    types: Mapping[str, AbstractSet[str]],
    known: AbstractSet[str],
) -> bool:
    """Return whether the schema requires nothing except for what holds in `known` columns."""
    return (
        is_plain(schema)
        and "object" in schema.types
        and known >= types.keys() & schema.properties.keys()
        and known >= {*keys}
        and types.keys() >= {*schema.rules.get("required", ())}
        and (schema.rest is True or schema.properties.keys() >= types.keys())
    )
