"""Turns the Arrow rows that Spark passes to a task into the records of a table."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types
from pyspark.sql.types import VariantType, VariantVal

from target_stitch_import.errors import ConfigurationError, quoted
from target_stitch_import.limits import MAX_SEQUENCE
from target_stitch_import.run.arrow_records import ArrowReader
from target_stitch_import.run.arrow_types import raw_json
from target_stitch_import.singer.lines import MAX_LINE_BYTES
from target_stitch_import.singer.origin import BatchFile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pyarrow import Array, DataType, RecordBatch
    from pyspark.sql.types import StructType

    from target_stitch_import.singer.messages import Event
    from target_stitch_import.spark.options import WriteOptions


class Partition(BatchFile, frozen=True):
    """A partition as the origin of records; its rows count from 1."""

    @classmethod
    def of(cls, number: int) -> Partition:
        """Return the partition with Spark's number."""
        return cls(f"partition {number}", 0, "Row")

    def __str__(self) -> str:
        return self.path


class RowReader:
    """Turns the rows of one partition into events."""

    def __init__(self, options: WriteOptions, variants: tuple[str, ...], partition: int) -> None:
        self._options = options
        self._variants = variants
        self._naive_is_utc = options.settings.naive_datetimes == "utc"
        place = Partition.of(partition)
        self._reader = ArrowReader(
            options.table,
            options.table_version,
            place,
            MAX_LINE_BYTES,
        )

    def feed(self, rows: RecordBatch) -> Iterator[list[Event]]:
        """Yield the events of `rows`, a portion at a time.

        Raises:
            InputError: A value has no exact form in JSON, or a row is too long.
            ConfigurationError: The sequence column has values that cannot be converted.
        """
        bad: dict[int, str] = {}
        for key in self._options.key_names:
            column = rows.column(key)
            if column.null_count:
                reason = f"its key column {quoted(key)} is null"
                bad |= dict.fromkeys(_indices(column.is_null()), reason)
        sequences = self._sequences(rows, bad) if self._options.sequence_column else None
        yield from self._reader.feed(self._cast(rows), sequences, bad)

    def _sequences(self, rows: RecordBatch, bad: dict[int, str]) -> list[int]:
        """Return the sequence of each row; adds the rows without a valid one to `bad`."""
        name = self._options.sequence_column
        column = rows.column(name)
        if types.is_timestamp(column.type):
            seconds = column.cast(pa.timestamp("s", column.type.tz), safe=False).cast(pa.int64())
            fits = pc.and_(
                pc.greater_equal(seconds, 0), pc.less(seconds, MAX_SEQUENCE // 1_000_000_000)
            )
            column = pc.if_else(fits, column, pa.scalar(None, column.type))
            column = column.cast(pa.timestamp("ns", column.type.tz))
        try:
            numbers = column.cast(pa.int64())
        except pa.ArrowException:
            raise ConfigurationError(
                f"Column {quoted(str(name))} of type {column.type} has values that cannot be "
                "sequences: cast it to an integer or a timestamp."
            ) from None
        is_good = pc.greater_equal(numbers, 0).fill_null(False)  # noqa: FBT003
        if not pc.all(is_good).as_py():
            reason = f"its sequence column {quoted(str(name))} is null, below 0 or past 2262"
            bad |= dict.fromkeys(_indices(pc.invert(is_good)), reason)
            numbers = pc.if_else(is_good, numbers, 0)
        return list(numbers.to_pylist())

    def _cast(self, rows: RecordBatch) -> RecordBatch:
        """Return `rows` with their dates, times and variants cast to what the Import API reads."""
        columns = [
            self._cast_column(name, column)
            for name, column in zip(rows.schema.names, rows.columns, strict=True)
        ]
        return pa.record_batch(columns, names=rows.schema.names)

    def _cast_column(self, name: str, column: Array) -> Array:
        if name in self._variants:
            return _variants_as_json(column)
        kind = _sent_type(column.type, naive_is_utc=self._naive_is_utc)
        return column if kind == column.type else column.cast(kind)


def read_ahead(batches: Iterator[RecordBatch]) -> Generator[RecordBatch]:
    """Yield `batches`; a thread fetches the next one, so that Spark prepares it in the meantime.

    If the generator is closed early, it does not wait for a batch that Spark still prepares.
    """
    thread = ThreadPoolExecutor(1, "read-ahead")
    waiting = thread.submit(next, batches, None)
    try:
        while (rows := waiting.result()) is not None:
            waiting = thread.submit(next, batches, None)
            yield rows
    finally:
        thread.shutdown(wait=waiting.done())


def variants(columns: StructType) -> tuple[str, ...]:
    """Return the names of the columns of type VARIANT."""
    return tuple(each.name for each in columns if isinstance(each.dataType, VariantType))


def _indices(flags: Array) -> list[int]:
    """Return the indices of the true values."""
    return list(pc.indices_nonzero(flags).to_pylist())


def _sent_type(kind: DataType, *, naive_is_utc: bool) -> DataType:
    """Return `kind` with dates and times as timestamps in UTC, at any depth."""

    def sent(field: Any) -> Any:
        return field.with_type(_sent_type(field.type, naive_is_utc=naive_is_utc))

    if types.is_date(kind):
        return pa.timestamp("s", "UTC")
    if types.is_timestamp(kind) and kind.tz is None and naive_is_utc:
        return pa.timestamp(kind.unit, "UTC")
    if types.is_list(kind):
        return pa.list_(sent(kind.value_field))
    if types.is_struct(kind):
        return pa.struct([sent(kind.field(at)) for at in range(kind.num_fields)])
    if types.is_map(kind):
        return pa.map_(kind.key_field, sent(kind.item_field))
    return kind


def _variants_as_json(column: Array) -> Array:
    """Return variants as Spark's own JSON for them."""
    texts = [
        None if each is None else VariantVal(each["value"], each["metadata"]).toJson()
        for each in column.to_pylist()
    ]
    return raw_json(texts)
