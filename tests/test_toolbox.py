"""`stitch-import`: the commands that talk to an Import API."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.local import ImportApi
from tests.conftest import TOKEN, Outcome, Target, bodies, delivered, record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def tool(folder: Path, *arguments: str, **config: Any) -> Outcome:
    """Run `stitch-import`, its configuration in a file."""
    path = folder / "tool.json"
    path.write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "target_stitch_import.toolbox", *arguments, "-c", str(path)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    log = done.stderr.decode()
    assert "Traceback" not in log
    assert TOKEN not in log
    return Outcome(done.returncode, done.stdout.decode().splitlines(), log)


@pytest.fixture(scope="module")
def strict_api() -> Iterator[ImportApi]:
    with ImportApi(accounts=ACCOUNTS) as api:
        yield api


def test_status(api: ImportApi, tmp_path: Path) -> None:
    outcome = tool(tmp_path, "status", api_url=api.url)
    assert (outcome.status, '"status":"OK"' in outcome.states[0]) == (0, True)
    api.set_faults([{"kind": "down"}])
    outcome = tool(tmp_path, "status", api_url=api.url)
    assert (outcome.status, "is not well: 503" in outcome.log) == (69, True)
    outcome = tool(tmp_path, "status", api_url="http://127.0.0.1:9")
    assert (outcome.status, "no connection" in outcome.log) == (69, True)


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("good", 0, "good for this region"),
        ("bad", 77, "refused the token"),
        ("european", 77, "other region"),
        ("paused", 77, "paused or deleted"),
    ],
)
def test_check(strict_api: ImportApi, tmp_path: Path, token: str, status: int, words: str) -> None:
    outcome = tool(tmp_path, "check", api_url=strict_api.url, token=token)
    assert outcome.status == status
    assert words in outcome.log + "\n".join(outcome.states)
    assert strict_api.requests() == []


def test_saved_bodies_are_replayed_to_the_letter(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    path = tmp_path / "bodies.jsonl"
    messages = [
        schema(bookmark={"type": "string"}),
        *(record(number, message={"version": 3}) for number in range(25)),
        {"type": "ACTIVATE_VERSION", "stream": "people", "version": 3},
        state(1),
    ]
    assert target.run(messages, "-o", str(path), batch_size_rows=10).status == 0
    before = sorted(each["body"] for each in api.requests())
    api.reset()
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, outcome.states) == (0, ["26 messages delivered in 4 requests."])
    assert sorted(each["body"] for each in api.requests()) == before
    assert api.query("select count(*) from import_api.people") == [(25,)]


def test_repaired_dead_letters_are_replayed_under_their_sequence(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """A newer row that came meanwhile stays."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    bad = [record(1, name=5), record(2, name=6), '{"type":"RECORD","stream":"people","record":NaN}']
    assert target.run([schema(), record(0), *bad, state(1)], **settings).status == 0
    assert target.run([schema(), record(2, name="newer")]).status == 0
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert "Line 1 is not repaired: field `/name`: expected null or string" in outcome.log
    letters = path.read_text().splitlines()
    assert "record_text" in letters.pop()
    path.write_text("\n".join(letters).replace('"name": 5', '"name": "a"').replace(": 6", ': "b"'))
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, outcome.states) == (0, ["2 messages delivered in 1 requests."])
    rows = api.query("select id, name from import_api.people order by id")
    assert rows == [(0, None), (1, "a"), (2, "newer")]
    assert len(delivered(api)) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("junk\n", "Line 1 is neither a request body nor a dead letter"),
        ('{"table_name":"t"}\n', "Line 1 is neither"),
        ('\n{"sequence":1,"record":{}}\n', "Line 2 is neither"),
    ],
)
def test_a_file_that_cannot_be_replayed(
    api: ImportApi, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(text)
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, words in outcome.log) == (65, True)
    assert bodies(api) == []


def test_replay_says_where_to_go_on(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "status", "status": 403, "times": "always"}])
    path = tmp_path / "file.jsonl"
    message = {"action": "upsert", "sequence": 1, "data": {"id": 1}}
    body = {"table_name": "t", "schema": {"properties": {}}, "messages": [message]}
    path.write_text(json.dumps(body) + "\n")
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert outcome.status == 77
    assert "Line 1 of the file and those behind it may not have arrived" in outcome.log


def test_local_is_not_for_the_tool(tmp_path: Path) -> None:
    outcome = tool(tmp_path, "check", region="local")
    assert (outcome.status, "stitch-import serve" in outcome.log) == (78, True)
