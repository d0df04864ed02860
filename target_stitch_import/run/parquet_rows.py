"""Rows of Parquet files as records in JSON; this is what the extra `parquet` is for.

Law: values stay exact, or the file is refused. Decimals keep their digits; times are written as
RFC 3339 has it, in UTC where the file knows their zone, and without an offset where it does not.
"""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import simplejson
from msgspec import Raw
from pyarrow import ArrowException, BaseExtensionType, types
from pyarrow.parquet import ParquetFile

from target_stitch_import.errors import InputError, quoted
from target_stitch_import.singer.messages import MalformedRecord, RecordMessage, Records
from target_stitch_import.singer.outline import Defect, record_defect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyarrow import RecordBatch

    from target_stitch_import.singer.messages import Event, RecordFiles
    from target_stitch_import.singer.origin import BatchFile

PORTION_BYTES = 1 << 18
MAX_PORTION_ROWS = 100
"""More are no faster, and what is short in the file, by a dictionary, can be long outside of it."""
READ_BYTES = 1 << 20
MAX_UNPACKED_BYTES = 100_000_000
MAX_UNPACKED_TIMES = 100
"""A page is decompressed in one go, so one that swells past both could take all the memory."""


def portions(file: IO[bytes], batch: RecordFiles, origin: BatchFile) -> Iterator[Iterable[Event]]:
    """Yield the rows of `file`, a few at a time, as records of the stream of `batch`.

    Raises:
        InputError: The file is damaged, or holds what has no exact form in JSON.
    """
    with _explained(batch, origin):
        # It reads as little ahead as it can, and in this thread. Times of the old type INT96 are
        # read to the microsecond: as nanoseconds, those far from today would wrap around.
        parquet = ParquetFile(
            file,
            pre_buffer=False,
            buffer_size=READ_BYTES,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit="us",
        )
        _check_columns(parquet)
        rows_at_once = _rows_at_once(parquet.metadata)
        row = 1
        for rows in parquet.iter_batches(rows_at_once, use_threads=False):
            yield list(_events(_values(rows), row, batch, origin))
            row += rows.num_rows


class _UnfitError(Exception):
    """A file is whole, and yet is not to be read; the text says why, as the end of a sentence."""


def _check_columns(parquet: ParquetFile) -> None:
    """Refuse columns that would be lost, changed, or too much, before a row is read."""
    seen = set()
    for column in parquet.schema_arrow:
        if column.name in seen:
            raise _UnfitError(f"has two columns {quoted(column.name)}, of which one would be lost")
        seen.add(column.name)
        if not _is_exact(column.type):
            kind = quoted(str(column.type), mark="")  # it holds the names of what is nested
            raise _UnfitError(
                f"has a column {quoted(column.name)} of type {kind}, "
                "which has no exact form in JSON"
            )
    metadata = parquet.metadata
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            size, packed = chunk.total_uncompressed_size, chunk.total_compressed_size
            if size > MAX_UNPACKED_BYTES and size > MAX_UNPACKED_TIMES * packed:
                raise _UnfitError(
                    f"has a column {quoted(chunk.path_in_schema)} that takes {packed:,} bytes in "
                    f"the file and {size:,} in memory: write it with smaller row groups"
                )


def _values(rows: RecordBatch) -> list[dict[str, Any]]:
    try:
        return list(rows.to_pylist(maps_as_pydicts="strict"))
    except ArrowException:
        raise _UnfitError(
            "holds a value that this machine cannot read, such as a time in a zone it does not know"
        ) from None


@contextmanager
def _explained(batch: RecordFiles, origin: BatchFile) -> Iterator[None]:
    """Say what is wrong with a file; pyarrow's own words could hold a value."""
    try:
        yield
    except _UnfitError as error:
        reason = str(error)
    except (ArrowException, OSError):
        reason = "cannot be read: it is damaged or cut off, nested too deeply, or is not Parquet"
    except (ValueError, OverflowError, KeyError):
        reason = (
            "holds a value that has no exact form in JSON, such as a time finer than a "
            "microsecond, or a map that has a key twice"
        )
    else:
        return
    raise InputError(f"The file {origin} of stream {quoted(batch.stream)} {reason}.")


def _rows_at_once(metadata: Any) -> int:
    """Return how many rows are about `PORTION_BYTES`."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    row_bytes = sum(group.total_byte_size for group in groups) // max(metadata.num_rows, 1)
    return int(max(1, min(MAX_PORTION_ROWS, PORTION_BYTES // max(row_bytes, 1))))


def _is_exact(kind: Any) -> bool:
    """Tell whether all values of an Arrow type can be written as JSON; binary ones cannot."""
    if types.is_map(kind):
        return bool(types.is_string(kind.key_type)) and _is_exact(kind.item_type)
    if types.is_nested(kind):
        return not types.is_union(kind) and all(
            _is_exact(kind.field(at).type) for at in range(kind.num_fields)
        )
    if types.is_dictionary(kind):
        return _is_exact(kind.value_type)
    if isinstance(kind, BaseExtensionType):
        return kind.extension_name in {"arrow.uuid", "arrow.json"}
    return not (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_duration(kind)
        or types.is_interval(kind)
    )


def _events(
    rows: list[dict[str, Any]], first: int, batch: RecordFiles, origin: BatchFile
) -> Iterator[Event]:
    """Yield `rows` as runs of records, and those between them that JSON has no numbers for."""
    run: Records | None = None
    for row, values in enumerate(rows, first):
        try:
            record = Raw(_ENCODER.encode(values).encode())
        except ValueError:
            if run:
                yield run
                run = None
            text = _TOLERANT_ENCODER.encode(values).encode()
            defect = record_defect(text) or Defect("", "it is not JSON")
            yield MalformedRecord(
                row,
                batch.stream,
                batch.version,
                text,
                defect.reason,
                origin,
                field=defect.field,
            )
            continue
        if run is None:
            run = Records(row, [], origin)
        run.messages.append(RecordMessage(batch.stream, record, batch.version))
    if run:
        yield run


def _as_text(value: Any) -> str:
    match value:
        case dt.datetime() if value.tzinfo:
            return f"{value.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat()}Z"
        case dt.date() | dt.time():
            return value.isoformat()
        case uuid.UUID():
            return str(value)
        case _:
            raise _UnfitError(f"holds a {type(value).__name__}, which has no exact form in JSON")


def _encoder(*, allow_nan: bool) -> simplejson.JSONEncoder:
    return simplejson.JSONEncoder(
        use_decimal=True,
        allow_nan=allow_nan,
        ensure_ascii=False,
        separators=(",", ":"),
        default=_as_text,
    )


_ENCODER = _encoder(allow_nan=False)
_TOLERANT_ENCODER = _encoder(allow_nan=True)
