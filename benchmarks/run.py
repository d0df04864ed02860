"""Runs the benchmarks: our target against its peers and the ceiling, as tables of ratios.

python benchmarks/run.py                      everything, about half an hour
python benchmarks/run.py --quick              a quarter of the records, two repetitions
python benchmarks/run.py --workload wide --targets import,ceiling --repeat 9
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import behaviour
import peers
import throughput
from workloads import WORKLOADS

if TYPE_CHECKING:
    from throughput import Series

THROUGHPUT: Final = (
    "wide",
    "narrow",
    "many",
    "many-narrow",
    "sql",
    "postgres",
    "documents",
    "varied",
    "constrained",
    "naive",
)
BEHAVIOUR: Final = {
    "start": "Start to exit with one record",
    "slow": "Half a second per request, four in flight",
    "memory": "Peak memory at ten times the input",
    "trickle": "Ten records per second, then nothing, with a delay of two seconds",
    "flushed": "A tap that flushes each line, 6,000 per second",
    "parquet": "The same rows as lines, as JSON lines of a BATCH, and as Parquet",
}
QUICK_SIZE: Final = 1 / 4
RESULTS: Final = peers.HERE / "out" / "results.json"


def main() -> None:
    """Measure the chosen workloads and programs, and write all samples."""
    arguments = _arguments()
    chosen = [peers.PEERS[name] for name in arguments.targets]
    size = QUICK_SIZE if arguments.quick else 1.0
    repeat = arguments.repeat or (2 if arguments.quick else 5)
    # Stop gate and target, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for peer in chosen:
        peers.install(peer)
    print(_machine(), flush=True)
    results: dict[str, Any] = {"machine": _machine(), "size": size, "throughput": {}, "tables": {}}
    for name in arguments.workload:
        if name not in WORKLOADS:
            continue
        series = throughput.measure_workload(WORKLOADS[name], chosen, repeat=repeat, size=size)
        title = f"{name}: {WORKLOADS[name].summary}"
        note = f"{repeat} repetitions{_elsewhere(series)}"
        _show(results, title, throughput.table(series), note)
        results["throughput"][name] = [_plain(one) for one in series]
    # The ceiling is no target: it has none of the behaviour that these tables compare.
    targets = [peer for peer in chosen if peer is not peers.CEILING]
    for name, title in BEHAVIOUR.items():
        if name not in arguments.workload:
            continue
        _show(results, title, _behaviour(name, targets, repeat, size))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=1))
    print(f"\nevery sample: {arguments.json}")


def _behaviour(name: str, targets: list[peers.Peer], repeat: int, size: float) -> str:
    if name == "start":
        return behaviour.start_to_exit(targets, repeat=repeat)
    if name == "slow":
        return behaviour.slow_requests(targets, repeat=max(1, repeat // 2), size=max(size, 0.5))
    if name == "memory":
        return behaviour.peak_memory(targets, size=size)
    if name == "flushed":
        return behaviour.flushed(targets, repeat=max(1, repeat // 2), size=size)
    if name == "parquet":
        return behaviour.columns(repeat=max(1, repeat // 2), size=size)
    return behaviour.trickle_delay(targets)


def _arguments() -> argparse.Namespace:
    every = [*THROUGHPUT, *BEHAVIOUR]

    def names(known: list[str]) -> Any:
        def parse(text: str) -> list[str]:
            given = text.split(",")
            unknown = set(given) - set(known)
            if unknown:
                raise argparse.ArgumentTypeError(
                    f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}"
                )
            return given

        return parse

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workload",
        type=names([*WORKLOADS, *BEHAVIOUR]),
        default=every,
        metavar="A,B",
        help=f"of {', '.join([*WORKLOADS, *BEHAVIOUR])}; default: {','.join(every)}",
    )
    parser.add_argument(
        "--targets",
        type=names(list(peers.PEERS)),
        default=list(peers.PEERS),
        metavar="A,B",
        help=f"of {', '.join(peers.PEERS)}; default: all",
    )
    parser.add_argument("--repeat", type=int, metavar="N", help="repetitions (default 5; quick 2)")
    parser.add_argument("--quick", action="store_true", help="fewer records: rough figures only")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where every sample is written")
    return parser.parse_args()


def _show(results: dict[str, Any], title: str, text: str, note: str = "") -> None:
    print(f"\n## {title}\n\n{text}")
    if note:
        print(f"\n{note}")
    sys.stdout.flush()
    results["tables"][title] = text


def _elsewhere(series: list[Series]) -> str:
    """Return how busy other programs kept the machine, by which to judge wall times."""
    shares = [sample.elsewhere for one in series for sample in [*one.small, *one.large]]
    if not shares:
        return ""
    middle, most = statistics.median(shares), max(shares)
    return f"; other programs used {middle:.0%} of the cores (at most {most:.0%})"


def _plain(one: Series) -> dict[str, Any]:
    return {
        "target": one.peer.name,
        "small_records": one.small_records,
        "large_records": one.large_records,
        "trouble": one.trouble,
        "small": [asdict(sample) for sample in one.small],
        "large": [asdict(sample) for sample in one.large],
    }


def _machine() -> str:
    model = platform.processor()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("singer-sdk", "msgspec", "requests", "jsonschema-rs")
    )
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({model}), "
        f"Python {platform.python_version()}, {versions}"
    )


if __name__ == "__main__":
    main()
