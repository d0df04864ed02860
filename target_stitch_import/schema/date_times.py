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

from target_stitch_import.schema.draft4 import resolve, types_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from target_stitch_import.schema.draft4 import JsonSchema

_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3])(:[0-5]\d){2}(\.\d+)?(?P<offset>[Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


def is_date_time(text: object) -> bool:
    """Tell whether `text` is a date-time of RFC 3339; other types are no matter of formats."""
    if not isinstance(text, str):
        return True
    match = _DATE_TIME.fullmatch(text)
    return bool(match and match["offset"] and _is_on_the_calendar(match))


def _is_on_the_calendar(match: re.Match[str]) -> bool:
    offset = match["offset"]
    if offset not in "Zz" and (int(offset[1:3]) > 23 or int(offset[-2:]) > 59):
        return False
    return _is_a_day(match[1])


def _is_a_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


# As JSON. No writer escapes digits.
_NAIVE = re.compile(rb'"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d+)?)"')


def _completed(text: Raw) -> Raw | None:
    """Return a date-time without offset as one of UTC; None for any other text."""
    match = _NAIVE.fullmatch(text)
    if match is None or not _is_a_day(str(match[1], "ascii")):
        return None
    return Raw(b'"%bT%bZ"' % match.groups())


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

    def leads_to(self, wanted: Collection[int]) -> bool:
        """Tell whether one of those right below is `wanted`, by its `id`."""
        below = [*self.members.values(), self.rest, self.items]
        return any(id(each) in wanted for each in below)


def completion_of(schema: JsonSchema) -> Completion | None:
    """Return where an enforced schema has date-times, or None where it has none."""
    if "'date-time'" not in repr(schema):
        return None
    known: dict[int, Completion] = {}
    completion = _completion_in(schema, schema, known)
    _prune(known.values())
    return completion


def _prune(completions: Collection[Completion]) -> None:
    """Leave out what leads to no date-time: records have far more members than date-times."""
    useful = {id(each) for each in completions if each.is_date_time}
    while more := {
        id(each) for each in completions if id(each) not in useful and each.leads_to(useful)
    }:
        useful |= more
    for each in completions:
        each.named = frozenset(each.members)
        each.members = {name: below for name, below in each.members.items() if id(below) in useful}
        each.rest = each.rest if id(each.rest) in useful else None
        each.items = each.items if id(each.items) in useful else None


def _completion_in(
    schema: JsonSchema, root: JsonSchema, known: dict[int, Completion]
) -> Completion:
    schema = resolve(schema, root)
    if id(schema) in known:
        return known[id(schema)]
    found = known[id(schema)] = Completion()
    strings = [
        "format" in each
        for each in (resolve(alternative, root) for alternative in _alternatives(schema))
        if "string" in types_of(each) and not {"anyOf", "oneOf"} & each.keys()
    ]
    # Where any string will do, a date-time without an offset is right as it is.
    found.is_date_time = bool(strings) and all(strings)
    for each in (schema, *_alternatives(schema), *schema.get("allOf", ())):
        part = resolve(each, root)
        if part is not schema:
            below = _completion_in(part, root, known)
            found.members |= below.members
            found.rest = found.rest or below.rest
            found.items = found.items or below.items
            found.is_date_time |= below.is_date_time and each in schema.get("allOf", ())
    for name, below_schema in schema.get("properties", {}).items():
        found.members[name] = _completion_in(below_schema, root, known)
    if isinstance(schema.get("additionalProperties"), dict):
        found.rest = _completion_in(schema["additionalProperties"], root, known)
    if isinstance(schema.get("items"), dict):
        found.items = _completion_in(schema["items"], root, known)
    return found


def _alternatives(schema: JsonSchema) -> list[JsonSchema]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())] or [schema]


_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])


def complete(text: Raw, completion: Completion, place: str, fields: list[str]) -> Raw:
    """Return `text` with a `Z` behind each date-time without offset; note them in `fields`."""
    opening = bytes(memoryview(text)[:1])
    before = len(fields)
    try:
        if opening == b'"' and completion.is_date_time:
            if completed := _completed(text):
                fields.append(place)
                return completed
        elif opening == b"{" and (completion.members or completion.rest):
            members = _MEMBERS.decode(text)
            for name, known in completion.members.items():
                if name in members:
                    members[name] = complete(members[name], known, f"{place}/{name}", fields)
            if completion.rest:
                for name in members.keys() - completion.named:
                    # The name is the data's, and so not told.
                    members[name] = complete(members[name], completion.rest, f"{place}/*", fields)
            return Raw(msgspec.json.encode(members)) if len(fields) > before else text
        elif opening == b"[" and completion.items:
            items = [complete(i, completion.items, place, fields) for i in _ITEMS.decode(text)]
            return Raw(msgspec.json.encode(items)) if len(fields) > before else text
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # the exact check says what is wrong with it
    return text
