"""Finds and repairs NaN, U+0000 and unpaired surrogates in a record's text, without parsing it.

Invariant: only what is repaired changes. The rest of a text that takes too many steps stays
unchanged.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Repair: TypeAlias = "tuple[tuple[str | int, ...], str]"
"""The path to a value that was repaired, and the name of the repair."""

MAX_STEPS = 200_000
"""How many quotation marks, escapes, brackets and commas are examined, which takes half a second;
paths to deeply nested values take additional steps."""
_LEVELS_A_STEP = 8

NUL = b"\\u0000"
"""U+0000 as an escape in JSON."""

_NEW = {"nan_to_null": b"null", "strip_nul": b"", "replace_surrogates": b"\\ufffd"}
"""The replacement of each repair."""

REPAIRS = frozenset(_NEW)
"""The names of the repairs of texts; `repairs` has those of parsed values."""

_MARK = re.compile(rb'\\(?:u[0-9a-fA-F]{4}|.)|"|-?(?:NaN|Infinity)|[{}\[\],:]', re.DOTALL)
_HIGH = re.compile(rb"\\u[dD][89abAB]")
_LOW = re.compile(rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class Flaw(Struct, frozen=True):
    """A flaw that no destination accepts, at `start` to `end` of the text.

    `path` leads to the value with the flaw, or to the object if the flaw is in a member's name.
    """

    start: int
    end: int
    repair: str
    path: tuple[str | int, ...]
    is_in_name: bool = False


class RepairedText(Struct, frozen=True):
    """A repaired text, its repairs, and the first flaw found that was not repaired."""

    text: bytes
    repairs: list[Repair]
    left: Flaw | None


def repaired_text(text: bytes, repairs: Collection[str]) -> RepairedText:
    """Make the given repairs in a record's text; names of members are not repaired."""
    pieces: list[bytes] = []
    made: dict[Repair, None] = {}
    left = None
    position = 0
    for flaw in _flaws(text):
        if flaw.repair not in repairs or flaw.is_in_name:
            left = left or flaw
            continue
        pieces += (text[position : flaw.start], _NEW[flaw.repair])
        position = flaw.end
        made[flaw.path, flaw.repair] = None
    pieces.append(text[position:])
    return RepairedText(b"".join(pieces), list(made), left)


class _Level(Struct):
    """An open object or list, and its current member or item."""

    is_object: bool
    at: str | int = 0
    is_at_name: bool = False


def _flaws(text: bytes) -> Iterator[Flaw]:
    levels: list[_Level] = []
    opened: int | None = None  # where the current string begins
    skip_to = steps = 0
    string_path: tuple[str | int, ...] = ()  # to the current string, once it has a flaw
    for found in _MARK.finditer(text):
        steps += 1
        if steps > MAX_STEPS:
            return
        mark, start = found[0], found.start()
        top = levels[-1] if levels else None
        is_name = top is not None and top.is_at_name
        if opened is None:
            string_path = ()
            if mark == b'"':
                opened = start
            elif mark[-1:] in b"Ny":  # of NaN and Infinity
                steps += len(levels) // _LEVELS_A_STEP
                yield Flaw(start, found.end(), "nan_to_null", _path(levels))
            else:
                _follow(mark, levels)
        elif mark == b'"':
            if top is not None and is_name:
                top.at = _plain(text[opened : found.end()])
            opened = None
        elif start >= skip_to and (repair := _repair_of(mark)):
            if _HIGH.match(mark) and _LOW.match(text, found.end()):
                skip_to = found.end() + 1  # the other half
                continue
            steps += 0 if string_path else len(levels) // _LEVELS_A_STEP
            string_path = string_path or _path(levels[:-1] if is_name else levels)
            yield Flaw(start, found.end(), repair, string_path, is_name)


def _follow(mark: bytes, levels: list[_Level]) -> None:
    """Update the open levels for a mark outside of strings."""
    if mark in b"{[":
        levels.append(_Level(mark == b"{", is_at_name=mark == b"{"))
    elif not levels:
        return
    elif mark in b"}]":
        levels.pop()
    elif mark == b":":
        levels[-1].is_at_name = False
    elif levels[-1].is_object:
        levels[-1].is_at_name = True
    else:
        levels[-1].at = int(levels[-1].at) + 1


def _path(levels: list[_Level]) -> tuple[str | int, ...]:
    return tuple(level.at for level in levels)


def _repair_of(escape: bytes) -> str | None:
    if escape == NUL:
        return "strip_nul"
    if escape[:3] in {b"\\ud", b"\\uD"} and escape[3:4] in b"89abcdefABCDEF":
        return "replace_surrogates"
    return None


def _plain(name: bytes) -> str:
    try:
        if b"\\" not in name:
            return name[1:-1].decode()
        text = str(json.loads(name.decode("utf-8", "replace")))
    except ValueError:
        return ""
    return text.encode("utf-8", "replace").decode()
