"""Reads the rows of Parquet files as events; needs the extra `parquet`.

Invariant: the rows that are read at once take bounded memory, measured by their unpacked size: with
a dictionary or run lengths, one byte of a file can become a megabyte in memory.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pyarrow.compute as pc
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from target_stitch_import.errors import InputError, quoted
from target_stitch_import.run.arrow_records import PORTION_BYTES, ArrowReader
from target_stitch_import.run.arrow_types import is_exact
from target_stitch_import.singer.lines import MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from target_stitch_import.singer.messages import Event, RecordFiles
    from target_stitch_import.singer.origin import BatchFile

MAX_ROWS_AT_ONCE = 5_000
READ_BYTES = 1 << 20
MAX_UNPACKED_BYTES = 100_000_000
MAX_UNPACKED_TIMES = 100
"""A row group that exceeds both limits is refused, because it may have all its values in one page
and one row, which would take all the memory."""
_VALUE_BYTES = 8
_DELTA_ROWS = 100
"""Row limit for DELTA_BYTE_ARRAY: shared prefixes hide the size from the file's statistics."""


def portions(file: IO[bytes], batch: RecordFiles, origin: BatchFile) -> Iterator[Iterable[Event]]:
    """Yield the rows of `file`, a few at a time, as events of the stream of `batch`.

    Raises:
        InputError: The file is damaged, or a value has no exact form in JSON.
    """
    reader = ArrowReader(batch.stream, batch.version, origin, MAX_LINE_BYTES)
    with _explained(batch, origin):
        for rows in _read(file):
            if rows is None:
                yield ()
            else:
                yield from reader.feed(rows)


def _read(file: IO[bytes]) -> Iterator[Any]:
    """Yield the rows of a Parquet file as record batches that take bounded memory.

    Before that, it yields None for each row group it examines, so that a run can check for signals.
    """
    metadata = ParquetFile(file).metadata
    by_dictionary: dict[str, bool] = {}
    first_row = 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        _note_short_texts(group, by_dictionary)
        _check_unpacked_size(group, first_row)
        first_row += group.num_rows
        yield None
    dictionaries = [path for path, is_short in by_dictionary.items() if is_short]
    # Read ahead as little as possible, and in this thread. Times of the old type INT96 are read as
    # microseconds: as nanoseconds, times far from today would overflow.
    parquet = ParquetFile(
        file,
        metadata=metadata,
        read_dictionary=dictionaries,
        pre_buffer=False,
        buffer_size=READ_BYTES,
        page_checksum_verification=True,
        coerce_int96_timestamp_unit="us",
    )
    _check_columns(parquet)
    for number in range(metadata.num_row_groups):
        count = _rows_at_once(parquet, number, file, set(dictionaries))
        yield from parquet.iter_batches(count, row_groups=[number], use_threads=False)


class _UnfitError(Exception):
    """A file is intact but must not be read; the text is the reason, as the end of a sentence."""


def _check_columns(parquet: ParquetFile) -> None:
    """Raise `_UnfitError` for duplicate columns, or columns without an exact form in JSON."""
    seen = set()
    for column in parquet.schema_arrow:
        if column.name in seen:
            raise _UnfitError(f"has two columns named {quoted(column.name)}")
        seen.add(column.name)
        if not is_exact(column.type):
            kind = quoted(str(column.type), mark="")  # it can contain names of nested fields
            raise _UnfitError(
                f"has a column {quoted(column.name)} of type {kind}, "
                "which has no exact form in JSON"
            )


def _check_unpacked_size(group: Any, first: int) -> None:
    """Raise `_UnfitError` for a row group that takes far more room in memory than in the file.

    `first` is the number of its first row.
    """
    chunks = _chunks(group)
    sizes = {chunk.path_in_schema: _unpacked_bytes(chunk, group) for chunk in chunks}
    size, packed = sum(sizes.values()), sum(chunk.total_compressed_size for chunk in chunks)
    if size > MAX_UNPACKED_BYTES and size > MAX_UNPACKED_TIMES * packed:
        raise _UnfitError(
            f"has rows from {first:,} to {first + group.num_rows - 1:,} that take {packed:,} "
            f"bytes in the file and {size:,} in memory, most of them in its column "
            f"{quoted(max(sizes, key=sizes.__getitem__))}: write it with smaller row groups"
        )


def _chunks(group: Any) -> list[Any]:
    return [group.column(at) for at in range(group.num_columns)]


def _unpacked_bytes(chunk: Any, group: Any) -> int:
    """Return the maximum memory in bytes of a column of a row group, if it is read at once.

    If there are more values than rows, they are in lists, and all can be in the list of one row.
    """
    in_lists = chunk.num_values * _VALUE_BYTES if chunk.num_values > group.num_rows else 0
    return int(max(chunk.total_uncompressed_size, in_lists))


def _note_short_texts(group: Any, found: dict[str, bool]) -> None:
    """Note in `found` which columns of texts to read as dictionaries, by path.

    Those are columns with a dictionary that take a few bytes per value. For other columns, reading
    a dictionary would mean building one.
    """
    for chunk in _chunks(group):
        is_short = (
            chunk.physical_type == "BYTE_ARRAY"
            and chunk.has_dictionary_page
            and chunk.total_uncompressed_size < _VALUE_BYTES * chunk.num_values
        )
        found[chunk.path_in_schema] = is_short and found.get(chunk.path_in_schema, True)


def _rows_at_once(
    parquet: ParquetFile, number: int, file: IO[bytes], dictionaries: set[str]
) -> int:
    """Return how many rows of a row group to read at once: about twice `PORTION_BYTES` in memory.

    `dictionaries` has the paths of the columns that are read as dictionaries.
    """
    group = parquet.metadata.row_group(number)
    max_rows = MAX_ROWS_AT_ONCE
    for chunk in _chunks(group):
        if chunk.physical_type != "BYTE_ARRAY" or chunk.path_in_schema in dictionaries:
            continue
        if "DELTA_BYTE_ARRAY" in chunk.encodings:
            max_rows = min(max_rows, _DELTA_ROWS)
        # Every row may repeat one text of the dictionary, which may be as long as the whole chunk.
        most_bytes = max_rows * chunk.total_uncompressed_size
        if chunk.has_dictionary_page and most_bytes > MAX_UNPACKED_BYTES:
            longest = _longest_known(file, parquet.metadata, number, chunk.path_in_schema)
            max_rows = min(max_rows, MAX_UNPACKED_BYTES // max(longest, 1))
    size = sum(_unpacked_bytes(chunk, group) for chunk in _chunks(group))
    row_bytes = size // max(group.num_rows, 1)
    return int(max(1, min(max_rows, 2 * PORTION_BYTES // max(row_bytes, 1))))


def _longest_known(file: IO[bytes], metadata: Any, number: int, path: str) -> int:
    """Return the length of the longest text in the dictionary of a column."""
    column = ParquetFile(file, metadata=metadata, read_dictionary=[path])
    batches = column.iter_batches(1, row_groups=[number], columns=[path], use_threads=False)
    rows = next(batches, None)  # the first row comes with the whole dictionary
    known = _dictionaries(rows.column(0)) if rows else ()
    lengths = [pc.max(pc.binary_length(each)).as_py() or 0 for each in known]
    return int(max(lengths, default=0))


def _dictionaries(array: Any) -> Iterator[Any]:
    """Yield the dictionaries in a column, at any depth."""
    if hasattr(array, "dictionary"):
        yield array.dictionary
    elif array.type.num_fields:
        members = array.flatten()
        for member in members if isinstance(members, list) else [members]:
            yield from _dictionaries(member)


@contextmanager
def _explained(batch: RecordFiles, origin: BatchFile) -> Iterator[None]:
    """Turn errors into `InputError`, without pyarrow's own messages: they could contain values."""
    try:
        yield
    except _UnfitError as error:
        reason = str(error)
    except (ArrowException, OSError):
        reason = "cannot be read: it is damaged or cut off, nested too deeply, or is not Parquet"
    except (ValueError, OverflowError):
        reason = "contains a value that has no exact form in JSON"
    else:
        return
    raise InputError(f"The file {origin} of stream {quoted(batch.stream)} {reason}.")
