"""Sets the clock back and forward while the target runs, with `faketime`.

`make soak-clock`, or `python -m tests.soak.clock [STEPS]`. Sequences must still increase, records
must be sent after `batch_delay_seconds` while the tap is silent, and refused requests must be
retried soon, because all waits use the monotonic clock.
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
"""Much longer than the delay and a retry, and much shorter than the steps of the clock."""


def library() -> str:
    """Return the path of the library that changes the time for a process."""
    found = [str(path) for each in LIBRARIES for path in Path("/").glob(each[1:])]
    if not found:
        raise SystemExit("faketime is not installed, such as by `apt-get install faketime`")
    return found[0]


def written(pipe: IO[bytes], messages: list[object]) -> None:
    """Write messages of a tap to a pipe, and flush it."""
    pipe.write(lines(messages))
    pipe.flush()


def arrived(api: ImportApi) -> dict[int, int]:
    """Return the sequence of each record that arrived."""
    bodies = [json.loads(each["body"]) for each in api.requests() if each["body"]]
    messages = [message for body in bodies for message in body["messages"]]
    return {each["data"]["id"]: each["sequence"] for each in messages}


def main(steps: int) -> int:
    """Make `steps` steps of the clock; return 0 if everything was as expected."""
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
    was_felt = sequences[-1] - sequences[0] > A_YEAR_NS  # otherwise `faketime` had no effect
    print(f"{steps} steps of the clock: exit status {status}, last state {last.decode().strip()}")  # noqa: T201 - a report
    print(f"sequences {'grow' if grows else 'DO NOT GROW'}; slowest state after {slowest:.1f} s")  # noqa: T201 - a report
    print(f"the steps {'had' if was_felt else 'HAD NO'} effect")  # noqa: T201 - a report
    good = grows and was_felt and (status, last) == (0, b"%d\n" % steps) and slowest < SOON_SECONDS
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
