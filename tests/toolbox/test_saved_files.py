"""`stitch-import replay` of a folder: many files, one open at a time, each named in messages."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.target import TOKEN, bodies, delivered
from tests.support.toolbox import TOOL, dead_letter, tool

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi


def folder_of(path: Path, *texts: str) -> Path:
    """Write a folder with a file for each of `texts`; return its path."""
    path.mkdir()
    for number, text in enumerate(texts):
        (path / f"part-{number:05}.jsonl").write_text(text)
    return path


def run(command: str, api: ImportApi) -> subprocess.CompletedProcess[str]:
    """Run a shell command in which REPLAY stands for `stitch-import replay` and its options."""
    line = command.replace("REPLAY", f"{' '.join(TOOL)} replay --api-url {api.url} -c ENV")
    environment = os.environ | {"TARGET_STITCH_IMPORT_TOKEN": TOKEN}
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, check=False
    )


def test_more_files_than_may_be_open_are_replayed(api: ImportApi, tmp_path: Path) -> None:
    texts = [json.dumps(dead_letter(number)) for number in range(200)]
    folder = folder_of(tmp_path / "dead", *texts)
    done = run(f"ulimit -n 100; REPLAY {folder}", api)
    assert (done.returncode, done.stdout) == (0, "200 messages delivered in 1 request.\n")
    assert sorted(each["id"] for each in delivered(api, "t")) == list(range(200))


def test_a_pipe_is_replayed(api: ImportApi, tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_text(json.dumps(dead_letter(1)))
    done = run(f"REPLAY <(cat {path})", api)
    assert (done.returncode, done.stdout) == (0, "1 message delivered in 1 request.\n")


@pytest.mark.parametrize(
    ("limit", "words"),
    [(1, "File too large. Raise"), (0, "No usable temporary directory found in")],
)
def test_a_pipe_that_cannot_be_copied_is_reported(api: ImportApi, limit: int, words: str) -> None:
    done = run(f"ulimit -f {limit}; REPLAY <(head -c 100000 /dev/zero)", api)
    assert (done.returncode, "The temporary copy of /dev/fd/" in done.stderr) == (74, True)
    assert f" cannot be written: {words}" in done.stderr


def test_the_configuration_is_read_once(api: ImportApi, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "dead", *[json.dumps(dead_letter(1))] * 3)
    config: dict[str, Any] = {"api_url": api.url, "token": TOKEN, "nothing": 1}
    outcome = tool(tmp_path, "replay", str(folder), **config)
    assert (outcome.status, outcome.log.count("Unknown setting")) == (0, 1)


GOOD = json.dumps(dead_letter(1)) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\njunk\n", "Line 2 of `PATH` is neither a request body nor a dead letter"),
        (json.dumps(dead_letter(2) | {"record": {"at": 5}}), "Line 1 of `PATH` is not repaired: "),
        (json.dumps(dead_letter(2) | {"mapped": False}), "Line 1 of `PATH` has a record as the"),
        (json.dumps(dead_letter(2, schema=[])), "Line 1 of `PATH` has a schema that cannot be "),
    ],
)
def test_messages_name_the_file(api: ImportApi, tmp_path: Path, text: str, words: str) -> None:
    """The invalid one, and the one from which on files must be sent again."""
    folder = folder_of(tmp_path / "dead", GOOD, text)
    outcome = tool(tmp_path, "replay", str(folder), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert words.replace("PATH", f"{folder}/part-00001.jsonl") in outcome.log
    assert (
        f"Line 1 of `{folder}/part-00000.jsonl` and later lines, including those of later files, "
        "may not have been delivered."
    ) in outcome.log
    assert bodies(api) == []


def test_a_refusal_of_the_service_names_the_file(api: ImportApi, tmp_path: Path) -> None:
    answer = {"kind": "status", "status": 400, "body": {"error": "no"}, "times": "always"}
    api.set_faults([answer])
    folder = folder_of(tmp_path / "dead", "", GOOD)
    outcome = tool(tmp_path, "replay", str(folder), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    words = f"Line 1 of `{folder}/part-00001.jsonl`: the Import API refuses a record of stream `t`"
    assert words in outcome.log


def test_an_unreadable_file_of_a_folder_is_reported(api: ImportApi, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "dead", GOOD)
    (folder / "part-00001.jsonl").mkdir()
    outcome = tool(tmp_path, "replay", str(folder), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert f"{folder}/part-00001.jsonl cannot be read: Is a directory." in outcome.log
    assert bodies(api) == []
