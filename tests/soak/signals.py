"""Measures how soon the target reacts to a signal.

`make soak-signals`, or `python -m tests.soak.signals [PART OF A NAME]`.

Feeds the target each input of `tests/support/hostile_input.py`, sends SIGTERM once the first piece
was read, and prints how long the target took to end.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

from target_stitch_import.local import ImportApi
from tests.support.hostile_input import CASES
from tests.support.processes import end, feeding, running, stream, until
from tests.support.target import Target


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    with ImportApi() as api:
        for name in (each for each in CASES if wanted in each):
            with tempfile.TemporaryDirectory() as folder:
                target = Target(Path(folder), {"token": "t", "api_url": api.url})
                status, seconds = measure(target, name)
            print(f"{name:28} {seconds:6.2f} s  exit {status}", flush=True)  # noqa: T201 - a command


def measure(target: Target, name: str) -> tuple[int, float]:
    """Return the exit status, and the seconds from the signal to the end."""
    case = CASES[name]()
    root = target.folder / "root"
    root.mkdir()
    for file, content in case.files.items():
        (root / file).write_bytes(content)
    settings = {"batch_root": "root"} | case.settings
    with running(target, **settings) as process, feeding(process, case) as taken:
        stream(process.stdout).readline()
        until(lambda: taken() >= len(case.head) + len(case.piece), 60)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        status, _, _ = end(process, 300)
        return status, time.monotonic() - began


if __name__ == "__main__":
    main()
