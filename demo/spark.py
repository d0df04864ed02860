"""Runs the demo of Spark: a folder of Parquet files through the local Import API into DuckDB.

All its files are in `.demo/` of the working directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from typing import Final

import pyarrow.parquet as pq
from pyarrow import csv
from pyspark.sql import SparkSession

from demo.run import WORK, package_data
from target_stitch_import.local import ImportApiProcess
from target_stitch_import.spark import StitchImport

FOLDER: Final = WORK / "flights.parquet"
DATABASE: Final = WORK / "spark.duckdb"
KEYS: Final = "year,month,day,carrier,flight,origin,sched_dep_time"


def write_flights() -> int:
    """Write the flights of 2013 as a folder of Parquet files; return the number of flights."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    with zipfile.ZipFile(package_data() / "flights.csv.zip") as archive:
        flights = csv.read_csv(archive.open("flights.csv"))
    pq.write_to_dataset(flights, FOLDER, partition_cols=["month"])
    return int(flights.num_rows)


def main() -> None:
    """Write the flights to the local Import API through Spark, and show the loaded table."""
    WORK.mkdir(exist_ok=True)
    DATABASE.unlink(missing_ok=True)
    count = write_flights()
    print(f"{count:,} flights in {FOLDER}, one folder per month\n", flush=True)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("TARGET_STITCH_IMPORT_TOKEN", "local")
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
        .getOrCreate()
    )
    session.dataSource.register(StitchImport)
    with ImportApiProcess(database=str(DATABASE), arguments=("--keep-bytes", "0")) as api:
        started = time.monotonic()
        (
            session.read.parquet(str(FOLDER))
            .write.format("stitch-import")
            .options(table="flights", key_names=KEYS, api_url=api.url)
            .mode("append")
            .save()
        )
        seconds = time.monotonic() - started
    session.stop()
    print(f"\nWritten in {seconds:.1f} s. The tables in {DATABASE}:\n", flush=True)
    tool = [sys.executable, "-m", "target_stitch_import.toolbox"]
    subprocess.run([*tool, "tables", "--database", str(DATABASE)], check=True)


if __name__ == "__main__":
    main()
