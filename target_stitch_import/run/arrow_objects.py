"""Encodes the rows of Arrow record batches as JSON objects, and as messages of a request body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw, Struct

from target_stitch_import.batching.payload import UPSERT_PARTS
from target_stitch_import.run.arrow_json import (
    NULL,
    Texts,
    as_large,
    joined_parts,
    object_parts,
    texts_of,
)
from target_stitch_import.run.arrow_types import InexactError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyarrow import Array, RecordBatch

_QUOTED_NULL = f'"{NULL}"'.encode()
_RAW = msgspec.json.Decoder(Raw)


class Encoded(Struct, frozen=True):
    """The rows of a batch as JSON objects that are not joined yet.

    `parts` has the texts of each column's values, and the constant texts between them. `not_finite`
    has the rows that are not JSON, because they contain NaN or Infinity.
    """

    count: int
    parts: list[str | Array]
    not_finite: frozenset[int] = frozenset()

    def texts(self) -> list[bytes]:
        """Return the JSON object of each row."""
        # Without columns, there are only constant texts, which do not give the number of rows.
        texts = joined_parts([*self.parts, pa.array([""] * self.count)])
        return [_with_nulls(text.encode()) for text in texts.to_pylist()]

    def messages(self, start: int, end: int, sequences: Iterable[int]) -> tuple[bytes, int]:
        """Return the messages of rows `start` to `end` as a JSON list, and the longest's length."""
        opening, between, closing = UPSERT_PARTS
        numbers = pa.array(sequences, pa.int64()).cast(pa.large_string())
        first, *parts = [part if isinstance(part, str) else part[start:end] for part in self.parts]
        texts = joined_parts([opening, numbers, f"{between}{first}", *parts, closing])
        longest = pc.max(pc.binary_length(texts)).as_py()
        joined = pc.binary_join(_in_one_list(texts), as_large(","))[0]
        return _with_nulls(b"".join((b"[", joined.as_buffer(), b"]"))), int(longest)


def encoded(rows: RecordBatch) -> Encoded:
    """Return `rows` as JSON; their column names must be unique.

    Raises:
        InexactError: A value has no exact form in JSON; the error has its row and column.
    """
    columns: list[Texts] = []
    not_finite: set[int] = set()
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        try:
            columns.append(texts_of(column))
            if columns[-1].has_nonfinite:
                not_finite.update(_rows_without_json(columns[-1]))
        except InexactError as error:
            error.column = name
            raise
    return Encoded(rows.num_rows, object_parts(rows.schema.names, columns), frozenset(not_finite))


def _with_nulls(text: bytes) -> bytes:
    """Return joined text with its placeholders `NULL` replaced by null."""
    return text.replace(_QUOTED_NULL, b"null")


def _in_one_list(texts: Array) -> Array:
    """Return one list that has all `texts`, so that Arrow joins them."""
    return pa.LargeListArray.from_arrays(pa.array([0, len(texts)], pa.int64()), texts)


def _rows_without_json(column: Texts) -> list[int]:
    """Return the rows whose text is not JSON."""
    found: list[int] = []
    for row, text in enumerate(column.whole().to_pylist()):
        try:
            if text is not None:
                _RAW.decode(_with_nulls(text.encode()))
        except msgspec.MsgspecError:
            found.append(row)
    return found
