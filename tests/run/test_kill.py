"""After `kill -9`, a run that continues from the last state loses nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import duckdb
import pytest
import requests

from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDS = 10_000
KILLS = 6
SETTINGS = {
    "token": "T1",
    "batch_size_rows": 50,
    "max_in_flight_requests": 2,
    "batch_delay_seconds": 0.1,
    "max_buffer_bytes": 100_000,  # so that the input is read as it is delivered
}
SERVE = [sys.executable, "-m", "target_stitch_import.toolbox", "serve", "--port", "0"]


def stream(number: int) -> str:
    """Return the stream of a record: one in ten belongs to a stream whose batches fill slowly."""
    return "rare" if number % 10 == 0 else "usual"


def tap(first: int) -> bytes:
    """Return the output of a tap that continues at `first`, with a state after every 40 records."""
    messages: list[Any] = [schema("usual"), schema("rare")]
    for number in range(first, RECORDS):
        messages.append(record(number, stream(number), name=f"name {number}"))
        if (number + 1) % 40 == 0:
            messages.append(state({"next": number + 1}))
    return lines(messages)


@contextmanager
def serving(database: Path) -> Iterator[str]:
    """Run a slow local Import API, and check that it exits without an error when stopped."""
    with subprocess.Popen(
        [*SERVE, "--database", database], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout
            url = server.stdout.readline().removeprefix("listening on ").strip()
            slowly = [{"kind": "latency", "seconds": 0.03, "times": "always"}]
            requests.put(f"{url}/_local/faults", json=slowly, timeout=30).raise_for_status()
            yield url
        finally:
            server.terminate()
    assert server.returncode == 0


@dataclass
class Runs:
    """Runs of the target, each of which continues where the previous one ended."""

    folder: Path
    url: str
    next: int = 0
    """The content of the last complete state line."""

    def run(self, states_awaited: int | None, seconds_more: float) -> bool:
        """Run the target, kill it some time after so many states; return whether it was killed.

        If `states_awaited` is None, it is not killed.
        """
        config = self.folder / "config.json"
        config.write_text(json.dumps(SETTINGS | {"api_url": self.url}))
        messages = self.folder / "messages"
        messages.write_bytes(tap(self.next))
        with (
            messages.open("rb") as source,
            subprocess.Popen(
                [*TARGET, "--config", config], stdin=source, stdout=subprocess.PIPE
            ) as target,
        ):
            assert target.stdout
            written = b""
            if states_awaited is not None:
                written = b"".join(target.stdout.readline() for _ in range(states_awaited))
                with suppress(subprocess.TimeoutExpired):
                    target.wait(seconds_more)
                target.send_signal(signal.SIGKILL)
            self._go_on_from(written, target.stdout)
        assert target.returncode in {0, -signal.SIGKILL}
        return target.returncode != 0

    def _go_on_from(self, written: bytes, rest: IO[bytes]) -> None:
        *whole, _ = (written + rest.read()).split(b"\n")
        for each in whole:
            said = json.loads(each)["next"]
            assert said > self.next
            self.next = said

    def accepted(self) -> set[int]:
        """Return the numbers of all records that the service has accepted."""
        kept = requests.get(f"{self.url}/_local/requests", timeout=30).json()
        batches = [json.loads(each["body"]) for each in kept if each["method"] == "POST"]
        return {message["data"]["id"] for batch in batches for message in batch["messages"]}


@pytest.mark.skipif(os.name != "posix", reason="There is no SIGKILL.")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_target_loses_nothing(tmp_path: Path, seed: int) -> None:
    """At any moment, records before the last state have arrived; the others are sent again."""
    moments = random.Random(seed)  # noqa: S311 - no secret
    database = tmp_path / "loaded.duckdb"
    with serving(database) as url:
        runs = Runs(tmp_path, url)
        for _ in range(KILLS):
            before = runs.next
            assert runs.run(moments.randrange(6), moments.uniform(0, 0.1))
            assert before <= runs.next < RECORDS
            assert runs.accepted() >= set(range(runs.next))
        assert runs.next > 0
        assert not runs.run(None, 0)
        assert runs.next == RECORDS
        assert runs.accepted() == set(range(RECORDS))
    with duckdb.connect(str(database), read_only=True) as loaded:
        for name in ("usual", "rare"):
            rows = loaded.execute(f"select id, name from import_api.{name} order by id").fetchall()  # noqa: S608 - our own names
            wanted = [number for number in range(RECORDS) if stream(number) == name]
            assert rows == [(number, f"name {number}") for number in wanted]
