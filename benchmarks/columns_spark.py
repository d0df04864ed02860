"""Writes a Parquet file through Spark several times, and prints each measurement as JSON.

Called by `columns.py` with the service's URL, the file, the tasks at once and the repetitions.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage

from target_stitch_import.spark import StitchImport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql.datasource import DataSourceWriter
    from pyspark.sql.types import StructType

TICKS = os.sysconf("SC_CLK_TCK")


class Workers:
    """Watches the Python processes that run tasks: their CPU time, and the largest one's memory."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self.cpu_seconds: dict[int, float] = {}
        self._look()
        self.before = sum(self.cpu_seconds.values())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self._look()

    def _look(self) -> None:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if b"pyspark.daemon" not in (folder / "cmdline").read_bytes():
                    continue
                stat = (folder / "stat").read_text().rsplit(")")[-1].split()
                status = (folder / "status").read_text()
            except OSError:
                continue
            self.cpu_seconds[int(folder.name)] = (int(stat[11]) + int(stat[12])) / TICKS
            for line in status.splitlines():
                if line.startswith("VmHWM"):
                    self.peak_mb = max(self.peak_mb, int(line.split()[1]) / 1_000)

    def close(self) -> None:
        """Stop watching."""
        self._done.set()
        self._thread.join()


class Drop(DataSource):  # type: ignore[misc] # pyspark has no type annotations
    """Drops all rows, to measure how long Spark itself needs to pass them to Python."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "drop"

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceWriter:  # noqa: ARG002, FBT001 - Spark's
        """Return the writer."""
        return _DropWriter()


class _DropWriter(DataSourceArrowWriter):  # type: ignore[misc] # no annotations
    def write(self, iterator: Iterator[Any]) -> WriterCommitMessage:
        for _ in iterator:
            pass
        return WriterCommitMessage()


def main() -> None:
    """Write as often as asked, and print the measurements of each write."""
    url, path, tasks, repeat = sys.argv[1:]
    session = (
        SparkSession.builder.master(f"local[{tasks}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
        .getOrCreate()
    )
    session.dataSource.register(StitchImport)
    session.dataSource.register(Drop)
    rows = session.read.parquet(path)
    summary = Path("benchmarks/out/columns-spark.json").absolute()
    options = {"table": "t", "key_names": "int_0", "api_url": url, "summary_path": str(summary)}
    # The first write also starts Spark's workers.
    rows.limit(1000).write.format("stitch-import").options(**options).mode("append").save()
    for _ in range(int(repeat)):
        began = time.monotonic()
        rows.write.format("drop").mode("append").save()
        floor_seconds = time.monotonic() - began
        workers = Workers()
        began = time.monotonic()
        rows.write.format("stitch-import").options(**options).mode("append").save()
        seconds = time.monotonic() - began
        workers.close()
        totals = json.loads(summary.read_text())
        used = sum(workers.cpu_seconds.values()) - workers.before
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "floor_seconds": floor_seconds,
                    "cpu_seconds": used,
                    "peak_mb": workers.peak_mb,
                    "bytes": totals["bytes"],
                    "batches": totals["batches"],
                }
            ),
            flush=True,
        )
    session.stop()


if __name__ == "__main__":
    main()
