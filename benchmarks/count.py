"""Counts instructions per record with valgrind: a figure that other load does not change.

    python benchmarks/count.py            compare with limits.json
    python benchmarks/count.py --write    update limits.json from the counts
    python benchmarks/count.py --twice    count everything twice, and show how much two runs differ

The cost of one more record: two whole processes read inputs of two sizes and send nothing
(`--dry-run`); the difference of their counts is divided by the difference of their records. The
limits are multiples of the bare loop (`ceiling.py`), counted in the same way, so that they hold on
other processors too.

Exit status: 0 all within their limits, 1 a limit is exceeded, 2 the counts could not be determined.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import peers
from throughput import markdown
from workloads import WORKLOADS, Workload, input_file

if TYPE_CHECKING:
    from peers import Peer

LIMITS: Final = peers.HERE / "limits.json"
EXCEEDED_STATUS: Final = 1
UNKNOWN_STATUS: Final = 2
TIMEOUT_SECONDS: Final = 600
TOLERANCE: Final = 0.05
# `cache-sim=no` leaves the plain count, at half of callgrind's time.
VALGRIND: Final = (
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
)
_COUNTED: Final = re.compile(r"I +refs: +([\d,]+)")
# Records of the small and the large input. Both must have records of every stream, or else the
# start of a stream would count as a record's cost.
SIZES: Final = {
    "wide": (2_000, 10_000),
    "narrow": (5_000, 35_000),
    "many": (2_000, 10_000),
    "varied": (1_000, 5_000),
    "constrained": (1_000, 5_000),
    "naive": (1_000, 5_000),
    "sql": (1_000, 5_000),
    "postgres": (1_000, 5_000),
    "documents": (1_000, 5_000),
}
# Without validation, the cost does not depend on a record's contents.
UNCHECKED_TOO: Final = ("wide", "narrow", "many")
# A thousand streams would take minutes to set up.
MANY_STREAMS: Final = 100


class UnknownError(Exception):
    """The counts could not be determined; the message says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """One process whose instructions are counted."""

    peer: Peer
    workload: Workload
    records: int


def main() -> None:
    """Count and print the instructions; compare them with the limits or write new limits."""
    arguments = _arguments()
    try:
        sys.exit(_run(arguments))
    except UnknownError as error:
        print(f"NOT COUNTED: {error}", file=sys.stderr)
        sys.exit(UNKNOWN_STATUS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workload", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--write", action="store_true", help="update limits.json")
    parser.add_argument("--twice", action="store_true", help="show by how much two runs differ")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> int:
    if shutil.which(VALGRIND[0]) is None:
        raise UnknownError("valgrind is not installed; on Debian: apt-get install valgrind")
    limits = json.loads(LIMITS.read_text()) if LIMITS.exists() else {}
    version = ".".join(platform.python_version_tuple()[:2])
    if not arguments.write and limits.get("python") != version:
        raise UnknownError(
            f"{LIMITS.name} was written with Python {limits.get('python')}, this is {version}; "
            "another interpreter needs another number of instructions"
        )
    print(f"counting {', '.join(arguments.workload)} with Python {version}", flush=True)
    counts = _count(arguments.workload)
    if arguments.twice:
        print(_differences(counts, _count(arguments.workload)), end="\n\n")
    ratios = {
        f"{name} {peer.name}": counts[name, peer.name] / counts[name, peers.CEILING.name]
        for name in arguments.workload
        for peer in _programs(name)
        if peer is not peers.CEILING
    }
    if arguments.write:
        kept = limits.get("times_the_ceiling", {}) if limits.get("python") == version else {}
        _write(version, kept | ratios)
        print(_table(counts, ratios, {}))
        return 0
    known = limits["times_the_ceiling"]
    print(_table(counts, ratios, known))
    missing = sorted(ratios.keys() - known.keys())
    if missing:
        raise UnknownError(f"{LIMITS.name} has no limit for {', '.join(missing)}; see --write")
    return _verdict(ratios, known)


def _verdict(ratios: dict[str, float], known: dict[str, float]) -> int:
    exceeded = [name for name, ratio in ratios.items() if ratio > known[name] * (1 + TOLERANCE)]
    better = [name for name, ratio in ratios.items() if ratio < known[name] * (1 - TOLERANCE)]
    if better:
        print(f"\nbetter than the limit, update it with --write: {', '.join(better)}")
    if exceeded:
        print(f"\nEXCEEDED by more than {TOLERANCE:.0%}: {', '.join(exceeded)}")
        return EXCEEDED_STATUS
    print(f"\nall {len(ratios)} within {TOLERANCE:.0%} of their limits")
    return 0


def _write(version: str, ratios: dict[str, float]) -> None:
    rounded = {name: round(ratio, 3) for name, ratio in ratios.items()}
    LIMITS.write_text(
        json.dumps({"python": version, "times_the_ceiling": rounded}, indent=2) + "\n"
    )
    print(f"{LIMITS.name} written")


def _count(names: list[str]) -> dict[tuple[str, str], float]:
    """Return the instructions of one more record, by workload and program."""
    pairs = [
        [Job(peer, _workload(name), records) for records in SIZES[name]]
        for name in names
        for peer in _programs(name)
    ]
    for small, large in pairs:
        input_file(small.workload, small.records)
        input_file(large.workload, large.records)
    # Counts do not depend on other load, so all cores are used.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = list(pool.map(_instructions, [job for pair in pairs for job in pair]))
    return {
        (small.workload.name, small.peer.name): (counted[2 * at + 1] - counted[2 * at])
        / (large.records - small.records)
        for at, (small, large) in enumerate(pairs)
    }


def _programs(name: str) -> list[Peer]:
    unchecked = [peers.OURS_UNCHECKED] if name in UNCHECKED_TOO else []
    return [peers.CEILING, *unchecked, peers.OURS]


def _workload(name: str) -> Workload:
    workload = WORKLOADS[name]
    return replace(workload, streams=MANY_STREAMS) if workload.streams > 1 else workload


def _instructions(job: Job) -> int:
    """Run one process under valgrind to its end, check that it did its work; return the count."""
    with tempfile.TemporaryDirectory(prefix="count-") as folder:
        config, summary = Path(folder, "config.json"), Path(folder, "summary.json")
        settings: dict[str, Any] = job.peer.config("http://127.0.0.1:9")
        config.write_text(json.dumps(settings | {"summary_path": str(summary)}))
        with input_file(job.workload, job.records).open("rb") as stdin:
            done = subprocess.run(
                [*VALGRIND, *job.peer.command, f"--config={config}", "--dry-run"],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
                # Random hashes would change the work of every dictionary.
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        found = _COUNTED.search(done.stderr)
        what = f"{job.peer.name} on {job.records} records of {job.workload.name}"
        if done.returncode or found is None:
            raise UnknownError(f"{what}: exit {done.returncode}: {done.stderr[-400:]}")
        streams = json.loads(summary.read_text())["streams"].values()
        processed = sum(stream["acknowledged"] for stream in streams)
        if processed != job.records:
            raise UnknownError(f"{what}: processed {processed}")
        print(f"  {what}", flush=True)
        return int(found[1].replace(",", ""))


def _table(
    counts: dict[tuple[str, str], float], ratios: dict[str, float], known: dict[str, float]
) -> str:
    rows = []
    for (name, peer), instructions in counts.items():
        key = f"{name} {peer}"
        limit = f"{known[key]:.3f}" if key in known else ""
        ratio = f"{ratios[key]:.3f}" if key in ratios else "1"
        rows.append([name, peer, f"{instructions:,.0f}", ratio, limit])
    return markdown(["workload", "target", "instructions", "x ceiling", "limit"], rows)


def _differences(first: dict[tuple[str, str], float], second: dict[tuple[str, str], float]) -> str:
    rows = [
        [*key, f"{first[key]:,.0f}", f"{second[key]:,.0f}", f"{second[key] / first[key] - 1:+.3%}"]
        for key in first
    ]
    return markdown(["workload", "target", "first", "second", "difference"], rows)


if __name__ == "__main__":
    main()
