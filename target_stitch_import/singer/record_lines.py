"""Records one a line, without messages around them: bytes of a file in, numbered events out.

Law: as for messages. A record is never parsed here; its text goes on as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from target_stitch_import.errors import InputError
from target_stitch_import.singer.lines import (
    MAX_LINE_BYTES,
    Line,
    WholeLines,
    are_utf8,
    decoded,
    is_utf8,
    outline,
    record_defect,
)
from target_stitch_import.singer.messages import MalformedRecord, RecordMessage, Records
from target_stitch_import.singer.origin import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.singer.messages import Event
    from target_stitch_import.singer.origin import BatchFile

_RAW = msgspec.json.Decoder(Raw)


class RecordReader:
    """Turns chunks of a file of JSON records, one a line, into runs of a stream's records.

    Feed it with `feed`, then call `close` once at the end of the file. Both yield events and
    raise `InputError` for a line that is no text, after every event before it.
    """

    def __init__(self, stream: str, version: int | None, file: BatchFile) -> None:
        self._stream = stream
        self._version = version
        self._file = file
        self._lines = WholeLines()
        self._lines_read = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the records of every line that `chunk` completes."""
        if lines := self._lines.feed(chunk):
            yield from self._events(lines, chunk)
        if self._lines.is_too_long:
            where = place(self._lines_read + 1, self._file)
            raise InputError(
                f"{where} is longer than {MAX_LINE_BYTES:,} bytes: the file does not hold one "
                "record a line, or a record is far too large."
            )

    def close(self) -> Iterator[Event]:
        """Yield the record of a last line without a line break."""
        last = self._lines.close()
        if not last or last.isspace():
            return
        if record_defect(last) and outline(last) is None:
            raise InputError(
                f"{place(self._lines_read + 1, self._file)} is cut off: the file ends in the "
                "middle of a record. Look for what stopped the tap, then run again."
            )
        yield from self._events([last], last)

    def _events(self, lines: list[Line], chunk: bytes) -> Iterator[Event]:
        """Yield the records of the `lines` that `chunk` completed."""
        records = decoded(lines, _RAW.decode) if are_utf8(lines, chunk) else None
        if records is None:
            yield from self._events_one_by_one(lines)
            return
        yield self._run(records)
        self._lines_read += len(records)

    def _run(self, records: list[Raw]) -> Records:
        """Return a run of the `records` on the next lines."""
        messages = [RecordMessage(self._stream, each, self._version) for each in records]
        return Records(self._lines_read + 1, messages, self._file)

    def _events_one_by_one(self, lines: list[Line]) -> Iterator[Event]:
        for text in map(bytes, lines):
            if not text or text.isspace():
                pass
            elif not is_utf8(text):
                raise InputError(
                    f"{place(self._lines_read + 1, self._file)} is not UTF-8. Check the encoding "
                    "in which the tap writes its batch files."
                )
            elif reason := record_defect(text):
                line = self._lines_read + 1
                yield MalformedRecord(
                    line, self._stream, self._version, text.strip(), reason, self._file
                )
            else:
                yield self._run([_RAW.decode(text)])
            self._lines_read += 1
