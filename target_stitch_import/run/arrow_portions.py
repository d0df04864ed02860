"""Splits Arrow record batches into portions of bounded size, estimated as JSON.

Invariant: sizes are estimated before rows are converted, because a dictionary value may be repeated
in a million rows.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from target_stitch_import.run.arrow_types import (
    InexactError,
    is_binary,
    is_list,
    is_text,
    map_items,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyarrow import Array, RecordBatch

_VALUE_BYTES = 24
"""The approximate length of a number, a time or a date as JSON."""
_NULL_BYTES = 4
_NAME_EXTRA_BYTES = 4
"""Two quotation marks, a colon and a comma for each name of a member."""
_BRACKETS_BYTES = 2
"""Two quotation marks or brackets around a value."""


def portions_of(rows: RecordBatch, about_bytes: int, max_bytes: int) -> Iterator[RecordBatch]:
    """Yield `rows` in slices of about `about_bytes` of JSON, each with at least one row.

    Raises:
        InexactError: A row is longer than `max_bytes`; its index is 0, as the first row after
            those yielded.
    """
    columns = [_sizes(column) for column in rows.columns]
    sizes = _object_sizes(rows.schema.names, columns)
    if isinstance(sizes, int):
        sizes = pa.array([sizes] * rows.num_rows, pa.int64())
    ends = pc.cumulative_sum(sizes).to_pylist()
    start = 0
    while start < rows.num_rows:
        before = ends[start - 1] if start else 0
        end = max(bisect_right(ends, before + about_bytes), start + 1)
        if ends[start] - before > max_bytes:
            of_columns = [
                each if isinstance(each, int) else each[start].as_py() for each in columns
            ]
            raise InexactError(
                0,
                f"makes the row longer than {max_bytes:,} bytes as JSON",
                rows.schema.names[of_columns.index(max(of_columns))],
            )
        yield rows.slice(start, end - start)
        start = end


def _sizes(array: Array) -> int | Array:
    """Return the approximate length of each value as JSON; one number if it is the same for all."""
    kind = array.type
    if types.is_dictionary(kind):
        sizes = _sizes(array.dictionary)
        return sizes if isinstance(sizes, int) else sizes.take(array.indices).fill_null(_NULL_BYTES)
    if is_text(kind) or is_binary(kind):
        lengths = pc.binary_length(array.cast(pa.large_binary())).fill_null(_NULL_BYTES)
        return pc.add(lengths, _BRACKETS_BYTES)
    if isinstance(kind, pa.BaseExtensionType):
        return _sizes(array.storage)
    if types.is_struct(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)]
        return _object_sizes(names, [_sizes(member) for member in array.flatten()])
    if types.is_map(kind):
        array = map_items(array)
    if is_list(array.type):
        return _list_sizes(array)
    return _VALUE_BYTES


def _list_sizes(array: Array) -> Array:
    sizes = _sizes(array.flatten())
    counts = pc.list_value_length(array).fill_null(0).cast(pa.int64())
    if isinstance(sizes, int):
        return pc.add(pc.multiply(counts, sizes + 1), _BRACKETS_BYTES)
    sums = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(sizes.cast(pa.int64()))])
    ends = pc.cumulative_sum(counts)
    inside = pc.subtract(sums.take(ends), sums.take(pc.subtract(ends, counts)))
    return pc.add(pc.add(inside, counts), _BRACKETS_BYTES)


def _object_sizes(names: list[str], members: list[int | Array]) -> int | Array:
    """Return the sizes of objects; `members` has the sizes of the members with these `names`."""
    total: Any = _BRACKETS_BYTES + sum(len(name) + _NAME_EXTRA_BYTES for name in names)
    total += sum(each for each in members if isinstance(each, int))
    for each in members:
        if not isinstance(each, int):
            total = pc.add(total, each.cast(pa.int64()))
    return total
