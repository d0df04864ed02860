"""Messages that are set aside: not sent, and settled once they are in the dead-letter file."""

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
    """The record's text; None for the activation of a version that lacks a record set aside."""
    prefix: BodyPrefix
    """How a request that carries it opens, so that it can be sent once it is repaired."""
    file: BatchFile | None = None
    """Where `line` is; None for the tap's output."""
    mapped: bool = True
    """False for a record as the tap sent it, though its stream has a map."""
    time_extracted: str | None = None
    """When the record was extracted, as the API writes it."""
    activated: bool = False
    """Whether it was sent: an activation that replaces older versions with records set aside."""

    @property
    def is_activation(self) -> bool:
        """Tell whether it is an activation and no record."""
        return self.record is None
