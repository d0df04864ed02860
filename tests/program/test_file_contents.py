"""Existing files that a run is to write: it leaves them alone unless they are its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from target_stitch_import.errors import ConfigurationError
from target_stitch_import.file_contents import BODIES, DEAD_LETTERS, ENDS_BYTES, SUMMARY
from target_stitch_import.files import Files, FileUse
from tests.support.file_uses import (
    BY_PATH,
    MESSAGES,
    RUN,
    attempt,
    name_in_messages,
)
from tests.support.singer import record, schema, state
from tests.support.target import Target, delivered

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi


DEAD_LETTER_LINE = '{"stream":"s","line":1,"sequence":1,"request":{"table_name":"s"},"record":{}}\n'
BODY = '{"table_name":"s","schema":{},"key_names":[],"messages":[]}\n'
CONTENTS = {
    "dead letters": DEAD_LETTER_LINE.encode(),
    "bodies": BODY.encode(),
    "a summary": RUN.encode(),
    "a configuration": b'{"token": "t"}',
    "a tap's output": MESSAGES,
    "text": b"my notes\n",
    "an empty object": b"{}\n",
    "a list": b"[]",
    "a number": b"1\n",
    "bytes": bytes(range(256)),
    "a database of another kind": b"SQLite format 3\0" + bytes(84),
}
RIGHT = {"dead_letter_path": "dead letters", "--output-file": "bodies", "summary_path": "a summary"}


@pytest.mark.parametrize(
    ("role", "what"),
    [(role, what) for role in BY_PATH for what in CONTENTS if RIGHT.get(role) != what],
)
def test_a_file_with_another_content_is_left_alone(target: Target, role: str, what: str) -> None:
    (target.folder / "x.wal").write_bytes(CONTENTS[what])
    status, log = attempt(target, **{role: "x.wal"})
    assert (status, "the file exists and contains something other than" in log) == (78, True)
    assert name_in_messages(role) in log


def test_an_empty_file_is_not_a_database(target: Target) -> None:
    (target.folder / "x").write_bytes(b"")
    status, log = attempt(target, local_database="x")
    assert (status, "something other than a DuckDB database" in log) == (78, True)


def test_a_run_accepts_the_files_of_the_previous_run(target: Target, tmp_path: Path) -> None:
    """Also with the unusual lines of a BATCH, a long record or an odd name."""
    settings = {
        "on_invalid_record": "dead_letter",
        "dead_letter_path": "dead.jsonl",
        "summary_path": "summary.json",
        "region": "local",
        "api_url": None,
        "batch_root": ".",
    }
    (tmp_path / "batch.jsonl").write_text('{"id": "bad"}\n')
    batch = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"}}
    long = "x" * (2 * ENDS_BYTES)
    messages = [
        *(schema(), record(1, name=long), record(2, id=long), '{"type":"RECORD",'),
        *(batch | {"manifest": ["batch.jsonl"]}, state(long)),
    ]
    del messages[3]
    for _ in range(2):
        outcome = target.run(messages, "-o", "bodies.jsonl", **settings)
        assert outcome.status == 0, outcome.log
    with (tmp_path / "dead.jsonl").open("ab") as file:
        file.write(b'{"stream":"people","li')  # a run that was killed
    assert target.run(messages, "-o", "bodies.jsonl", **settings).status == 0
    assert len((tmp_path / "bodies.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "summary.json").read_text())["exit_status"] == 0
    with duckdb.connect(str(tmp_path / "stitch-import.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from import_api.people").fetchone() == (1,)


def test_a_dry_run_checks_and_creates_nothing(target: Target, tmp_path: Path) -> None:
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": "dead.jsonl"}
    before = set(tmp_path.iterdir())
    outcome = target.run(MESSAGES, "--dry-run", region="local", api_url=None, **settings)
    assert outcome.status == 0
    assert set(tmp_path.iterdir()) - before == {tmp_path / "config.json"}


def test_a_run_that_cannot_start_leaves_files_alone(target: Target) -> None:
    """Another process uses the database, which is found before the output file is truncated."""
    output = target.folder / "bodies.jsonl"
    output.write_text(BODY)
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": "dead.jsonl"}
    settings |= {"region": "local", "local_database": "w.duckdb"}
    with duckdb.connect(str(target.folder / "w.duckdb")):
        outcome = target.run(MESSAGES, "-o", str(output), api_url=None, **settings)
    assert (outcome.status, output.read_text()) == (69, BODY)
    assert not (target.folder / "dead.jsonl").exists()


@pytest.mark.parametrize("setting", ["dead_letter_path", "summary_path", "--output-file"])
def test_a_batch_does_not_read_what_the_run_writes(
    target: Target, api: ImportApi, tmp_path: Path, setting: str
) -> None:
    """It may lie in `batch_root`, and may not be named."""
    content = dict(zip(RIGHT, (DEAD_LETTER_LINE, BODY, RUN), strict=True))[setting]
    (tmp_path / "mine").write_text(content)
    (tmp_path / "link").hardlink_to(tmp_path / "mine")
    batch = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"}}
    messages = [schema(), record(1), batch | {"manifest": ["link"]}, state(1)]
    settings: dict[str, Any] = {"on_invalid_record": "dead_letter", "batch_root": str(tmp_path)}
    settings["dead_letter_path"] = "dead.jsonl"
    options = ["-o", "mine"] if setting == "--output-file" else []
    settings |= {} if options else {setting: "mine"}
    outcome = target.run(messages, *options, **settings)
    assert (outcome.status, outcome.states, delivered(api)) == (65, [], [{"id": 1}])
    assert f"{setting}` (`mine`): this run writes to it" in outcome.log


ENDS = [
    (DEAD_LETTERS, b"", True),
    (DEAD_LETTERS, b"\n \n", True),
    (DEAD_LETTERS, DEAD_LETTER_LINE.encode(), True),
    (DEAD_LETTERS, DEAD_LETTER_LINE.encode() + b'{"st', True),
    (DEAD_LETTERS, DEAD_LETTER_LINE.replace(":", " : ").encode(), True),
    (DEAD_LETTERS, b'{"sequence":1,"record":{},"request":{}}', True),
    (
        DEAD_LETTERS,
        b'{"record":{"id":"' + b"x" * 2 * ENDS_BYTES + b'"},"sequence":1,"request":1}',
        True,
    ),
    (DEAD_LETTERS, DEAD_LETTER_LINE.encode() + BODY.encode(), False),
    (DEAD_LETTERS, BODY.encode() + DEAD_LETTER_LINE.encode(), False),
    (DEAD_LETTERS, DEAD_LETTER_LINE.encode() + b"notes", False),
    (DEAD_LETTERS, b'{"sequence" 1}', False),
    (DEAD_LETTERS, b'{"sequence":1 "request":1}', False),
    (DEAD_LETTERS, b'{"id":"' + b"x" * 2 * ENDS_BYTES + b'"}', False),
    (DEAD_LETTERS, b"[" * 100_000, False),
    (DEAD_LETTERS, b'{"sequence":1,"request":' + b"[" * 50_000, True),
    (BODIES, b'{"table_name":"s","schema":{"a":"' + b"x" * ENDS_BYTES, True),
    (BODIES, b'{"schema":' + b"1" * 10_000, True),
    (SUMMARY, RUN.encode()[:20], True),
]


@pytest.mark.parametrize(("content", "text", "is_right"), ENDS)
def test_a_file_is_recognised_by_its_beginning_and_end(
    tmp_path: Path, content: Any, text: bytes, *, is_right: bool
) -> None:
    (tmp_path / "x").write_bytes(text)
    files = Files([FileUse("x", str(tmp_path / "x"), content)])
    if is_right:
        files.check()
        return
    with pytest.raises(ConfigurationError, match="contains something other than"):
        files.check()
