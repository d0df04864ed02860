"""The file system of an open file becomes read-only while the target runs.

`make soak-disk`, as root on Linux: ext4 on a loop device is aborted, as after an error of its disk.
The run must end with 74, name the file and what to do, and write no state too early. With a local
database, which then refuses requests, the run ends with 69. After the disk is repaired, each state
that was written must be true: what it covers is in the database or set aside.

And a disk that is full under a local database gets space again: the run must continue and end with
0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import duckdb

from target_stitch_import.local import ImportApi
from tests.support.processes import end, started, stream, until, write_messages
from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ_ONLY = (
    "Read-only file system. Make the file system writable or use another one, then run again."
)
BAD = {"name": 5}
"""Members of a record that is set aside."""
MANY = 6_000
"""Records that need more space than the smaller disk has."""


@dataclass(frozen=True)
class Case:
    """A file on the disk, and the expected end of the run."""

    status: int
    words: str
    states: tuple[str, ...] = ("1",)
    settings: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    members: dict[str, Any] = field(default_factory=dict)
    """Members of both records."""
    states_on_disk: bool = False
    holds: Callable[[Path], bool] = lambda _: True
    """Returns whether the repaired disk has the first record where it must be."""


def is_set_aside(disk: Path) -> bool:
    *whole, _ = (disk / "dead.jsonl").read_bytes().split(b"\n")
    return [json.loads(each)["record"]["id"] for each in whole] == [1]


def is_loaded(disk: Path) -> bool:
    with duckdb.connect(disk / "local.duckdb") as connection:
        return connection.sql("SELECT id FROM import_api.people").fetchall() == [(1,)]


CASES = {
    "output file": Case(
        74,
        f"The output file disk/sent.jsonl cannot be written: {READ_ONLY}",
        states=("1", "2"),  # both records are acknowledged; bodies are buffered in memory
        options=("--output-file", "disk/sent.jsonl"),
    ),
    "states": Case(
        74, f"Stdout cannot be written, so no state can be saved: {READ_ONLY}", states_on_disk=True
    ),
    "dead letters": Case(
        74,
        f"The dead-letter file disk/dead.jsonl cannot be written: {READ_ONLY}",
        settings={"on_invalid_record": "dead_letter", "dead_letter_path": "disk/dead.jsonl"},
        members=BAD,
        holds=is_set_aside,
    ),
    "summary": Case(
        74,
        f"The summary disk/summary.json cannot be written: {READ_ONLY}",
        states=("1", "2"),
        settings={"summary_path": "disk/summary.json"},
    ),
    "local database": Case(
        69,
        "The database cannot be written, so a request is refused: ",
        settings={"region": "local", "local_database": "disk/local.duckdb", "api_url": None},
        holds=is_loaded,
    ),
}


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def mounted(image: Path, disk: Path) -> Iterator[None]:
    run("mount", "-o", "loop,errors=remount-ro", image, disk)
    try:
        yield
    finally:
        run("umount", disk)


def lines_of(states: IO[bytes] | Path) -> Callable[[], list[bytes]]:
    """Wait for the first state; return a function that reads all states written so far."""
    if isinstance(states, Path):
        until(lambda: states.read_bytes() == b"1\n")
        return lambda: states.read_bytes().splitlines()
    first = states.readline()
    return lambda: [first.rstrip(), *states.read().splitlines()]


def failed_disk(case: Case, folder: Path, api_url: str) -> tuple[int, list[str], str]:
    """Run with a disk that fails between two records; return exit status, states and log."""
    image, disk, config = folder / "image", folder / "disk", folder / "config.json"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(64_000_000)
    run("mkfs.ext4", "-q", image)
    settings = {"token": "T1", "api_url": api_url, "batch_size_rows": 1, "max_retry_seconds": 2}
    given = {name: each for name, each in (settings | case.settings).items() if each is not None}
    config.write_text(json.dumps(given))
    log = folder / "log"
    with mounted(image, disk), ExitStack() as stack:
        on_disk = disk / "states"
        process = stack.enter_context(
            subprocess.Popen(
                [*TARGET, "--config", str(config), *case.options],
                stdin=subprocess.PIPE,
                stdout=on_disk.open("wb") if case.states_on_disk else subprocess.PIPE,
                stderr=stack.enter_context(log.open("wb")),
                cwd=folder,
            )
        )
        write_messages(process, schema(), record(1, **case.members), state(1))
        states = lines_of(on_disk if case.states_on_disk else stream(process.stdout))
        run("mount", "-o", "remount,abort", disk)
        write_messages(process, record(2, **case.members), state(2))
        stream(process.stdin).close()
        written = states()
        status = process.wait(60)
        # Nothing more reaches a failed disk, but cached pages are visible until it is unmounted.
    subprocess.run(["e2fsck", "-p", image], check=False, capture_output=True)
    with mounted(image, disk):
        assert case.holds(disk), "what the state covers is not there"
    return status, [each.decode() for each in written], log.read_text()


def full_disk(folder: Path) -> bool:
    """Run with a database that outgrows its disk, which is then enlarged; return success."""
    disk, config = folder / "disk", folder / "config.json"
    disk.mkdir()
    settings = CASES["local database"].settings | {"batch_size_rows": 500}
    config.write_text(json.dumps({name: each for name, each in settings.items() if each}))
    source = folder / "messages"
    rows = [record(at, name=f"{at:x}" * 400) for at in range(MANY)]
    source.write_bytes(lines([schema(), *rows, state(1)]))
    run("mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", disk)
    try:
        command = [*TARGET, "--config", str(config), "--input", str(source)]
        with started(command, folder) as process:
            full = any(b"cannot be written" in line for line in stream(process.stderr))
            run("mount", "-o", "remount,size=500M", disk)
            status, states, _ = end(process, 60)
        with duckdb.connect(disk / "local.duckdb") as connection:
            count = connection.sql("SELECT count(id) FROM import_api.people").fetchall()
    finally:
        run("umount", disk)
    print(f"a full disk that gets space: exit status {status}, {count[0][0]:,} rows")  # noqa: T201 - a report
    return full and (status, states, count) == (0, [b"1"], [(MANY,)])


def main() -> int:
    """Try all cases; return 0 if everything was as expected."""
    good = True
    for name, case in CASES.items():
        with ImportApi() as api, tempfile.TemporaryDirectory() as folder:
            status, states, log = failed_disk(case, Path(folder), api.url)
        found = [line for line in log.splitlines() if case.words in line]
        is_right = (status, tuple(states)) == (case.status, case.states)
        is_right &= bool(found) and "Traceback" not in log
        good &= is_right
        print(f"{name}: exit status {status}, states {states}")  # noqa: T201 - a report
        print(f"  {found[-1] if found else log}")  # noqa: T201 - a report
        print(f"  {'as promised' if is_right else 'NOT AS PROMISED'}")  # noqa: T201 - a report
    with tempfile.TemporaryDirectory() as folder:
        good &= full_disk(Path(folder))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
