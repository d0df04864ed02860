"""The data source `stitch-import`: the classes that Spark calls on the driver and in its tasks.

Invariant: an error of this package reaches the user as one message, without a traceback, values or
the token.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyspark import TaskContext
from pyspark.sql import datasource
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, DataSourceStreamWriter
from pyspark.sql.types import TimestampNTZType

from target_stitch_import.errors import ConfigurationError, TargetError, internal_error, quoted
from target_stitch_import.spark.commits import PartitionCommit
from target_stitch_import.spark.job import Job, log_to_stderr
from target_stitch_import.spark.options import WriteOptions
from target_stitch_import.spark.rows import RowReader, read_ahead, variants
from target_stitch_import.spark.schemas import contains, json_schema
from target_stitch_import.spark.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyarrow import RecordBatch
    from pyspark.sql.datasource import WriterCommitMessage
    from pyspark.sql.types import Row, StructType

HIDE_TRACEBACK = "SPARK_HIDE_TRACEBACK"
ROWS_AT_ONCE = 10_000
"""The rows of a record batch, as many as Spark itself puts into one."""


class StitchImport(DataSource):
    """Delivers rows to Stitch's Import API. The options are in docs/scaling.md."""

    @classmethod
    def name(cls) -> str:
        """Return the name for `format(...)`."""
        return "stitch-import"

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:  # noqa: FBT001
        """Return the writer of a data frame."""
        with without_traceback():
            return BatchWriter(_Write.of(self.options, schema, overwrite=overwrite))

    def streamWriter(  # noqa: N802 - Spark's name
        self,
        schema: StructType,
        overwrite: bool,  # noqa: FBT001 - passed by position
    ) -> DataSourceStreamWriter:
        """Return the writer of a stream's micro-batches."""
        with without_traceback():
            if overwrite or "table_version" in self.options:
                raise ConfigurationError(
                    "A stream cannot overwrite, because it never ends: leave out `table_version`, "
                    'and use outputMode("append").'
                )
            return StreamWriter(_Write.of(self.options, schema, overwrite=False))


class _Write:
    """The work of driver and tasks for a write, of a batch or a micro-batch."""

    def __init__(self, options: WriteOptions, columns: StructType, *, overwrites: bool) -> None:
        self._options = options
        self._columns = columns
        self._schema = json_schema(columns, nan_to_null="nan_to_null" in options.repairs)
        self._overwrites = overwrites
        self._started_at = datetime.now(timezone.utc)

    @classmethod
    def of(cls, given: Any, columns: StructType, *, overwrite: bool) -> _Write:
        options = WriteOptions.load(given, os.environ)
        options.check_mode(overwrite=overwrite)
        options.check_columns(tuple(columns.fieldNames()))
        if options.settings.naive_datetimes == "fail":
            for column in columns:
                if contains(column.dataType, TimestampNTZType):
                    raise ConfigurationError(
                        f"Column {quoted(column.name)} is or contains a timestamp without a zone, "
                        "and `naive_datetimes` is `fail`: cast it to a timestamp, or use `utc`."
                    )
        return cls(options, columns, overwrites=overwrite)

    def write(self, batches: Iterator[RecordBatch]) -> PartitionCommit:
        """Deliver a partition; return once all of it is acknowledged or set aside."""
        log_to_stderr()
        context = TaskContext.get()
        partition = context.partitionId() if context else 0
        attempt = context.attemptNumber() if context else 0
        commit = PartitionCommit(partition, attempt)
        with without_traceback():
            if context and context.getLocalProperty("spark.speculation") == "true":
                self._options.check_speculation()
            reader = RowReader(self._options, variants(self._columns), partition)
            task = Task(self._options, self._schema, commit)
        try:
            with closing(read_ahead(batches)) as ahead:
                for rows in ahead:  # Spark reports its own errors while it makes the rows
                    with without_traceback():
                        for events in reader.feed(rows):
                            task.send(events)
            with without_traceback():
                task.finish()
        finally:
            task.close()
        if attempt and not self._options.key_names:
            # An earlier attempt may have sent the same batches.
            commit.possible_duplicates += commit.delivered.batches
        return commit

    def as_batches(self, rows: Iterator[Row]) -> Iterator[RecordBatch]:
        """Yield record batches of the single rows that Spark 4.0 passes to a stream's writer."""
        from pyspark.sql.conversion import LocalDataToArrowConversion  # noqa: PLC0415 - 4.0 alone

        while some := list(islice(rows, ROWS_AT_ONCE)):
            table = LocalDataToArrowConversion.convert(
                some, self._columns, use_large_var_types=False
            )
            yield from table.combine_chunks().to_batches()

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        log_to_stderr()
        with without_traceback():
            commits = [each for each in messages if isinstance(each, PartitionCommit)]
            self._job().commit(commits, activates=self._overwrites)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        log_to_stderr()
        with without_traceback():
            self._job().abort([each for each in messages if isinstance(each, PartitionCommit)])

    def _job(self) -> Job:
        return Job(self._options, self._schema, self._started_at)


class BatchWriter(DataSourceArrowWriter):
    """Writes the partitions of a data frame; `commit` and `abort` run on the driver."""

    def __init__(self, write: _Write) -> None:
        self._write = write

    def __reduce__(self) -> Any:
        return _with_explanation(type(self), self._write)

    def write(self, iterator: Iterator[RecordBatch]) -> WriterCommitMessage:
        """Deliver a partition; return once all of it is acknowledged or set aside."""
        return self._write.write(iterator)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Report what was loaded, and activate the table's new version if the write overwrites."""
        self._write.commit(messages)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Log what was loaded although the write failed."""
        self._write.abort(messages)


_ARROW_STREAM_WRITER = getattr(datasource, "DataSourceStreamArrowWriter", None)


class StreamWriter(_ARROW_STREAM_WRITER or DataSourceStreamWriter):  # type: ignore[misc]
    """Writes micro-batches; Spark advances a stream's checkpoint once `commit` has returned."""

    def __init__(self, write: _Write) -> None:
        self._write = write

    def __reduce__(self) -> Any:
        return _with_explanation(type(self), self._write)

    def write(self, iterator: Iterator[Any]) -> WriterCommitMessage:
        """Deliver a partition of a micro-batch."""
        if _ARROW_STREAM_WRITER is None:
            iterator = self._write.as_batches(iterator)
        return self._write.write(iterator)

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: ARG002, N803
        """Report what was loaded."""
        self._write.commit(messages)

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: ARG002, N803
        """Log what was loaded although the micro-batch failed."""
        self._write.abort(messages)


@contextmanager
def without_traceback() -> Iterator[None]:
    """Raise errors so that Spark shows the user one message without a traceback.

    Spark omits the tracebacks of a Python process if `HIDE_TRACEBACK` is set in its environment.
    """
    try:
        yield
    except TargetError as error:
        os.environ[HIDE_TRACEBACK] = "1"
        raise type(error)(*error.args) from None
    except Exception as error:  # noqa: BLE001 - its text could hold a value
        os.environ[HIDE_TRACEBACK] = "1"
        raise internal_error(error) from None


def _with_explanation(kind: type, write: _Write) -> Any:
    """Return how to unpickle a writer, with a clear error if this package is not installed."""
    from pyspark.cloudpickle import dumps  # noqa: PLC0415 - Spark's own copy

    return _loader(), (dumps((kind, write)),)


def _loader() -> Callable[[bytes], Any]:
    def load(pickled: bytes) -> Any:  # nested, so that it is pickled by value
        import os  # noqa: PLC0415
        import pickle  # noqa: PLC0415

        try:
            import target_stitch_import.spark  # noqa: F401, PLC0415
        except ImportError:
            import socket  # noqa: PLC0415

            os.environ["SPARK_HIDE_TRACEBACK"] = "1"
            text = (
                f"The executor on {socket.gethostname()} has no target-stitch-import: install it "
                "with the extra `spark` in the Python of all executors (PYSPARK_PYTHON), the same "
                "version as on the driver."
            )
            raise RuntimeError(text) from None
        kind, write = pickle.loads(pickled)  # noqa: S301 - from our own driver
        return kind(write)

    return load
