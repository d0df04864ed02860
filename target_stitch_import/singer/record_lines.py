"""Decodes files that have one record per line, without messages around them.

Invariant: a record is never parsed here; its text is passed on unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from target_stitch_import.errors import InputError
from target_stitch_import.singer.lines import MAX_LINE_BYTES
from target_stitch_import.singer.messages import MalformedRecord, RecordMessage, Records
from target_stitch_import.singer.origin import origin
from target_stitch_import.singer.outline import record_defect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.singer.messages import Event
    from target_stitch_import.singer.origin import BatchFile


class RecordLines:
    """Decodes the lines of a file, each of which is a record of the same stream and version."""

    decode = staticmethod(msgspec.json.Decoder(Raw).decode)

    def __init__(self, stream: str, version: int | None, file: BatchFile) -> None:
        self._stream = stream
        self._version = version
        self._file = file

    def events(self, line: int, found: list[Raw], chunk_bytes: int) -> Iterator[Event]:  # noqa: ARG002
        """Yield the records on consecutive lines as one event.

        They are never copied, because there is little else in their chunk.
        """
        messages = [RecordMessage(self._stream, each, self._version) for each in found]
        yield Records(line, messages, self._file)

    def explain(self, line: int, text: bytes, error: Exception | None) -> MalformedRecord:
        """Return the malformed record.

        Raises:
            InputError: The line is not UTF-8.
        """
        defect = record_defect(text) if error else None
        if defect is None:
            raise InputError(
                f"{origin(line, self._file)} is not UTF-8. Check the encoding in which the tap "
                "writes its batch files."
            )
        return MalformedRecord(
            line,
            self._stream,
            self._version,
            text.strip(),
            defect.reason,
            self._file,
            field=defect.field,
        )

    def too_long(self, line: int) -> str:
        """Return the error message for a line of more than `MAX_LINE_BYTES`."""
        return (
            f"{origin(line, self._file)} is longer than {MAX_LINE_BYTES:,} bytes: the file does "
            "not have one record per line, or a record is far too large."
        )

    def cut_off(self, line: int, text: bytes) -> str:  # noqa: ARG002
        """Return the error message for an incomplete last line."""
        return (
            f"{origin(line, self._file)} is cut off: the file ends in the middle of a record. Find "
            "out what stopped the tap, then run again."
        )
