"""Explains invalid JSON: extracts an object's members, and locates the first defect.

Invariant: steps and passes over the text are bounded; a defect that would need more is not located.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from target_stitch_import.pointers import pointer_to

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 24_000_000
"""A longer text could not be sent even if it were valid, and examining it would take seconds, in
which signals are not handled."""
MAX_MEMBERS = 1_000
"""A message has a handful of members; a text with more is not a message."""
MAX_MARKS = 300_000
"""How many brackets and strings are examined where the parser fails; takes a fifth of a second."""
MAX_STEPS = 20_000
"""How many members and items are skipped in search of a value that is not JSON."""
MAX_ESCAPES = 1_000
"""How many backslashes before a surrogate are counted: after an odd number, it is plain text."""
MAX_PASSES = 8
"""How much is read to find a value that is not JSON, as a multiple of the text's length: each level
of nesting reads the rest of the text again."""

_RAW = msgspec.json.Decoder(Raw)
_STAND_INS = {b"NaN": b"0.0", b"Infinity": b"0.000000"}
_NOT_A_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_SURROGATE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
_STOP = re.compile(r"\(byte (\d+)\)$")
_KINDS = {b"{": "an object", b"[": "a list", b"t": "true", b"f": "false", b"n": "null"}
_TRAILING = "JSON is malformed: trailing characters"

_EMPTY = re.compile(rb"\{\s*\}")
_OPENING = re.compile(rb"\s*([{\[])")
_QUOTE = re.compile(rb'\s*"')
_COLON = re.compile(rb"\s*:\s*")
_NEXT = re.compile(rb"\s*([,}\]])")
_MARK = re.compile(rb'["{}\[\],]')
_INNER_MARK = re.compile(rb'"|[{\[]+|[}\]]+')
# Each repetition that a pattern matches takes memory, so repetitions are limited.
_IN_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*){0,1000}', re.DOTALL)
_STRINGS = re.compile(rb'(?:"[^"\\]*"[^"{}\[\]]*){1,1000}')
"""Consecutive strings without escapes, inside brackets."""


class Defect(Struct, frozen=True):
    """Why the text of a record is not JSON that can be sent; `field` is a pointer, or empty."""

    field: str
    reason: str


def record_defect(record: bytes) -> Defect | None:
    """Return the first defect of a record's text, or None if it is valid JSON."""
    try:
        _RAW.decode(record)
    except RecursionError:
        return Defect("", "it is nested too deeply")
    except msgspec.MsgspecError as error:
        if len(record) > MAX_BYTES:
            return Defect("", "it is not JSON")
        stop = _stop(error)
        # The parser stops after the sign of `-Infinity`.
        starts = () if stop is None else (max(stop - 1, 0), stop)
        for start in starts:
            if found := _NOT_A_NUMBER.match(record, start):
                field = pointer(record, start)
                return Defect(field, f"it is {found[0].decode()}, which is not a JSON number")
        half = _unpaired_surrogate(record)
        if half is not None:
            return Defect(pointer(record, half), "it contains an unpaired surrogate")
        return Defect("", "it is not JSON")
    return None


def _unpaired_surrogate(text: bytes) -> int | None:
    """Return the position of the first unpaired UTF-16 surrogate escape, if there is one."""
    at = 0
    for _ in range(MAX_STEPS):
        found = _SURROGATE.search(text, at)
        if found is None:
            return None
        before = text[max(found.start() - MAX_ESCAPES, 0) : found.start()]
        escapes = len(before) - len(before.rstrip(b"\\"))
        if escapes % 2 == 0 and found[1] is None:
            return found.start()
        at = found.end() if escapes % 2 == 0 else found.start() + 2
    return None


def plain_text(value: bytes) -> str:
    """Return the content of a JSON string; for any other value, the name of its kind."""
    if not value.startswith(b'"'):
        return _KINDS.get(value[:1], "a number") if value else ""
    try:
        return str(json.loads(value.decode("utf-8", "replace")))
    except ValueError:
        return ""


def outline(text: bytes) -> dict[str, bytes] | None:
    """Return the members of a JSON object, up to `MAX_MEMBERS`, each value as its text.

    None if the text is not an object, or too large. The content of values is not examined, so the
    object may contain NaN, or be nested too deeply for a JSON parser.
    """
    text = text.strip()
    if not text.startswith(b"{") or len(text) > MAX_BYTES:
        return None
    if _EMPTY.fullmatch(text):
        return {}
    values = _Values(text)
    members: dict[str, bytes] = {}
    position = 1  # where a name, or the space before it, begins
    for _ in range(MAX_MEMBERS):
        name = _member_name(text, position)
        end = values.end(name.value_at) if name else None
        after = _NEXT.match(text, end) if end else None
        if name is None or after is None or after[1] == b"]":
            return None
        members[plain_text(name.text)] = text[name.value_at : end].strip()
        position = after.end()
        if after[1] == b"}":
            return members if position == len(text) else None
    return members


def pointer(text: bytes, at: int) -> str:
    """Return the JSON Pointer to the value at position `at`; the text before it must be valid.

    If that would take too long, it is the pointer to an object or list that contains the value.
    """
    path: list[str | int] = []
    start, steps, bytes_left = 0, iter(range(MAX_STEPS)), MAX_PASSES * len(text)
    while bytes_left > 0 and (opening := _OPENING.match(text, start)):
        found = _first_defective(text, opening, steps)
        if found is None:
            break
        step, start = found
        path.append(step)
        bytes_left -= at - start
    return pointer_to(path)


def _first_defective(
    text: bytes, opening: re.Match[bytes], steps: Iterator[int]
) -> tuple[str | int, int] | None:
    """Return the first member or item whose value is not JSON, and where its value begins.

    Each one that is skipped takes one of `steps`; None if they run out, or a name is not JSON.
    """
    is_object, position = opening[1] == b"{", opening.end()
    for index, _ in enumerate(steps):
        name = _member_name(text, position) if is_object else None
        if is_object and name is None:
            return None
        start = name.value_at if name else position
        end = _sound_end(text, start)
        if end is None:
            return plain_text(name.text) if name else index, start
        after = _NEXT.match(text, end)
        position = after.end() if after else len(text)
    return None


class _Name(Struct, frozen=True):
    text: bytes
    value_at: int


def _member_name(text: bytes, position: int) -> _Name | None:
    """Return the member name at `position` in an object, and where its value begins."""
    quote = _QUOTE.match(text, position)
    end = _string_end(text, quote.end()) if quote else None
    colon = _COLON.match(text, end) if end else None
    return _Name(text[quote.end() - 1 : end], colon.end()) if quote and colon else None


class _Values:
    """Finds where values end: with the parser, or by matching brackets where the parser fails."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        # NaN and Infinity are replaced by numbers of the same length, so that positions stay the
        # same. Replacing them in strings does no harm, as strings are only skipped.
        self._sound = text
        for number, other in _STAND_INS.items():
            self._sound = self._sound.replace(number, other)
        self._marks_left = MAX_MARKS

    def end(self, position: int) -> int | None:
        """Return where the value at `position` ends, or where what follows it begins."""
        end = _sound_end(self._sound, position)
        if end is not None and _NEXT.match(self._text, end):
            return end
        return self._end_by_brackets(position)

    def _end_by_brackets(self, position: int) -> int | None:
        """Return where the comma or brace after the value at `position` is, if there is one."""
        text, depth = self._text, 0
        while found := (_INNER_MARK if depth else _MARK).search(text, position):
            self._marks_left -= 1
            if self._marks_left < 0:
                return None
            start, mark = found.start(), found[0]
            if mark == b'"':
                strings = _STRINGS.match(text, start) if depth else None
                end = strings.end() if strings else _string_end(text, start + 1)
                if end is None:
                    return None
                position = end
            elif mark[0] in b"[{":
                depth += len(mark)
                position = start + len(mark)
            elif depth:
                closed = min(depth, len(mark))
                depth -= closed
                position = start + closed
            else:
                return start
        return None


def _sound_end(text: bytes, position: int) -> int | None:
    """Return where the text after a JSON value begins; None if there is no valid value."""
    try:
        _RAW.decode(memoryview(text)[position:])
    except msgspec.MsgspecError as error:
        stop = _stop(error) if str(error).startswith(_TRAILING) else None
        return None if stop is None else position + stop - 1  # `stop` is one byte too far
    except RecursionError:
        return None
    return len(text)


def _stop(error: msgspec.MsgspecError) -> int | None:
    """Return where the parser stopped."""
    found = _STOP.search(str(error))
    return int(found[1]) if found else None


def _string_end(text: bytes, position: int) -> int | None:
    """Return where the string whose content begins at `position` ends, or None."""
    while position < len(text):
        found = _IN_STRING.match(text, position)
        position = found.end() if found else position
        if text[position : position + 1] == b'"':
            return position + 1
        if position >= len(text) - 1:  # else it has more escapes than one match
            return None
    return None
