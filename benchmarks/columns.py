"""Compares rows of 19 columns as JSON lines, as Parquet and through Spark, in one run.

python benchmarks/columns.py                       JSON lines and Parquet through the target
.tools/spark/bin/python benchmarks/columns.py      Spark as well, with one task and with two
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from measure import GateProcess

from target_stitch_import.run.arrow_objects import encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

OUT: Final = Path(__file__).parent / "out"
STREAM: Final = "columns"
SCHEMA: Final = {
    **{f"int_{at}": {"type": ["null", "integer"]} for at in range(5)},
    **{f"text_{at}": {"type": ["null", "string"]} for at in range(4)},
    **{f"decimal_{at}": {"type": ["null", "number"]} for at in range(2)},
    **{f"double_{at}": {"type": ["null", "number"]} for at in range(2)},
    **{f"time_{at}": {"type": ["null", "string"], "format": "date-time"} for at in range(3)},
    **{f"date_{at}": {"type": ["null", "string"]} for at in range(2)},
    "is_open": {"type": ["null", "boolean"]},
}
INPUTS: Final = {
    "RECORD lines": "columns.singer",
    "BATCH, jsonl": "columns-jsonl.singer",
    "BATCH, parquet": "columns-parquet.singer",
}


def rows(count: int) -> pa.Table:
    """Return a typical warehouse table, the same each time; one text in a hundred has a quote."""
    chance = random.Random(1)  # noqa: S311 - data
    start = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)

    def column(name: str, at: int) -> Any:
        kind = name.partition("_")[0]
        if kind == "int":
            return at if name == "int_0" else chance.randrange(10**9)
        if chance.random() < 0.02:
            return None
        if kind == "text":
            quote = '"' * (chance.random() < 0.01)
            return f"{quote}some text {chance.randrange(10**9)}"
        if kind == "decimal":
            return Decimal(chance.randrange(10**8)).scaleb(-2)
        if kind == "double":
            return chance.random() * 1000
        if kind == "time":
            return start + dt.timedelta(microseconds=chance.randrange(10**13))
        if kind == "date":
            return (start + dt.timedelta(days=chance.randrange(1000))).date()
        return chance.random() < 0.5

    kinds = {"decimal": pa.decimal128(12, 2), "time": pa.timestamp("us", "UTC")}
    arrays = [
        pa.array([column(name, at) for at in range(count)], kinds.get(name.partition("_")[0]))
        for name in SCHEMA
    ]
    return pa.table(arrays, names=list(SCHEMA))


def prepare(count: int) -> None:
    """Write the rows in each form, and the target's input."""
    OUT.mkdir(exist_ok=True)
    parquet, lines = OUT / f"columns-{count}.parquet", OUT / f"columns-{count}.jsonl"
    if not parquet.exists():
        pq.write_table(rows(min(count, 50_000)), OUT / "part.parquet")
        part = pq.read_table(OUT / "part.parquet")
        table = pa.concat_tables([part] * math.ceil(count / part.num_rows)).slice(0, count)
        ids = pa.array(range(table.num_rows))
        pq.write_table(table.set_column(0, "int_0", ids), parquet, row_group_size=100_000)
    table = pq.read_table(parquet)
    schema = {"type": "SCHEMA", "stream": STREAM, "key_properties": ["int_0"],
              "schema": {"type": "object", "properties": SCHEMA}}  # fmt: skip
    with lines.open("wb") as file, (OUT / "columns.singer").open("wb") as singer:
        singer.write(json.dumps(schema).encode() + b"\n")
        for batch in table.to_batches(5_000):
            for text in encoded(batch).texts():
                file.write(text + b"\n")
                singer.write(b'{"type":"RECORD","stream":"columns","record":%b}\n' % text)
    for form, path in (("jsonl", lines), ("parquet", parquet)):
        batch_message = {"type": "BATCH", "stream": STREAM, "encoding": {"format": form},
                         "manifest": [str(path)]}  # fmt: skip
        messages = f"{json.dumps(schema)}\n{json.dumps(batch_message)}\n"
        (OUT / INPUTS[f"BATCH, {form}"]).write_text(messages)


def run_target(gate: GateProcess, source: Path) -> tuple[float, float, float]:
    """Run the target; return wall seconds, CPU seconds and peak megabytes."""
    config = OUT / "columns.json"
    config.write_text(json.dumps({"token": "t", "api_url": gate.url, "batch_root": str(OUT)}))
    command = [sys.executable, "-m", "target_stitch_import", "--config", str(config)]
    started = time.monotonic()
    with source.open("rb") as stdin:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the target ended with {os.waitstatus_to_exitcode(status)}")
    seconds = time.monotonic() - started
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1_000


def run_spark(gate: GateProcess, path: Path, tasks: int, repeat: int) -> Iterator[dict[str, Any]]:
    """Write a Parquet file with `tasks` tasks at once; yield the measurements of each write."""
    script = Path(__file__).parent / "columns_spark.py"
    done = subprocess.run(
        [sys.executable, script, gate.url, path, str(tasks), str(repeat)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "TARGET_STITCH_IMPORT_TOKEN": "t"},
    )
    for line in done.stdout.decode().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def main() -> None:
    """Measure every form in turn, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--prepare", action="store_true", help="only write the inputs")
    given = parser.parse_args()
    if given.prepare:
        prepare(given.rows)
        return
    # In a separate process, because the forking process counts towards the target's peak.
    subprocess.run([sys.executable, __file__, "--prepare", f"--rows={given.rows}"], check=True)
    inputs = {name: OUT / file for name, file in INPUTS.items()}
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in inputs}
    with GateProcess() as gate:
        for _ in range(given.repeat):
            for name, path in inputs.items():
                samples[name].append(run_target(gate, path))
        print(f"{given.rows:,} rows of {len(SCHEMA)} columns, medians of {given.repeat}\n")
        print("| | rows/s | CPU µs/row | peak MB |\n|---|---|---|---|")
        for name, taken in samples.items():
            wall, cpu, peak = (statistics.median(each) for each in zip(*taken, strict=True))
            print(
                f"| {name} | {given.rows / wall:,.0f} | {cpu / given.rows * 1e6:.1f} | {peak:.0f} |"
            )
        if find_spec("pyspark") is None:
            return
        for tasks in (1, 2):
            parquet = OUT / f"columns-{given.rows}.parquet"
            writes = list(run_spark(gate, parquet, tasks, given.repeat))
            wall = statistics.median(each["seconds"] for each in writes)
            peak = max(each["peak_mb"] for each in writes)
            cpu = statistics.median(each["cpu_seconds"] for each in writes)
            print(
                f"| Spark, {tasks} at once | {given.rows / wall:,.0f} | "
                f"{cpu / given.rows * 1e6:.1f} (Python) | {peak:.0f} per task |"
            )
            floor = statistics.median(each["floor_seconds"] for each in writes)
            print(f"| the same, dropped in Python | {given.rows / floor:,.0f} | | |")
            size = writes[-1]["bytes"] / writes[-1]["batches"]
        print(f"\nbytes per request from Spark: {size:,.0f}")


if __name__ == "__main__":
    main()
