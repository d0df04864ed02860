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

from target_stitch_import.json_schema import resolve, types_of

if TYPE_CHECKING:
    from target_stitch_import.json_schema import JsonSchema

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


def _is_naive(text: str) -> bool:
    match = _DATE_TIME.fullmatch(text)
    return bool(match and not match["offset"] and _is_on_the_calendar(match))


def _is_on_the_calendar(match: re.Match[str]) -> bool:
    offset = match["offset"]
    if offset and offset not in "Zz" and (int(offset[1:3]) > 23 or int(offset[-2:]) > 59):
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class Completion:
    """Where date-times stand in a value: it is one itself, or its members and items hold some."""

    is_date_time: bool = False
    members: dict[str, Completion] = field(default_factory=dict)
    rest: Completion | None = None
    items: Completion | None = None


def completion_of(schema: JsonSchema) -> Completion | None:
    """Return where an enforced schema has date-times, or None where it has none."""
    if "'date-time'" not in repr(schema):
        return None
    return _completion_in(schema, schema, {})


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
_STRING = msgspec.json.Decoder(str)


def complete(text: Raw, completion: Completion, place: str, fields: list[str]) -> Raw:
    """Return `text` with a `Z` behind each date-time without offset; note them in `fields`."""
    opening = bytes(memoryview(text)[:1])
    before = len(fields)
    try:
        if opening == b'"' and completion.is_date_time:
            if _is_naive(_STRING.decode(text)):
                fields.append(place)
                # The day is ten characters long; some write a space behind it.
                return Raw(bytes(text)[:11] + b"T" + bytes(text)[12:-1] + b'Z"')
        elif opening == b"{" and (completion.members or completion.rest):
            members = _MEMBERS.decode(text)
            for name, value in members.items():
                if known := completion.members.get(name):
                    members[name] = complete(value, known, f"{place}/{name}", fields)
                elif completion.rest:  # its name is the data's, and so not told
                    members[name] = complete(value, completion.rest, f"{place}/*", fields)
            return Raw(msgspec.json.encode(members)) if len(fields) > before else text
        elif opening == b"[" and completion.items:
            items = [complete(i, completion.items, place, fields) for i in _ITEMS.decode(text)]
            return Raw(msgspec.json.encode(items)) if len(fields) > before else text
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # the exact check says what is wrong with it
    return text
