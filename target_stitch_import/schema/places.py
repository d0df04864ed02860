"""Finds the places of date-times and rounded numbers in a schema, and rewrites them in records.

Invariant: only these values change; all other numbers and strings keep every character.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw, Struct, field

from target_stitch_import.pointers import pointer_to
from target_stitch_import.schema.node import MAX_DEPTH, all_nodes, reached, same_value
from target_stitch_import.schema.patterns import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from decimal import Decimal

    from target_stitch_import.schema.node import Node


_NESTED = frozenset({"object", "array"})


class Place(Struct):
    """What may be rewritten in a value: the value itself, its members, or its items.

    `step` is the `multipleOf` that a number must satisfy. `rest` is the place of members whose
    names are not in `named`. `is_ambiguous` is whether members or items are described by an
    alternative of the schema that need not apply, because another may accept the value.
    """

    is_date_time: bool = False
    step: int | Decimal | None = None
    members: dict[str, Place] = field(default_factory=dict)
    rest: Place | None = None
    items: Place | None = None
    named: frozenset[str] = frozenset()
    is_ambiguous: bool = False

    @property
    def is_rewritable(self) -> bool:
        """Return whether the value itself may be rewritten."""
        return self.is_date_time or self.step is not None

    def below(self) -> list[Place]:
        """Return the places of members and items."""
        found = [*self.members.values(), self.rest, self.items]
        return [each for each in found if each is not None]

    def leads_to_ambiguous(self) -> bool:
        """Return whether this place, or one below it, is ambiguous."""
        waiting, seen = [self], {id(self)}
        while waiting:
            place = waiting.pop()
            below = place.below()
            if place.is_ambiguous and below:
                return True
            new = [each for each in below if id(each) not in seen]
            seen.update(map(id, new))
            waiting += new
        return False


def places_of(root: Node) -> Place | None:
    """Return the places of values that may be rewritten, or None if a schema has none."""
    nodes = all_nodes(root)
    if not any(node.is_date_time or "multipleOf" in node.rules for node in nodes):
        return None
    known = {node: Place(is_date_time=_is_date_time(node), step=_step(node)) for node in nodes}
    for node, place in known.items():
        _fill(place, node, known)
    _prune(known.values())
    return known[root]


def _fill(place: Place, node: Node, known: dict[Node, Place]) -> None:
    """Fill a place with the places of members and items, from all nodes for the same value."""
    nodes = same_value(node)
    certain = {*reached(node, _certain)} if len(nodes) > 1 else {node}
    for each in nodes:
        if each not in certain and next(each.below(), None):
            place.is_ambiguous = True
        for name, below in each.properties.items():
            place.members[name] = _either(place.members.get(name), known[below])
        # `rest` does not apply to names that match a pattern, and names are not matched here.
        if not isinstance(each.rest, bool) and not each.patterns:
            place.rest = _either(place.rest, known[each.rest])
        if each.items is not None and not isinstance(each.items, tuple):
            place.items = _either(place.items, known[each.items])


def _certain(node: Node) -> Iterator[Node]:
    """Yield those schemas for the same value that an object or array must satisfy."""
    yield from node.all_of
    for alternatives in filter(None, (node.any_of, node.one_of)):
        uses = Counter(chain.from_iterable(each.types & _NESTED for each in alternatives))
        yield from (
            each for each in alternatives if all(uses[name] == 1 for name in each.types & _NESTED)
        )


def _either(one: Place | None, other: Place) -> Place:
    """Return one of two places for the same values: a rewritable one, else the first."""
    return one if one and (one.is_rewritable or not other.is_rewritable) else other


def _is_date_time(node: Node) -> bool:
    """Return whether a string must be a date-time.

    If other strings are valid, too, one that looks like a date-time is not rewritten.
    """
    return any(all(each.is_date_time for each in strings) for strings in _choices(node, {"string"}))


def _step(node: Node) -> int | Decimal | None:
    """Return the `multipleOf` that a number must satisfy, or None."""
    for numbers in _choices(node, {"number"}):
        steps = {each.rules.get("multipleOf") for each in numbers}
        if len(steps) == 1 and None not in steps:
            return steps.pop()
    return None


def _choices(node: Node, types: set[str]) -> Iterable[list[Node]]:
    """Yield lists of nodes that accept these types; a value must match one node of each list."""
    for each in reached(node, lambda node: node.all_of):
        if each.types & types:
            yield [each]
        fitting = [other for other in each.any_of + each.one_of if other.types & types]
        # If these have alternatives themselves, it is unknown what they require.
        if fitting and not any(other.any_of or other.one_of for other in fitting):
            yield fitting


def _prune(places: Collection[Place]) -> None:
    """Remove the places that lead to no rewritable value, which are most places of a schema."""
    above: dict[int, list[Place]] = {}
    for each in places:
        for below in each.below():
            above.setdefault(id(below), []).append(each)
    waiting = [each for each in places if each.is_rewritable]
    useful = set(map(id, waiting))
    while waiting:
        for each in above.get(id(waiting.pop()), ()):
            if id(each) not in useful:
                useful.add(id(each))
                waiting.append(each)
    for each in places:
        each.named = frozenset(each.members)
        each.members = {name: below for name, below in each.members.items() if id(below) in useful}
        each.rest = each.rest if id(each.rest) in useful else None
        each.items = each.items if id(each.items) in useful else None


Path: TypeAlias = tuple[str | int, ...]
"""Names and indices, from a record to a value in it."""


class Change(NamedTuple):
    """A value that was rewritten.

    `path` leads to it; `field` is a JSON Pointer that may be shown: without indices, and with `*`
    for names that are data. `repair` is as in `Rewrite`.
    """

    path: Path
    field: str
    repair: str | None


Rewrite: TypeAlias = "Callable[[Raw, Place], tuple[bytes, str | None] | None]"
"""Returns the new text of a string or number, and the repair; None if it does not change.

The repair is None if a date-time only got its missing offset, which does not count as a repair."""

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_OPENINGS = frozenset((b"{", b"["))
_BYTES_A_STEP = 500
"""Bytes of an object or list that are decoded in one step: its values are only skipped."""
_MAX_REPLACED = 16
"""Up to this many values are searched for and replaced one by one in the surrounding text."""


def rewritten(
    record: Raw,
    place: Place,
    rewrite: Rewrite,
    found: list[Change],
    *,
    skips_ambiguous: bool = False,
) -> Raw:
    """Return a record with its values rewritten; append the changes to `found`.

    If `skips_ambiguous`, members and items at ambiguous places stay unchanged.
    """
    walk = _Walk(rewrite, found, skips_ambiguous=skips_ambiguous)
    return walk.value(record, place, (), (), MAX_DEPTH)


class _Walk:
    """Rewrites values until its steps are used up; the rest stays unchanged.

    Each level of nesting is decoded again for each level around it.
    """

    def __init__(self, rewrite: Rewrite, found: list[Change], *, skips_ambiguous: bool) -> None:
        self._rewrite = rewrite
        self._found = found
        self._skips_ambiguous = skips_ambiguous
        self._steps_left = STEPS

    def value(self, text: Raw, place: Place, path: Path, shown: Path, depth: int) -> Raw:
        """Return the text of a value, rewritten if necessary."""
        opening = bytes(memoryview(text)[:1])
        self._steps_left -= 1 + len(text) // (_BYTES_A_STEP if opening in _OPENINGS else 4)
        if self._steps_left < 0:
            return text
        enters = depth and not (place.is_ambiguous and self._skips_ambiguous)
        try:
            if opening == b"{":
                if enters and (place.members or place.rest):
                    return self._members(text, place, path, shown, depth - 1)
            elif opening == b"[":
                if enters and place.items:
                    return self._items(text, place.items, path, shown, depth - 1)
            elif place.is_rewritable and (new := self._rewrite(text, place)):
                self._found.append(Change(path, pointer_to(shown), new[1]))
                return Raw(new[0])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # the exact check reports the error
        return text

    def _members(self, text: Raw, place: Place, path: Path, shown: Path, depth: int) -> Raw:
        members = _MEMBERS.decode(text)
        changes: dict[str, Raw] = {}
        for name, below in place.members.items():
            if name in members:
                new = self.value(members[name], below, (*path, name), (*shown, name), depth)
                if new is not members[name]:
                    changes[name] = new
        if place.rest:
            for name in members.keys() - place.named:
                # The name is data, so it is not shown.
                new = self.value(members[name], place.rest, (*path, name), (*shown, "*"), depth)
                if new is not members[name]:
                    changes[name] = new
        if not changes:
            return text
        pairs = [(members[name], new) for name, new in changes.items()]
        return _replaced(text, pairs) or Raw(msgspec.json.encode(members | changes))

    def _items(self, text: Raw, below: Place, path: Path, shown: Path, depth: int) -> Raw:
        items = _ITEMS.decode(text)
        changed = [
            self.value(each, below, (*path, at), shown, depth) for at, each in enumerate(items)
        ]
        pairs = [(old, new) for old, new in zip(items, changed, strict=True) if old is not new]
        if not pairs:
            return text
        return _replaced(text, pairs) or Raw(msgspec.json.encode(changed))


def _replaced(text: Raw, pairs: Sequence[tuple[Raw, Raw]]) -> Raw | None:
    """Return `text` with old values replaced by new ones, and all other bytes unchanged.

    None if an old value also occurs elsewhere in `text`, or if there are too many of them.
    """
    if len(pairs) > _MAX_REPLACED:
        return None
    whole = bytes(text)
    olds = [bytes(old) for old, _ in pairs]
    news = {bytes(old): bytes(new) for old, new in pairs}
    for old, new in news.items():
        if whole.count(old) != olds.count(old):
            return None
        whole = whole.replace(old, new)
    return Raw(whole)
