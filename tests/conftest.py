"""What all tests share: a running local Import API, and the target as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from target_stitch_import.local import ImportApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "at_a-token-that-must-show-up-nowhere"  # noqa: S105 - a test's own
# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")
# A shell that runs the tests in the background has them ignore SIGINT, and so all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
TARGET = [sys.executable, "-m", "target_stitch_import"]

_LIMITED = """
import os, resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Outcome:
    """How a run of the target ended."""

    status: int
    states: list[str]
    log: str


@dataclass
class Target:
    """Runs `target-stitch-import` with a configuration that points to the test's Import API.

    No file of a run gets larger than `max_file_bytes`, as on a disk that is full.
    """

    folder: Path
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    max_file_bytes: int | None = None

    def command(self, *options: str, **settings: Any) -> list[str]:
        """Return the command line, its configuration written to a file."""
        path = self.folder / "config.json"
        path.write_text(json.dumps(self.config | settings))
        return [*TARGET, "--config", str(path), *options]

    def run(self, messages: bytes | list[Any], *options: str, **settings: Any) -> Outcome:
        """Run over `messages`: bytes as they are, or values, one a line."""
        command = self.command(*options, **settings)
        if self.max_file_bytes is not None:
            command = [sys.executable, "-c", _LIMITED, str(self.max_file_bytes), *command]
        done = subprocess.run(
            command,
            input=messages if isinstance(messages, bytes) else lines(messages),
            capture_output=True,
            check=False,
            timeout=60,
            cwd=self.folder,
        )
        log = done.stderr.decode()
        assert "Traceback" not in log
        assert "Internal error" not in log
        assert TOKEN not in log
        return Outcome(done.returncode, done.stdout.decode().splitlines(), log)


def lines(messages: list[Any]) -> bytes:
    """Return messages as a tap writes them; text goes in as it is."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in messages]
    return "".join(f"{text}\n" for text in texts).encode()


def schema(stream: str = "people", keys: tuple[str, ...] = ("id",), **properties: Any) -> Any:
    """Return a SCHEMA with an integer `id` and a nullable `name`, and what else is given."""
    columns = {"id": {"type": "integer"}, "name": {"type": ["null", "string"]}} | properties
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": columns},
        "key_properties": list(keys),
    }


def record(number: int, stream: str = "people", **members: Any) -> Any:
    """Return a RECORD with `id` number; `version` and the like go into `message`."""
    message = members.pop("message", {})
    return {"type": "RECORD", "stream": stream, "record": {"id": number} | members} | message


def state(value: Any) -> Any:
    """Return a STATE."""
    return {"type": "STATE", "value": value}


@pytest.fixture(scope="session")
def _running_api() -> Iterator[ImportApi]:
    with ImportApi(kept_bytes=None) as api:
        yield api


@pytest.fixture
def api(_running_api: ImportApi) -> ImportApi:
    """A local Import API without a past."""
    _running_api.reset()
    return _running_api


@pytest.fixture
def target(api: ImportApi, tmp_path: Path) -> Target:
    """The target, set to deliver to `api`."""
    return Target(tmp_path, {"token": TOKEN, "api_url": api.url, "max_retry_seconds": 20})


def bodies(api: ImportApi) -> list[Any]:
    """Return the accepted batch bodies, parsed, in the order of arrival.

    A fault that answers 2xx in the service's place leaves a request without a body: not accepted.
    """
    return [json.loads(each["body"]) for each in api.requests() if each["body"]]


def delivered(api: ImportApi, table: str = "people") -> list[Any]:
    """Return the data of all accepted messages of a table, in the order of their sequences."""
    messages = [
        message
        for body in bodies(api)
        if body["table_name"] == table
        for message in body["messages"]
        if "data" in message
    ]
    return [each["data"] for each in sorted(messages, key=lambda each: each["sequence"])]
