"""Turns Arrow record batches into events of a stream's rows, a bounded portion at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from target_stitch_import.errors import InputError, quoted
from target_stitch_import.run.arrow_objects import Encoded, encoded
from target_stitch_import.run.arrow_portions import portions_of
from target_stitch_import.run.arrow_types import InexactError, known_types
from target_stitch_import.singer.messages import MalformedRecord, Rows
from target_stitch_import.singer.origin import origin
from target_stitch_import.singer.outline import Defect, record_defect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyarrow import RecordBatch

    from target_stitch_import.singer.messages import Event
    from target_stitch_import.singer.origin import BatchFile

PORTION_BYTES = 1 << 20
"""The size of a portion as JSON: smaller ones cost more per row, larger ones do not cost less."""


class ArrowReader:
    """Turns the rows of one stream into events; rows are counted from 1.

    Args:
        max_bytes: The maximum length of a row as JSON; a longer one is refused.
    """

    def __init__(self, stream: str, version: int | None, file: BatchFile, max_bytes: int) -> None:
        self._stream = stream
        self._version = version
        self._file = file
        self._max_bytes = max_bytes
        self.rows_read = 0

    def feed(
        self,
        rows: RecordBatch,
        sequences: list[int] | None = None,
        bad: dict[int, str] | None = None,
    ) -> Iterator[list[Event]]:
        """Yield the events of `rows`, a portion at a time.

        Args:
            rows: A record batch with unique column names.
            sequences: The sequence of each row, if rows bring their own.
            bad: The reasons why rows must not be sent, by their index.

        Raises:
            InputError: A value has no exact form in JSON, or a row is too long.
        """
        start = 0
        try:
            for few in portions_of(rows, PORTION_BYTES, self._max_bytes):
                end = start + few.num_rows
                numbers = sequences[start:end] if sequences else None
                reasons = {at - start: why for at, why in (bad or {}).items() if start <= at < end}
                yield list(self._events(few, numbers, reasons))
                self.rows_read += few.num_rows
                start = end
        except InexactError as error:
            where = origin(self.rows_read + 1 + error.row, self._file)
            raise InputError(
                f"{where}: column {quoted(error.column)} {error.reason}, in stream "
                f"{quoted(self._stream)}."
            ) from None

    def _events(
        self, rows: RecordBatch, sequences: list[int] | None, bad: dict[int, str]
    ) -> Iterator[Event]:
        """Yield `rows` as `Rows`, interrupted by a `MalformedRecord` for each bad row."""
        stream, version, file = self._stream, self._version, self._file
        result, known = encoded(rows), known_types(rows)
        texts = result.texts() if result.not_finite or bad else []
        defects: dict[int, Defect] = {}
        for row in result.not_finite:
            defects[row] = record_defect(texts[row]) or Defect("", "it is not JSON")
        defects |= {row: Defect("", reason) for row, reason in bad.items()}
        first, start = self.rows_read + 1, 0
        for end in [*sorted(defects), rows.num_rows]:
            if start < end:
                numbers = sequences[start:end] if sequences else None
                messages = partial(_messages, result, start, end, numbers)
                yield Rows(
                    first + start, stream, version, end - start, messages, known, file, numbers
                )
            if end in defects:
                yield MalformedRecord(
                    first + end,
                    stream,
                    version,
                    texts[end],
                    defects[end].reason,
                    file,
                    field=defects[end].field,
                    sequence=sequences[end] if sequences else None,
                )
            start = end + 1


def _messages(
    rows: Encoded, start: int, end: int, sequences: list[int] | None, first_sequence: int
) -> tuple[bytes, int]:
    numbers = sequences or range(first_sequence, first_sequence + end - start)
    return rows.messages(start, end, numbers)
