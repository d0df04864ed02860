"""The files of `stitch-import`: no output overwrites another file of the command."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.file_uses import RUN, snapshot
from tests.support.target import Target, delivered
from tests.support.toolbox import TOOL, tool

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

REPORTS = [
    ("report shared --output shared", RUN, "are the same file"),
    ("report summary.json --output shared", RUN, "something other than the page of a run"),
    ("report summary.json --output missing/x", "", "No such file or directory"),
    ("report summary.json --output fifo", "", "it is a FIFO"),
]


@pytest.mark.parametrize(("command", "content", "words"), REPORTS)
def test_report_overwrites_no_other_file(
    tmp_path: Path, command: str, content: str, words: str
) -> None:
    (tmp_path / "summary.json").write_text(RUN)
    (tmp_path / "shared").write_text(content)
    os.mkfifo(tmp_path / "fifo")
    before = snapshot(tmp_path)
    done = subprocess.run(
        [*TOOL, *command.split()], cwd=tmp_path, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, words in done.stderr.decode()) == (78, True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("redirection", [">>", "2>>"])
@pytest.mark.parametrize(
    "command",
    [
        *(f"{name} --table t --key id shared" for name in ("push", "validate")),
        *("replay shared", "report shared", "tables --database shared", "serve --database shared"),
        *("check -c shared", "token list -c shared 1"),
    ],
)
def test_output_must_not_go_into_a_file_that_is_read(
    tmp_path: Path, command: str, redirection: str
) -> None:
    (tmp_path / "shared").write_text('{"token":"t","client_id":1,"api_url":"http://127.0.0.1:9"}\n')
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(TOOL)} {command} {redirection} shared"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "STITCH_CONNECT_TOKEN": "t"},
    )
    errors = (tmp_path / "shared").read_text() + done.stderr.decode()
    assert (done.returncode, "are the same file" in errors) == (78, True)


def test_dead_letters_are_replayed_while_the_configuration_names_them(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """A replay writes no dead letters, so the file is only read."""
    path = tmp_path / "dead.jsonl"
    path.write_text(
        '{"sequence":1,"record":{"id":1},"request":'
        '{"table_name":"people","schema":{"properties":{"id":{}}},"key_names":["id"]}}\n'
    )
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = tool(tmp_path, "replay", str(path), **(target.config | settings))
    assert (outcome.status, delivered(api)) == (0, [{"id": 1}])
