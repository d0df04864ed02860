"""Redacts foreign texts, responses and error messages, before they are logged or shown.

Invariant: only what is known to be harmless is shown: words of a fixed vocabulary, names that the
request itself declares (its table, its schema's properties, its host), and numbers where the Import
API's own sentences have them. Everything else becomes `[…]`, however it is encoded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from target_stitch_import.delivery.vocabulary import WORDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

HIDDEN = "[…]"
MAX_CHARACTERS = 4_000
"""How much of a text is examined; a response that explains an error does so early."""

_UNIT = re.compile(
    r"""(?<!\w)(["'`])((?:\\.|(?!\1).)*)\1"""  # quoted
    r"|\[[^\[\]]*\]|<[^<>]*>"
    r"|[^\W\d_]+'[^\W\d_]+"  # can't
    r"""|[^\s"'`()\[\]{}<>,;:=|/]+|.""",
    re.DOTALL,
)
"""A unit that is shown or hidden as a whole: quoted or bracketed text, a word, a single mark."""
_WORD = re.compile(r"\w+")
_PART = re.compile(r"[^\W\d_]+|[\d_]+")
_CONTROL = re.compile(r"[^\x20-\x7e]")
_NUMBERED = re.compile(
    r"\b(?:[Rr]ecord|[Ll]ine|[Cc]olumn|index|position|total|[Ee]rrno|HTTP|code|status|than|failed)"
    r"\W{0,3}\d{1,6}\b"
    r"|\b\d{1,6} (?:schema violations|subschemas|records|seconds|bytes)\b"
    r"|\bsize \(\d{1,12}s? bytes\)"
    r"|\b20\s?MB\b"
    r"|\[yyyy-MM-dd'T'HH:mm:ssZ\]"
)
_ERROR_MEMBERS = ("error", "message", "reason", "errors", "data")
_MAX_PUSHED_RECORDS = 100
ARGUMENTS = frozenset(
    (
        "action",
        "activate_version",
        "bookmark_names",
        "client_id",
        "key_names",
        "key_properties",
        "namespace",
        "switch_view",
        "table_name",
        "table_version",
        "time_extracted",
    )
)
"""The Import API's own names, except for those that are plain words of the vocabulary."""


class _Batch(msgspec.Struct):
    """The members of a request that declare names; the records themselves are not decoded."""

    table_name: str = ""
    schema: msgspec.Raw = msgspec.Raw(b"null")
    key_names: list[str] = []
    bookmark_names: list[str] = []
    data: dict[str, msgspec.Raw] = {}


_REQUEST = msgspec.json.Decoder(_Batch | list[_Batch])


def names_in(body: bytes) -> frozenset[str]:
    """Return the names that a request declares: its table, its keys and its columns.

    Columns are the properties of its schema; without a schema, as in a push, the members of its
    records.
    """
    try:
        decoded = _REQUEST.decode(body)
        batches = decoded[:_MAX_PUSHED_RECORDS] if isinstance(decoded, list) else [decoded]
        names: set[str] = set()
        for batch in batches:
            names.update([batch.table_name], batch.key_names, batch.bookmark_names, batch.data)
            names.update(_properties(msgspec.json.decode(batch.schema)))
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(name for name in names if name)


def _properties(schema: Any) -> Iterator[str]:
    """Yield the names of properties anywhere in a schema."""
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            properties = each.get("properties")
            if isinstance(properties, dict):
                yield from properties
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def shown(text: str, names: Collection[str] = ()) -> str:
    """Return the redacted `text` on one line; occurrences of `names` are kept."""
    text = text[:MAX_CHARACTERS]
    names = ARGUMENTS.union(names)
    allowed = sorted(found.span() for found in (*_NUMBERED.finditer(text), *_named(text, names)))
    pieces: list[str] = []
    at = 0
    for start, end in allowed:
        if start >= at:
            pieces += _filtered(text[at:start], names)
            pieces.append(text[start:end])
            at = end
    pieces += _filtered(text[at:], names)
    return _joined(pieces)


def _named(text: str, names: Collection[str]) -> Iterator[re.Match[str]]:
    """Find the names that are more than one word, preferring longer ones at the same position."""
    present = [name for name in names if name in text and not _WORD.fullmatch(name)]
    if not present:
        return iter(())
    expression = "|".join(map(re.escape, sorted(present, key=len, reverse=True)))
    return re.finditer(rf"(?<!\w)(?:{expression})(?!\w)", text)


def _filtered(text: str, names: Collection[str]) -> Iterator[str]:
    for unit in _UNIT.finditer(text):
        quote, inside = unit[1], unit[2]
        if unit[0].isspace():
            yield " "
        elif _is_harmless(inside if quote else unit[0], names):
            yield unit[0]
        else:
            yield f"{quote}{HIDDEN}{quote}" if quote else HIDDEN


def _is_harmless(unit: str, names: Collection[str]) -> bool:
    """Return whether a unit consists of names, words of the vocabulary, and marks."""
    return all(
        word in names or all(part.lower() in WORDS for part in _PART.findall(word))
        for word in _WORD.findall(unit)
    ) and not _CONTROL.search(unit)


def _joined(pieces: list[str]) -> str:
    """Join the pieces, merging adjacent hidden ones."""
    text = " ".join("".join(pieces).split())
    return re.sub(r"\[…\](?:[^\w\[\]…]{0,3}\[…\])+", HIDDEN, text)


def words_of(content: bytes) -> str:
    """Return the words of a response: the errors and messages of a JSON object, else its text."""
    try:
        body = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        body = None
    if found := list(_said(body)) if isinstance(body, dict) else []:
        return "; ".join(each.rstrip(".") for each in found)
    return content[: 4 * MAX_CHARACTERS].decode("utf-8", "replace")


def _said(members: dict[str, Any], wanted: Collection[str] = _ERROR_MEMBERS) -> Iterator[str]:
    """Yield the texts of the members that explain an error, as the Import API nests them.

    If `wanted` is empty, all members are yielded, each with its name before its text.
    """
    for name, value in members.items():
        if wanted and name not in wanted:
            continue
        label = "" if wanted else f"{name}: "
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield label + each
            elif isinstance(each, dict):
                # A `reason` has a member for each invalid argument.
                yield from _said(each, () if name == "reason" else _ERROR_MEMBERS)
