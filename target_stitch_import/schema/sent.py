"""Completes the text of a tap's schema where the Import API requires more than the tap wrote.

Invariant: only objects that contain a change are encoded again; all other text stays as the tap
wrote it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Raw

from target_stitch_import.pointers import parts
from target_stitch_import.schema.draft4 import ReadSchema, SchemaDefectError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_Edits: TypeAlias = "dict[str, Raw | _Edits]"

_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "definitions", "dependencies"})
_SCHEMA_LISTS = frozenset({"items", "allOf", "anyOf", "oneOf"})
_SCHEMAS = frozenset({"items", "not", "additionalProperties", "additionalItems"})
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_NOTHING = Raw(b"{}")


def sent_schema(text: bytes, read: ReadSchema, keys: Collection[str]) -> bytes:
    """Return the schema to send for the schema `text`, which was read as `read`.

    Keys without a property get an empty one. Targets of references that the service would not find,
    because they are outside of Draft 4's keywords, are copied to `definitions`. A reference that
    replaces the whole schema is resolved.

    Raises:
        SchemaDefectError: A name in the schema is not valid Unicode.
    """
    root_is_ref = "" in read.references
    lost = {
        place: target
        for place, target in read.references.items()
        if place and not _is_found(target, root_is_ref=root_is_ref)
    }
    missing = [key for key in keys if key not in read.root.properties]
    if not (lost or missing or root_is_ref):
        return text
    try:
        return bytes(_completed(Raw(text), read, lost, missing, root_is_ref=root_is_ref))
    except (msgspec.MsgspecError, UnicodeError):
        raise SchemaDefectError("", "it has a property name that is not valid Unicode") from None


def _completed(
    text: Raw, read: ReadSchema, lost: dict[str, str], missing: Iterable[str], *, root_is_ref: bool
) -> Raw:
    names = _names(set(lost.values()), _MEMBERS.decode(text))
    edits: _Edits = {}
    for place, target in lost.items():
        pointer = msgspec.json.encode(f"#/definitions/{names[target]}")
        _put(edits, [*parts(place), "$ref"], Raw(pointer))
    text = _edited(text, edits)
    places = _Places(text)
    moved: _Edits = {name: places.at(target) for target, name in names.items()}
    if root_is_ref:
        definitions = _MEMBERS.decode(text).get("definitions", _NOTHING)
        text = _edited(places.at(read.root.place), {"definitions": definitions})
    added: _Edits = {"properties": dict.fromkeys(missing, _NOTHING), "definitions": moved}
    return _edited(text, {name: edit for name, edit in added.items() if edit})


def _is_found(pointer: str, *, root_is_ref: bool) -> bool:
    """Return whether the service finds the target of a pointer, by Draft 4's keywords alone."""
    steps = parts(pointer)
    if root_is_ref and steps[:1] not in ([], ["definitions"]):
        return False  # a reference for the whole schema removes everything beside it
    while steps:
        keyword = steps.pop(0)
        if keyword in _SCHEMAS_BY_NAME or (keyword in _SCHEMA_LISTS and steps and _is_index(steps)):
            if not steps:
                return False
            steps.pop(0)
        elif keyword not in _SCHEMAS:
            return False
    return True


def _is_index(steps: list[str]) -> bool:
    return steps[0].isdecimal()


def _names(targets: Collection[str], root: dict[str, Raw]) -> dict[str, str]:
    """Return a short, unused name in `definitions` for each target."""
    taken = set(_MEMBERS.decode(root["definitions"])) if "definitions" in root else set()
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for target in sorted(targets):
        last = re.sub(r"\W", "_", parts(target)[-1], flags=re.ASCII)
        name = last
        while name in taken:
            counts[last] = counts.get(last, 1) + 1
            name = f"{last}_{counts[last]}"
        taken.add(name)
        names[target] = name
    return names


def _put(edits: _Edits, steps: list[str], value: Raw) -> None:
    *above, last = steps
    for step in above:
        below = edits.setdefault(step, {})
        if isinstance(below, dict):
            edits = below
    edits[last] = value


def _edited(text: Raw, edits: _Edits) -> Raw:
    """Return a JSON text with members added or replaced, or items replaced."""
    if not edits:
        return text
    if bytes(memoryview(text)[:1]) == b"[":
        items = _ITEMS.decode(text)
        for index, edit in edits.items():
            items[int(index)] = edit if isinstance(edit, Raw) else _edited(items[int(index)], edit)
        return Raw(msgspec.json.encode(items))
    members = _MEMBERS.decode(text)
    for name, edit in edits.items():
        if isinstance(edit, Raw):
            members[name] = edit
        else:
            members[name] = _edited(members.get(name, _NOTHING), edit)
    return Raw(msgspec.json.encode(members))


class _Places:
    """Finds texts by pointer within a JSON text, and caches the decoded objects on the way."""

    def __init__(self, text: Raw) -> None:
        self._text = text
        self._inside: dict[tuple[str, ...], dict[str, Raw] | list[Raw]] = {}

    def at(self, pointer: str) -> Raw:
        """Return the text of the value that a pointer refers to."""
        text = self._text
        passed: tuple[str, ...] = ()
        for step in parts(pointer):
            if passed not in self._inside:
                is_list = bytes(memoryview(text)[:1]) == b"["
                self._inside[passed] = (_ITEMS if is_list else _MEMBERS).decode(text)
            inside = self._inside[passed]
            text = inside[int(step)] if isinstance(inside, list) else inside[step]
            passed = (*passed, step)
        return text
