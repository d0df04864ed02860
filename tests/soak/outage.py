"""An outage of ten real minutes: memory stays bounded, requests are few, and delivery recovers.

`make soak-outage`, or `python -m tests.soak.outage SECONDS`. The tap writes without a pause to the
target's process, while the local Import API answers 503 for SECONDS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from target_stitch_import.local import ImportApi
from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET

RECOVERED_WITHIN_SECONDS = 60
MOST_RESIDENT_BYTES = 160_000_000
MOST_REQUESTS_A_MINUTE = 30
MOST_REQUESTS_AT_FIRST = 40
"""Ten for each of four in flight: the first waits are short."""

ROWS_A_BLOCK = 1_000


class Tap(threading.Thread):
    """Writes records as fast as they are read, until `stopping` is set."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self.rows = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        """Write records, with a state after each block."""
        self._pipe.write(lines([schema()]))
        while not self.stopping.is_set():
            rows = range(self.rows, self.rows + ROWS_A_BLOCK)
            self._pipe.write(lines([record(row, name="x" * 500) for row in rows]))
            self.rows += ROWS_A_BLOCK
            self._pipe.write(lines([state(self.rows)]))
        self._pipe.close()


def resident_bytes(process_id: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def rows_loaded(api: ImportApi) -> int:
    """Return how many rows have arrived."""
    tables = "select count(*) from information_schema.tables where table_name = 'people'"
    if not api.query(tables)[0][0]:
        return 0
    return int(api.query("select count(*) from import_api.people")[0][0])


def log(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(seconds: float) -> int:
    """Run one outage; return 0 if everything was as expected."""
    with ImportApi(kept_bytes=0) as api, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        summary = Path(folder) / "summary.json"
        settings = {"token": "T1", "api_url": api.url, "summary_path": str(summary)}
        config.write_text(json.dumps(settings))
        with subprocess.Popen(
            [*TARGET, "--quiet", "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            if process.stdin is None or process.stdout is None:
                raise TypeError("there are pipes at both ends")
            tap = Tap(process.stdin)
            tap.start()
            while rows_loaded(api) == 0:
                time.sleep(0.1)
            api.set_faults([{"kind": "status", "status": 503, "times": "always"}])
            log(f"the service is unavailable for {seconds:.0f} s")
            peak, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                peak = max(peak, resident_bytes(process.pid))
                time.sleep(0.2)
            before, back = rows_loaded(api), time.monotonic()
            api.set_faults([])
            while rows_loaded(api) < before + 100_000:
                time.sleep(0.1)
            recovered = time.monotonic() - back
            tap.stopping.set()
            last = process.stdout.read().splitlines()[-1]
            status = process.wait()
        written = json.loads(summary.read_text())
        lost = tap.rows - rows_loaded(api)
        log(f"exit status {status}, {lost} rows lost, last state {last.decode()} of {tap.rows}")
        log(f"peak memory {peak / 1e6:.0f} MB, {written['retries']} retries")
        log(f"100,000 rows within {recovered:.1f} s of its return")
        good = (
            (status, lost, last) == (0, 0, b"%d" % tap.rows)
            and peak < MOST_RESIDENT_BYTES
            and written["retries"] < MOST_REQUESTS_AT_FIRST + MOST_REQUESTS_A_MINUTE * seconds / 60
            and recovered < RECOVERED_WITHIN_SECONDS
        )
        log("as expected" if good else "NOT as expected")
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0))
