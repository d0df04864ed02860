"""Runs `stitch-import` for tests."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from target_stitch_import import toolbox
from tests.support.target import TOKEN, Outcome

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNTS = {
    "region": "us",
    "clients": [
        {
            "client_id": 7723,
            "connect_tokens": [],
            "sources": [
                {
                    "id": 1,
                    "display_name": "Import API",
                    "created_at": "2020-01-02T15:49:27Z",
                    "paused_at": None,
                    "tokens": [{"id": 1, "token": "good", "created_at": "2020-01-02T15:49:27Z"}],
                },
                {
                    "id": 2,
                    "display_name": "Paused",
                    "created_at": "2020-01-02T15:49:27Z",
                    "paused_at": "2020-01-02T15:49:27Z",
                    "tokens": [{"id": 2, "token": "paused", "created_at": "2020-01-02T15:49:27Z"}],
                },
            ],
        }
    ],
    "other_region_tokens": ["european"],
}

TOOL = [sys.executable, "-m", "target_stitch_import.toolbox"]


def tool(
    folder: Path,
    *arguments: str,
    stdin: bytes | str = b"",
    environment: dict[str, str] | None = None,
    **config: Any,
) -> Outcome:
    """Run `stitch-import` with `config` in a file, in this process, which is faster."""
    path = folder / "tool.json"
    path.write_text(json.dumps(config))
    arguments = (*arguments, "-c", str(path)) if config else arguments
    done = CliRunner().invoke(toolbox.main, arguments, input=stdin, env=environment)
    assert "Traceback" not in done.stderr
    assert "Internal error" not in done.stderr
    assert TOKEN not in done.stderr
    return Outcome(done.exit_code, done.stdout.splitlines(), done.stderr)


def document(outcome: Outcome) -> Any:
    """Return the JSON document on a command's stdout."""
    return json.loads("\n".join(outcome.states))


def dead_letter(number: int, **given: Any) -> dict[str, Any]:
    """Return a line of a dead-letter file; `given` are members of its request."""
    columns = {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}
    request = {"table_name": "t", "schema": {"properties": columns}, "key_names": ["id"]} | given
    record = {"id": number, "at": "2024-01-31T23:59:59"}
    return {"sequence": number, "request": request, "record": record}


def activation(version: int, sequence: int) -> dict[str, Any]:
    """Return the line of an activation that was set aside."""
    request = dead_letter(0)["request"] | {"table_version": version}
    return {
        "sequence": sequence,
        "version": version,
        "request": request,
        "action": "activate_version",
    }
