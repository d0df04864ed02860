"""Lists the columns that loading creates: objects are flattened to `a__b`, arrays to subtables.

Invariant: the walk over a schema ends, however many columns it has.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from target_stitch_import.schema.node import MAX_DEPTH, same_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from target_stitch_import.schema.node import Node

MAX_COLUMNS = 20_000
"""More than any destination supports in a table."""

_NESTED = frozenset({"object", "array", "null"})


class Column(NamedTuple):
    """A column: `name` is its flattened name, `leaf` the last part of it."""

    table: tuple[str, ...]
    """The names of the arrays that lead to its subtable; empty for the main table."""
    name: str
    leaf: str


def columns_of(root: Node) -> list[Column]:
    """Return the columns into which records of a schema are loaded, without duplicates."""
    found = islice(_columns((root,), (), "", frozenset()), MAX_COLUMNS)
    return list(dict.fromkeys(each for each in found if each is not None))


def _columns(
    nodes: tuple[Node, ...], table: tuple[str, ...], prefix: str, above: frozenset[Node]
) -> Iterator[Column | None]:
    """Yield the columns of objects under `nodes`, and None once per object.

    The None lets the caller bound the walk. Nodes in `above` are not entered again.
    """
    yield None
    members: dict[str, tuple[Node, ...]] = {}
    for node in nodes:
        for each in same_value(node):
            for name, below in each.properties.items():
                members[name] = (*members.get(name, ()), below)
    above = above.union(nodes)
    for name, schemas in members.items():
        column = Column(table, prefix + name, name)
        if _is_scalar(schemas):
            yield column
            continue
        alternatives = [each for node in schemas for each in same_value(node)]
        if _may_be_scalar(alternatives):
            yield column
        if len(above) > MAX_DEPTH or not above.isdisjoint(schemas):
            continue
        if any(each.properties for each in alternatives):
            yield from _columns(schemas, table, f"{column.name}__", above)
        if items := tuple(each for node in alternatives for each in node.all_items()):
            yield from _of_items(items, (*table, column.name), above.union(schemas))


def _of_items(
    items: tuple[Node, ...], table: tuple[str, ...], above: frozenset[Node]
) -> Iterator[Column | None]:
    """Yield the columns of a subtable; items that are not objects are in the column `value`."""
    if not above.isdisjoint(items):
        return
    if _may_be_scalar(items):
        yield Column(table, "value", "value")
    yield from _columns(items, table, "", above)


def _may_be_scalar(nodes: Iterable[Node]) -> bool:
    """Return whether one of the nodes accepts values that need a column of their own."""
    return any(not (each.types <= _NESTED or _is_defined_below(each)) for each in nodes)


def _is_scalar(nodes: tuple[Node, ...]) -> bool:
    """Return whether values are only scalars, in the common case of one node with a type."""
    if len(nodes) > 1 or "type" not in nodes[0].rules:
        return False
    return nodes[0].types.isdisjoint({"object", "array"})


def _is_defined_below(node: Node) -> bool:
    """Return whether a node lists no types, but other nodes define its values."""
    leads_on = node.properties or node.items is not None or node.combined
    return "type" not in node.rules and bool(leads_on)
