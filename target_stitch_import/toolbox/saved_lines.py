"""Reads a line of a file to replay: a saved body, a dead letter, or an activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from target_stitch_import.batching.payload import BodyPrefix, Span
from target_stitch_import.errors import InputError, quoted
from target_stitch_import.run.dead_letter import ACTIVATE_VERSION, ACTIVATED, UPSERT
from target_stitch_import.schema.raw_flaws import repaired_text
from target_stitch_import.singer.origin import origin
from target_stitch_import.singer.outline import record_defect

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from target_stitch_import.schema.raw_flaws import Repair
    from target_stitch_import.singer.origin import BatchFile


class Place(Struct, frozen=True):
    """A line of a file to replay; `file` is None if there is only one."""

    line: int
    file: BatchFile | None = None

    def __str__(self) -> str:
        return origin(self.line, self.file)

    def span(self, sequence: int) -> Span:
        """Return this place as the origin of a message with `sequence`."""
        return Span(self.line, sequence, epoch=0, file=self.file)


class SavedRequest(msgspec.Struct):
    """A request body, with or without its messages."""

    table_name: str
    schema: Raw
    key_names: list[str] = []
    table_version: int | None = None
    bookmark_names: list[str] = []
    messages: list[Raw] | UnsetType = UNSET

    def prefix(self) -> BodyPrefix:
        """Return the start of bodies with these arguments."""
        return BodyPrefix.of(
            self.table_name,
            bytes(self.schema),
            self.key_names,
            self.table_version,
            self.bookmark_names,
        )


class DeadLetter(msgspec.Struct):
    """A record that was set aside: its JSON, or its text if that is not JSON.

    `mapped` is false if stream maps are still to be applied to it.
    """

    sequence: int
    request: SavedRequest
    record: Raw | UnsetType = UNSET
    record_text: str | UnsetType = UNSET
    mapped: bool = True
    time_extracted: str | None = None


class DeadActivation(msgspec.Struct):
    """An activation that was set aside after a record."""

    sequence: int
    version: int
    request: SavedRequest


class Activated(msgspec.Struct):
    """The note that a later run activated a version, which replaces older ones."""

    version: int
    request: SavedRequest


DeadLetterLine: TypeAlias = DeadLetter | DeadActivation | Activated


class _Kind(msgspec.Struct):
    action: str = UPSERT


_BODY = msgspec.json.Decoder(SavedRequest)
_KIND = msgspec.json.Decoder(_Kind)
_KINDS: dict[str, msgspec.json.Decoder[DeadLetterLine]] = {
    UPSERT: msgspec.json.Decoder(DeadLetter),
    ACTIVATE_VERSION: msgspec.json.Decoder(DeadActivation),
    ACTIVATED: msgspec.json.Decoder(Activated),
}


def read_body(text: bytes) -> SavedRequest | None:
    """Return a line as a saved body; None if it is something else."""
    try:
        body = _BODY.decode(text)
    except (ValueError, RecursionError):
        return None
    return None if body.messages is UNSET else body


def read_dead_letter(place: Place, text: bytes) -> DeadLetterLine:
    """Return a line of a dead-letter file.

    Raises:
        InputError: The line is neither a dead letter nor a saved body.
    """
    try:
        return _KINDS.get(_KIND.decode(text).action, _KINDS[UPSERT]).decode(text)
    except (ValueError, RecursionError) as error:
        raise InputError(cannot_be_replayed(place, str(error))) from None


def activated_versions(lines: Iterable[tuple[Place, bytes]]) -> dict[str, int]:
    """Return, by table, the newest version that was activated later, according to the lines."""
    found: dict[str, int] = {}
    for place, text in lines:
        if f'"{ACTIVATED}"'.encode() in text and read_body(text) is None:
            note = read_dead_letter(place, text)
            if isinstance(note, Activated):
                table = note.request.table_name
                found[table] = max(note.version, found.get(table, note.version))
    return found


def record_of(
    place: Place, dead_letter: DeadLetter, repairs: Collection[str]
) -> tuple[Raw, Sequence[Repair]]:
    """Return the record of a dead letter, and what was repaired in its text to make it JSON.

    Raises:
        InputError: There is no JSON record, or the stream map was not applied to it.
    """
    record, repaired, text = dead_letter.record, [], dead_letter.record_text
    if record is UNSET and text is not UNSET and _is_whole(text):
        done = repaired_text(text.encode(), repairs)
        if record_defect(done.text) is None:
            record, repaired = Raw(done.text), done.repairs
    if record is UNSET:
        raise InputError(cannot_be_replayed(place, "Object missing required field `record`"))
    if not dead_letter.mapped:
        raise InputError(
            f"{place} has a record as the tap sent it, including what its stream map drops or "
            "masks. Fix the tap or the map and run again, or edit the record to what the map "
            "would output and remove `mapped` from the line."
        )
    return record, repaired


def _is_whole(text: str) -> bool:
    """Return whether the text of a record is complete: no byte of it was replaced."""
    return "\ufffd" not in text


def cannot_be_replayed(place: Place, error: str) -> str:
    """Return the message for a line that cannot be replayed."""
    return (
        f"{place} is neither a request body nor a dead letter with a JSON `record`: "
        f"{quoted(error, mark='')}."
    )
