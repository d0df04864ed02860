"""Date-times: which texts are some, and completing those without an offset, in the record's text.

Law: nothing but the date-time changes; numbers and other texts keep their every digit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from target_stitch_import.schema.node import MAX_DEPTH, same_value

if TYPE_CHECKING:
    from collections.abc import Collection

    from target_stitch_import.schema.node import Node

DATE_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ]"
    r"(?P<clock>(?P<time>(?:[01]\d|2[0-3])(?::[0-5]\d){2})(?:\.(?P<fraction>\d+))?)"
    r"(?P<offset>[Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
"""A date-time of RFC 3339, but that a space may part day and time, and the offset be missing."""

_IN_JSON = re.compile(b'"%b"' % DATE_TIME.pattern.encode())
"""The same as it stands in a record: no writer escapes digits."""


def is_date_time(text: object) -> bool:
    """Tell whether `text` is a date-time of RFC 3339; formats say nothing of other types."""
    if not isinstance(text, str):
        return True
    match = DATE_TIME.fullmatch(text)
    return bool(match and match["offset"] and _is_on_the_calendar(match))


def _is_on_the_calendar(match: re.Match[str]) -> bool:
    offset = match["offset"]
    if offset not in "Zz" and (int(offset[1:3]) > 23 or int(offset[-2:]) > 59):
        return False
    return _is_a_day(match["day"])


def _is_a_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _completed(text: Raw) -> Raw | None:
    """Return a date-time without offset as one of UTC; None for any other text."""
    match = _IN_JSON.fullmatch(text)
    if match is None or match["offset"] or not _is_a_day(str(match["day"], "ascii")):
        return None
    return Raw(b'"%bT%bZ"' % match.group("day", "clock"))


@dataclass(slots=True)
class Completion:
    """Where date-times stand in a value: it is one itself, or its members and items hold some.

    `rest` is that of members with a name that is not among those `named`.
    """

    is_date_time: bool = False
    members: dict[str, Completion] = field(default_factory=dict)
    rest: Completion | None = None
    items: Completion | None = None
    named: frozenset[str] = frozenset()

    def below(self) -> list[Completion]:
        """Return those of members and items."""
        found = [*self.members.values(), self.rest, self.items]
        return [each for each in found if each is not None]


def completion_of(root: Node) -> Completion | None:
    """Return where a schema has date-times, or None where it has none."""
    nodes = _all_nodes(root)
    if not any(node.is_date_time for node in nodes):
        return None
    known = {node: Completion() for node in nodes}
    for node, completion in known.items():
        _fill(completion, node, known)
    _prune(known.values())
    return known[root]


def _all_nodes(root: Node) -> list[Node]:
    """Return all that a schema leads to."""
    found = {root: None}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        fresh = [each for each in (*node.beside(), *node.below()) if each not in found]
        found |= dict.fromkeys(fresh)
        waiting += fresh
    return list(found)


def _fill(completion: Completion, node: Node, known: dict[Node, Completion]) -> None:
    """Put together what a node and those of the same value say."""
    completion.is_date_time = _is_date_time(node)
    for each in same_value(node):
        for name, below in each.properties.items():
            completion.members.setdefault(name, known[below])
        if not isinstance(each.rest, bool) and completion.rest is None:
            completion.rest = known[each.rest]
        if each.items is not None and not isinstance(each.items, tuple):
            completion.items = completion.items or known[each.items]


def _is_date_time(node: Node) -> bool:
    """Tell whether a string without an offset is worth completing.

    Where any string will do, a date-time without an offset is right as it is.
    """
    for each in _all_that_must_hold(node):
        if each.is_date_time and "string" in each.types:
            return True
        plain = [other for other in each.any_of + each.one_of if not (other.any_of or other.one_of)]
        strings = [other.is_date_time for other in plain if "string" in other.types]
        if strings and all(strings):
            return True
    return False


def _all_that_must_hold(node: Node) -> list[Node]:
    found = {node: None}
    waiting = [node]
    while waiting:
        fresh = [each for each in waiting.pop().all_of if each not in found]
        found |= dict.fromkeys(fresh)
        waiting += fresh
    return list(found)


def _prune(completions: Collection[Completion]) -> None:
    """Leave out what leads to no date-time: records have far more members than date-times."""
    above: dict[int, list[Completion]] = {}
    for each in completions:
        for below in each.below():
            above.setdefault(id(below), []).append(each)
    waiting = [each for each in completions if each.is_date_time]
    useful = set(map(id, waiting))
    while waiting:
        for each in above.get(id(waiting.pop()), ()):
            if id(each) not in useful:
                useful.add(id(each))
                waiting.append(each)
    for each in completions:
        each.named = frozenset(each.members)
        each.members = {name: below for name, below in each.members.items() if id(below) in useful}
        each.rest = each.rest if id(each.rest) in useful else None
        each.items = each.items if id(each.items) in useful else None


_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])


def complete(
    text: Raw, completion: Completion, place: str, fields: list[str], depth: int = MAX_DEPTH
) -> Raw:
    """Return `text` with a `Z` behind each date-time without offset; note them in `fields`.

    Each level of nesting is read once more for all those around it, so there are at most `depth`.
    """
    opening = bytes(memoryview(text)[:1])
    try:
        if opening == b'"' and completion.is_date_time:
            if completed := _completed(text):
                fields.append(place)
                return completed
        elif depth and opening == b"{" and (completion.members or completion.rest):
            return _in_members(text, completion, place, fields, depth - 1)
        elif depth and opening == b"[" and completion.items:
            return _in_items(text, completion.items, place, fields, depth - 1)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # the exact check says what is wrong with it
    return text


def _in_members(
    text: Raw, completion: Completion, place: str, fields: list[str], depth: int
) -> Raw:
    before = len(fields)
    members = _MEMBERS.decode(text)
    for name, below in completion.members.items():
        if name in members:
            members[name] = complete(members[name], below, f"{place}/{name}", fields, depth)
    if completion.rest:
        for name in members.keys() - completion.named:
            # The name is the data's, and so not told.
            members[name] = complete(members[name], completion.rest, f"{place}/*", fields, depth)
    return Raw(msgspec.json.encode(members)) if len(fields) > before else text


def _in_items(text: Raw, below: Completion, place: str, fields: list[str], depth: int) -> Raw:
    before = len(fields)
    items = [complete(each, below, place, fields, depth) for each in _ITEMS.decode(text)]
    return Raw(msgspec.json.encode(items)) if len(fields) > before else text
