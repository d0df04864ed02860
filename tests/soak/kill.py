"""`kill -9` at random moments under a faulty Import API, until the whole input is delivered.

Sometimes the signal is SIGTERM or SIGHUP, which must end the run in order; sometimes responses are
not from an Import API, which must end it with 76.

`make soak-kill`, or `python -m tests.soak.kill KILLS [SEED]`. After every kill, the records that
the last complete state covers must have arrived, or be in the dead-letter file; at the end, all of
them.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from target_stitch_import.local import ImportApi
from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET

RECORDS = 6_000
BLOCK = 500
"""The records in one version of the stream `full`."""

STREAMS = ("usual", "usual", "usual", "keyless", "full", "rare")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
IN_ORDER = (signal.SIGTERM, signal.SIGHUP)
ENDS = {-signal.SIGKILL, *(128 + each for each in IN_ORDER), *(-each for each in IN_ORDER)}
"""Exit statuses after a kill; the last for a signal before the target's handlers are set."""
FOREIGN_STATUS = 76

SETTINGS: dict[str, Any] = {
    "token": "T1",
    "batch_size_rows": 40,
    "max_in_flight_requests": 3,
    "batch_delay_seconds": 0.1,
    "max_buffer_bytes": 100_000,  # so that the input is read as it is delivered
    "on_invalid_record": "dead_letter",
    "dead_letter_limit": 10_000,
    "request_timeout_seconds": 2,
}
PASSING_FAULTS: list[dict[str, Any]] = [
    {"kind": "down"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
    {"kind": "status", "status": 200, "body": {"status": "ERROR", "message": "x"}},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncate"},
    {"kind": "latency", "seconds": 3},  # more than a request has
]
FOREIGN: list[dict[str, Any]] = [
    {"kind": "status", "status": 200, "body": each}
    for each in ("<html>Log in</html>", ["OK"], {"error": "no"}, {"status": 1})
]
"""Responses that are not from an Import API, and acknowledge nothing."""


def stream(number: int) -> str:
    return STREAMS[number % len(STREAMS)] if number % 97 else "rare"


def is_bad(number: int) -> bool:
    """Return whether the target sets a record aside: some of the stream `usual`."""
    return number % 211 == 0 and stream(number) == "usual"


def tap(first: int) -> bytes:
    """Return the output of a tap that continues at `first`, with a state after 30 records."""
    messages: list[Any] = [schema(name) for name in ("usual", "full", "rare")]
    messages.append(schema("keyless", keys=()))
    for number in range(first, RECORDS):
        name = stream(number)
        members: dict[str, Any] = {"name": 5} if is_bad(number) else {"name": f"name {number}"}
        version = number // BLOCK + 1
        message = {"version": version} if name == "full" else {}
        messages.append(record(number, name, message=message, more="x" * 200, **members))
        if (number + 1) % BLOCK == 0:
            messages.append({"type": "ACTIVATE_VERSION", "stream": "full", "version": version})
        if (number + 1) % 30 == 0:
            messages.append(state({"next": number + 1}))
    return lines(messages)


def faults(moments: random.Random) -> list[dict[str, Any]]:
    """Return a fault list: slow responses, some of them failures."""
    chosen: list[dict[str, Any]] = [{"kind": "latency", "seconds": 0.01, "times": "always"}]
    for _ in range(moments.randrange(12)):
        chosen.append({"kind": "queue", "times": moments.randint(1, 10)})
        chosen.append(moments.choice(PASSING_FAULTS))
    if moments.random() < 0.2:
        chosen += [{"kind": "queue", "times": moments.randint(1, 50)}, moments.choice(FOREIGN)]
    return chosen


@dataclass
class Life:
    """The delivery of one input into one warehouse, by a run after each kill."""

    folder: Path
    api: ImportApi
    moments: random.Random
    next: int = 0
    """The next record, by the last complete state line."""
    runs: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    """The faults of the last run."""
    accepted: set[int] = field(default_factory=set)
    _requests_seen: int = 0

    def run(self, *, kill: bool) -> bool:
        """Run the target once; return whether it delivered all of the input."""
        self.runs += 1
        self.faults = faults(self.moments)
        self.api.set_faults(self.faults)
        config = self.folder / "config.json"
        dead_letters = {"dead_letter_path": str(self.folder / "dead.jsonl")}
        config.write_text(json.dumps(SETTINGS | dead_letters | {"api_url": self.api.url}))
        messages = self.folder / "messages"
        messages.write_bytes(tap(self.next))
        with (
            messages.open("rb") as source,
            (self.folder / "states").open("wb") as states,
            (self.folder / "log").open("wb") as log,
            subprocess.Popen(
                [*TARGET, "--config", config], stdin=source, stdout=states, stderr=log
            ) as target,
        ):
            if kill:
                self._wait_for_some_moment(target)
                target.send_signal(self.moments.choice(SIGNALS))
        said = (self.folder / "log").read_text()
        foreign = any(each in self.faults for each in FOREIGN)
        ends = {0, *ENDS, FOREIGN_STATUS} if foreign else {0, *ENDS}
        assert target.returncode in ends, f"it ended with {target.returncode}: {said}"
        assert "Traceback" not in said, said
        assert "Internal error" not in said, said
        self._go_on()
        self._check()
        return target.returncode == 0

    def _wait_for_some_moment(self, target: subprocess.Popen[bytes]) -> None:
        """Wait for a random time, sometimes after a state."""
        if self.moments.random() < 0.3:
            with suppress(subprocess.TimeoutExpired):
                target.wait(self.moments.uniform(0, 1.5))
            return
        states = self.folder / "states"
        size = self.moments.choice([1, 1, 60, 200])
        while target.poll() is None and states.stat().st_size < size:
            time.sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            target.wait(self.moments.uniform(0, 0.3))

    def _go_on(self) -> None:
        *whole, _ = (self.folder / "states").read_text().split("\n")
        for each in whole:
            said = json.loads(each)["next"]
            assert said > self.next, f"states out of order: {said} after {self.next}"
            self.next = said

    def _check(self) -> None:
        """Check that no record that the last state covers is missing."""
        missing = set(range(self.next)) - self.arrived()
        assert not missing, f"a state came early: {self.next} without {sorted(missing)[:10]}"

    def arrived(self) -> set[int]:
        """Return the numbers of all records that are accepted or set aside."""
        requests = self.api.requests()
        for each in requests[self._requests_seen :]:
            if each["body"]:
                messages = json.loads(each["body"])["messages"]
                self.accepted |= {each["data"]["id"] for each in messages if "data" in each}
        self._requests_seen = len(requests)
        return self.accepted | self._set_aside()

    def _set_aside(self) -> set[int]:
        path = self.folder / "dead.jsonl"
        numbers = set()
        for line in path.read_text().splitlines() if path.exists() else ():
            with suppress(ValueError):  # a line that a kill cut off
                dead_letter = json.loads(line)
                if "record" in dead_letter:  # otherwise it is an activation
                    numbers.add(dead_letter["record"]["id"])
        return numbers

    def check_end(self) -> None:
        """Check that everything has arrived, and the rows of the tables."""
        assert self.next == RECORDS, "the last state is missing"
        assert self.arrived() == set(range(RECORDS)), "records are lost"
        assert self._set_aside() == set(filter(is_bad, range(RECORDS)))
        numbers = range(RECORDS)
        expected = {
            "usual": [n for n in numbers if stream(n) == "usual" and not is_bad(n)],
            "rare": [n for n in numbers if stream(n) == "rare"],
            "full": [n for n in numbers if stream(n) == "full" and n >= RECORDS - BLOCK],
            "keyless": [n for n in numbers if stream(n) == "keyless"],
        }
        for table, wanted in expected.items():
            rows = self.api.query(f"select id from import_api.{table} order by id")  # noqa: S608 - our own names
            found = [row[0] for row in rows]
            if table == "keyless":
                found = sorted(set(found))
            assert found == wanted, f"table {table} is not what was read"


def main(kills: int, seed: int) -> int:
    """Kill `kills` runs, with as many inputs as needed; return 0."""
    started = time.monotonic()
    moments = random.Random(seed)  # noqa: S311 - no secret
    done = lives = runs = 0
    while done < kills:
        with tempfile.TemporaryDirectory() as name, ImportApi(kept_bytes=None) as api:
            life = Life(Path(name), api, moments)
            while not life.run(kill=done < kills):
                done += 1
                if done % 25 == 0:
                    log(f"{done} kills, {time.monotonic() - started:.0f} s")
            life.check_end()
            lives += 1
            runs += life.runs
    seconds = time.monotonic() - started
    log(f"{done} kills in {runs} runs of {lives} inputs, {seconds:.0f} s: 0 lost, 0 early")
    return 0


def log(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    sys.exit(main(*(given + [300, 1][len(given) :])))
