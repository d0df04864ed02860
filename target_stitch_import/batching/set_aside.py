"""The message type for the dead-letter file: not sent, and settled once it is in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from target_stitch_import.batching.payload import BodyPrefix
    from target_stitch_import.singer.origin import BatchFile


class SetAside(Struct, frozen=True):
    """A message that will not be sent; it is settled once it is safe in the dead-letter file."""

    stream: str
    version: int | None
    line: int
    sequence: int
    epoch: int
    reason: str
    record: bytes | None
    """The record's text; None for an activation."""
    prefix: BodyPrefix
    """The beginning of a request for the message, so that it can be sent after a repair."""
    file: BatchFile | None = None
    """The file in which `line` is counted; None for the tap's output."""
    mapped: bool = True
    """False if the record is as the tap sent it, although its stream has a map."""
    time_extracted: str | None = None
    """When the record was extracted, as the API writes it."""
    activated: bool = False
    """True for an activation that was sent, and replaced versions that lack a record."""

    @property
    def is_activation(self) -> bool:
        """Return whether it is an activation, not a record."""
        return self.record is None

    @property
    def noun(self) -> str:
        """What to call it in a text for users."""
        return "an activation" if self.is_activation else "a record"
