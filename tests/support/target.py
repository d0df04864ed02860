"""Runs the target as a process, and reads what it delivered."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.singer import lines

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

TOKEN = "at_a-token-that-must-show-up-nowhere"  # noqa: S105 - a test's own
TARGET = [sys.executable, "-m", "target_stitch_import"]
_NO_LIMIT = resource.RLIM_INFINITY
_LIMITED = """
import os, resource, sys
LIMITS = (resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_NOFILE)
for limit, size in zip(LIMITS, map(int, sys.argv[1:4])):
    if size != resource.RLIM_INFINITY:
        resource.setrlimit(limit, (size, size))
os.execv(sys.argv[4], sys.argv[4:])
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

    No file of a run gets larger than `max_file_bytes`, as on a full disk; no process has more
    memory than `max_memory_bytes`, and no more than `max_open_files` are open at once.
    """

    folder: Path
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    max_file_bytes: int = _NO_LIMIT
    max_memory_bytes: int = _NO_LIMIT
    max_open_files: int = _NO_LIMIT

    def command(self, *options: str, **settings: Any) -> list[str]:
        """Write the configuration to a file, and return the command line."""
        path = self.folder / "config.json"
        path.write_text(json.dumps(self.config | settings))
        return [*TARGET, "--config", str(path), *options]

    def run(self, messages: bytes | list[Any], *options: str, **settings: Any) -> Outcome:
        """Run the target on `messages`: raw bytes, or a list with a message per line."""
        command = self.command(*options, **settings)
        limits = self.max_file_bytes, self.max_memory_bytes, self.max_open_files
        if set(limits) != {_NO_LIMIT}:
            command = [sys.executable, "-c", _LIMITED, *map(str, limits), *command]
        done = subprocess.run(
            command,
            input=messages if isinstance(messages, bytes) else lines(messages),
            capture_output=True,
            check=False,
            timeout=60,
            cwd=self.folder,
            env=os.environ | self.environment,
        )
        log = done.stderr.decode()
        assert "Traceback" not in log
        assert "Internal error" not in log
        assert TOKEN not in log
        return Outcome(done.returncode, done.stdout.decode().splitlines(), log)


def bodies(api: ImportApi) -> list[Any]:
    """Return the accepted batch bodies, parsed, in the order of arrival.

    A request that a fault answered with 2xx has no body here: it was not accepted.
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
