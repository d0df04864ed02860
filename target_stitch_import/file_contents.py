"""Recognises the kind of an existing file by its first bytes and its last line.

The JSON in them may be cut off anywhere, so neither a JSON parser nor `singer.outline` can read it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

ENDS_BYTES = 1 << 16
"""How many bytes of a file's beginning and of its end are examined."""
_SPACES = frozenset(" \t\r\n")
_DECODER = json.JSONDecoder()


class FileKind(Struct, frozen=True):
    """A kind of file, and how to recognise it.

    `recognises` is called with the file's first bytes, and with its last line, or None if that is
    longer than `ENDS_BYTES`. `flags` are those with which the check opens an existing file, so
    that it fails where the run would: some files may only be appended to.
    """

    description: str
    recognises: Callable[[bytes, bytes | None], bool]
    may_be_empty: bool = True
    flags: int = os.O_RDWR


def _members(text: str) -> tuple[set[str], bool] | None:
    """Return the member names of the JSON object at the beginning of `text`.

    Returns:
        The names, and whether the object is complete; None if it is not an object.
    """
    names: set[str] = set()
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        return None
    at = _after_space(text, at + 1)
    while at < len(text) and text[at] != "}":
        try:
            name, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, at)
            if not isinstance(name, str) or text[at : at + 1] not in {":", ""}:
                return None
            names.add(name)
            _, at = _DECODER.raw_decode(text, _after_space(text, at + 1))
        except (ValueError, RecursionError):
            return names, False  # most likely, the text ends inside this member
        at = _after_space(text, at)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
        elif text[at : at + 1] not in {"}", ""}:
            return None
    return names, at < len(text)


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACES:
        at += 1
    return at


def _is_object(text: bytes, required: set[str], optional: set[str]) -> bool:
    """Return whether `text` begins with an object with these members, or with part of one.

    True for blank text, which may be the beginning of anything.
    """
    if not text.strip():
        return True
    found = _members(text.decode(errors="replace"))
    if found is None:
        return False
    names, is_whole = found
    return names >= required or (not is_whole and names <= required | optional)


def _json_lines(required: set[str], optional: set[str]) -> Callable[[bytes, bytes | None], bool]:
    def recognises(head: bytes, last: bytes | None) -> bool:
        ends = (head, last or b"")
        return all(_is_object(end, required, optional) for end in ends)

    return recognises


DEAD_LETTERS = FileKind(
    "dead letters",
    _json_lines(
        {"sequence", "request"},
        {"stream", "line", "file", "batch_line", "version", "reason", "mapped"}
        | {"record", "record_text", "time_extracted", "action"},
    ),
    flags=os.O_RDWR | os.O_APPEND,
)
BODIES = FileKind(
    "request bodies",
    _json_lines(
        {"table_name", "schema", "messages"}, {"key_names", "table_version", "bookmark_names"}
    ),
)
_EARLY_MEMBERS = {"ended_at", "seconds"}
SUMMARY = FileKind(
    "the summary of a run",
    lambda head, _: _is_object(
        head, {"program", "version", "started_at", "exit_status"}, _EARLY_MEMBERS
    ),
)
PAGE = FileKind(
    "the page of a run",
    lambda head, _: head.startswith(b"<!doctype html>") and b"<title>Run of " in head,
)
ANYTHING = FileKind("anything", lambda *_: True)
"""Accepts any content."""
DATABASE = FileKind("a DuckDB database", lambda head, _: head[8:12] == b"DUCK", may_be_empty=False)
_JOURNAL_START = b"d\x00be\x00"
JOURNAL = FileKind(
    "the journal of a DuckDB database",
    lambda head, _: head[: len(_JOURNAL_START)] == _JOURNAL_START[: len(head)],
)
