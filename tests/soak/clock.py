"""The machine's clock is set back and forward while the target runs, as `faketime` does it.

`make soak-clock`, or `python -m tests.soak.clock [STEPS]`. Sequences must go on growing, records be
on their way after `batch_delay_seconds` while the tap is silent, and refused requests be repeated
soon: all waits are measured by the clock that never steps.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from target_stitch_import.local import ImportApi
from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/opt/homebrew/lib/faketime/*MT*")
STEPS = ("-2h", "+3d", "-40d", "+0", "-1", "+20y", "-20y", "+0")
A_YEAR_NS = 365 * 86_400 * 10**9
DELAY_SECONDS = 0.3
SOON_SECONDS = 20.0
"""Long after the delay and a repeated request, and long before any step that was made."""


def library() -> str:
    """Return the path of what changes the time for a process."""
    found = [str(path) for each in LIBRARIES for path in Path("/").glob(each[1:])]
    if not found:
        raise SystemExit("faketime is not installed, such as by `apt-get install faketime`")
    return found[0]


def written(pipe: IO[bytes], messages: list[object]) -> None:
    """Write what a tap writes, and come back when it is on its way."""
    pipe.write(lines(messages))
    pipe.flush()


def arrived(api: ImportApi) -> dict[int, int]:
    """Return the sequence of each record that arrived."""
    bodies = [json.loads(each["body"]) for each in api.requests() if each["body"]]
    messages = [message for body in bodies for message in body["messages"]]
    return {each["data"]["id"]: each["sequence"] for each in messages}


def main(steps: int) -> int:
    """Make so many steps; return 0 where all went as it should."""
    with ImportApi(kept_bytes=None) as api, tempfile.TemporaryDirectory() as folder:
        config, clock = Path(folder) / "config.json", Path(folder) / "clock"
        settings = {"token": "T1", "api_url": api.url, "batch_delay_seconds": DELAY_SECONDS}
        config.write_text(json.dumps(settings))
        clock.write_text("+0")
        faked = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        slowest = 0.0
        with subprocess.Popen(
            [*TARGET, "--quiet", "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | faked,
        ) as process:
            if process.stdin is None or process.stdout is None:
                raise TypeError("there are pipes at both ends")
            written(process.stdin, [schema(), record(0), state(0)])
            process.stdout.readline()
            for number in range(1, steps + 1):
                clock.write_text(STEPS[number % len(STEPS)])
                api.set_faults([{"kind": "status", "status": 503}])
                began = time.monotonic()
                written(process.stdin, [record(number), state(number)])
                last = process.stdout.readline()
                slowest = max(slowest, time.monotonic() - began)
            process.stdin.close()
            status = process.wait()
        sequences = [sequence for _, sequence in sorted(arrived(api).items())]
    grows = sequences == sorted(set(sequences)) and len(sequences) == steps + 1
    was_felt = sequences[-1] - sequences[0] > A_YEAR_NS  # else nothing was tried
    print(f"{steps} steps of the clock: exit status {status}, last state {last.decode().strip()}")  # noqa: T201 - it tells how it goes
    print(f"sequences {'grow' if grows else 'DO NOT GROW'}; slowest state after {slowest:.1f} s")  # noqa: T201 - likewise
    print(f"the steps {'were' if was_felt else 'WERE NOT'} felt")  # noqa: T201 - likewise
    good = grows and was_felt and (status, last) == (0, b"%d\n" % steps) and slowest < SOON_SECONDS
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
