"""The nodes of a schema: one for each subschema, with its rules and the nodes that it leads to.

Invariant: nodes never change, so that results can be cached by node.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
MAX_DEPTH = 100
"""The maximum nesting of schemas, and of schemas for the same value that lead to each other."""
ACCEPTS_ALL: Mapping[str, Any] = MappingProxyType(
    {
        "types": TYPES,
        "enum": frozenset(),
        "properties": MappingProxyType({}),
        "patterns": (),
        "rest": True,
        "dependencies": (),
        "items": None,
        "other_items": True,
        "all_of": (),
        "any_of": (),
        "one_of": (),
        "none_of": None,
    }
)
"""The fields of a node that accepts everything, except for its place and its empty `rules`."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """A subschema, reduced to what is enforced; shared by all references to it.

    `place` is a JSON Pointer to it. `rules` has the keywords that contain no schema, without
    formats other than `date-time`; numbers are exact. `types` has all types if none are listed.
    `is_shared` is whether it is used in several places.
    """

    place: str
    types: frozenset[str]
    rules: Mapping[str, Any]
    enum: frozenset[str]
    """The values of `enum` in their canonical form."""
    properties: Mapping[str, Node]
    patterns: tuple[tuple[str, Node], ...]
    """Expressions for names (`patternProperties`), with the schema of members that match."""
    rest: Node | bool
    """The schema of all other members (`additionalProperties`)."""
    dependencies: tuple[tuple[str, Node | tuple[str, ...]], ...]
    """Names of members, with the schema or required names of objects that have the member."""
    items: Node | tuple[Node, ...] | None
    """The schema of all items; or of each of the first items, with `other_items` for the rest."""
    other_items: Node | bool
    all_of: tuple[Node, ...]
    any_of: tuple[Node, ...]
    one_of: tuple[Node, ...]
    none_of: Node | None
    is_shared: bool = False

    @property
    def combined(self) -> bool:
        """Return whether other schemas apply to the same value."""
        return next(self.beside(), None) is not None

    @property
    def is_date_time(self) -> bool:
        """Return whether strings must be date-times."""
        return "format" in self.rules

    def beside(self) -> Iterator[Node]:
        """Yield the schemas that apply to the same value."""
        yield from self.all_of
        yield from self.any_of
        yield from self.one_of
        if self.none_of:
            yield self.none_of
        yield from (each for _, each in self.dependencies if isinstance(each, Node))

    def below(self) -> Iterator[Node]:
        """Yield the schemas that apply to members and items."""
        yield from self.properties.values()
        yield from (node for _, node in self.patterns)
        yield from (each for each in (self.rest, self.other_items) if isinstance(each, Node))
        yield from self.all_items()

    def all_items(self) -> tuple[Node, ...]:
        """Return the schemas in `items`."""
        if self.items is None:
            return ()
        return self.items if isinstance(self.items, tuple) else (self.items,)


def same_value(node: Node) -> list[Node]:
    """Return a node with its `anyOf`, `oneOf` and `allOf`, at any depth, without duplicates."""
    return reached(node, lambda each: (*each.any_of, *each.one_of, *each.all_of))


def all_nodes(root: Node) -> list[Node]:
    """Return all nodes of a schema, without duplicates."""
    return reached(root, lambda each: (*each.beside(), *each.below()))


def reached(start: Node, following: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """Return `start` and the nodes that `following` leads to, at any depth, without duplicates."""
    found = {start: None}
    waiting = [start]
    while waiting:
        fresh = [each for each in following(waiting.pop()) if each not in found]
        found |= dict.fromkeys(fresh)
        waiting += fresh
    return list(found)
