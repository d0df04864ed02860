"""`stitch-import replay` of several files: the rules for versions apply across all files."""

from __future__ import annotations

import json
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.target import TOKEN, bodies
from tests.support.toolbox import activation, dead_letter, tool

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi


def body(version: int, sequence: int) -> dict[str, Any]:
    """Return a saved body that activates a version."""
    message = {"action": "activate_version", "sequence": sequence}
    return {**dead_letter(0)["request"], "table_version": version, "messages": [message]}


def loaded(version: int, sequence: int) -> dict[str, Any]:
    """Return the line of a version that was loaded later."""
    return activation(version, sequence) | {"action": "activated"}


def saved(folder: Path, *files: list[dict[str, Any]]) -> str:
    """Write a folder of files, which are replayed in this order; return its path."""
    folder.mkdir(exist_ok=True)
    for number, lines in enumerate(files):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"part-{number}.jsonl").write_text(text)
    return str(folder)


def sent(api: ImportApi) -> list[tuple[int, str]]:
    """Return version and first action of each accepted request."""
    return [(each["table_version"], each["messages"][0]["action"]) for each in bodies(api)]


FIRST = [dead_letter(1, table_version=1), activation(1, 2)]
SECOND = [dead_letter(3, table_version=2), activation(2, 4)]


@pytest.mark.parametrize("files", [[FIRST, SECOND], [SECOND, FIRST]])
def test_only_the_newest_activation_of_all_files_is_replayed_at_the_end(
    api: ImportApi, tmp_path: Path, files: list[list[dict[str, Any]]]
) -> None:
    folder = saved(tmp_path / "dead", *files)
    outcome = tool(tmp_path, "replay", folder, api_url=api.url, token=TOKEN)
    number = files.index(FIRST)
    assert (outcome.status, outcome.states) == (0, ["3 messages delivered in 3 requests."])
    assert (
        f"Line 2 of `{folder}/part-{number}.jsonl`: version 1 of table `t` is not activated, "
        "because there are lines of a newer one."
    ) in outcome.log
    assert sorted(sent(api)[:2]) == [(1, "upsert"), (2, "upsert")]
    assert sent(api)[2:] == [(2, "activate_version")]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_version_loaded_later_counts_for_all_files(
    api: ImportApi, tmp_path: Path, order: tuple[int, ...]
) -> None:
    files = [FIRST, [loaded(2, 5)], [dead_letter(6, table_version=2)]]
    folder = saved(tmp_path / "dead", *(files[each] for each in order))
    outcome = tool(tmp_path, "replay", folder, "--json", api_url=api.url, token=TOKEN)
    assert (outcome.status, json.loads("".join(outcome.states))["replaced"]) == (0, 2)
    assert outcome.log.count("version 1 of table `t` is not sent, because version 2") == 1
    assert sent(api) == [(2, "upsert")]


@pytest.mark.parametrize(
    ("files", "activated"),
    [
        ([[body(2, 1)], [body(1, 2)]], [2]),
        ([[body(1, 1)], [body(2, 2)]], [1, 2]),
        ([[body(2, 1)], [activation(1, 2)]], [2]),
        ([[activation(2, 1)], [body(1, 2)]], [2]),
        ([[dead_letter(1, table_version=2)], [body(1, 2)]], []),
        ([[body(1, 1)], [loaded(2, 2)]], []),
    ],
)
def test_no_saved_activation_follows_a_newer_version(
    api: ImportApi, tmp_path: Path, files: list[list[dict[str, Any]]], activated: list[int]
) -> None:
    folder = saved(tmp_path / "saved", *files)
    outcome = tool(tmp_path, "replay", folder, api_url=api.url, token=TOKEN)
    assert outcome.status == 0
    assert [version for version, action in sent(api) if action != "upsert"] == activated
