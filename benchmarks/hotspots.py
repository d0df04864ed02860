"""Shows where one program spends its time: functions by sampled stacks, for a flame graph too.

    python benchmarks/hotspots.py import wide

Samples with py-spy (installed under `.tools/` if missing), without waiting threads. The column
`own` counts samples that ended in the function, or in C code it called; `below` counts samples that
had it anywhere on the stack. With `--native`, C functions have their own rows, but waiting counts
as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import peers
from measure import GateProcess
from throughput import markdown
from workloads import WORKLOADS, input_file

if TYPE_CHECKING:
    from collections.abc import Iterable

PY_SPY_VENV: Final = peers.ROOT / ".tools" / "py-spy"
SAMPLES_PER_SECOND: Final = 250
ROWS: Final = 20


def main() -> None:
    """Profile one program on one workload."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=peers.PEERS)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--records", type=int, default=0, help="default: depends on the target")
    parser.add_argument("--native", action="store_true", help="show C functions separately")
    arguments = parser.parse_args()
    peer, workload = peers.PEERS[arguments.target], WORKLOADS[arguments.workload]
    share = peer.share_of_many if workload.streams > 1 else peer.share
    records = arguments.records or int(400_000 * share)
    stacks_path = peers.HERE / "out" / f"{peer.name}-{workload.name}.stacks"
    source = input_file(workload, records)
    peers.install(peer)
    with GateProcess() as gate, tempfile.TemporaryDirectory() as folder:
        config_path = Path(folder, "config.json")
        config_path.write_text(json.dumps(peer.config(gate.url)))
        options = ["--format", "raw", "--rate", str(SAMPLES_PER_SECOND)]
        options += ["--native"] if arguments.native else []
        with source.open("rb") as stdin:
            subprocess.run(
                [
                    _py_spy(),
                    "record",
                    *options,
                    f"--output={stacks_path}",
                    "--",
                    *peer.command,
                    f"--config={config_path}",
                ],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
    print(f"{peer.name} on {records:,} records of {workload.name}\n")
    print(_tables(stacks_path.read_text().splitlines()))
    print(f"\nstacks, for any flame graph viewer: {stacks_path}")


def _tables(stacks: Iterable[str]) -> str:
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for line in stacks:
        path, _, count = line.rpartition(" ")
        frames = [_without_line(frame) for frame in path.split(";") if frame]
        own[frames[-1] if frames else "unknown"] += int(count)
        for frame in set(frames):
            below[frame] += int(count)
    total = own.total()
    rows = [
        [f"{count / total:.1%}", f"{below[frame] / total:.1%}", frame]
        for frame, count in own.most_common(ROWS)
    ]
    inclusive = [
        [f"{own[frame] / total:.1%}", f"{count / total:.1%}", frame]
        for frame, count in below.most_common(2 * ROWS)
    ]
    head = ["own", "below", "function"]
    return f"{markdown(head, rows)}\n\n{markdown(head, inclusive)}"


def _without_line(frame: str) -> str:
    """Drop line numbers, and addresses without a name, so that one function is one row."""
    if frame.startswith("0x"):
        return f"unnamed {frame.partition(' ')[2]}"
    name, separator, place = frame.rpartition(":")
    return name + ")" if separator and place.rstrip(")").isdigit() else frame


def _py_spy() -> str:
    executable = PY_SPY_VENV / "bin" / "py-spy"
    if not executable.exists():
        subprocess.run([sys.executable, "-m", "venv", PY_SPY_VENV], check=True)
        pip: list[Path | str] = [PY_SPY_VENV / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "py-spy"], check=True)
    return str(executable)


if __name__ == "__main__":
    main()
