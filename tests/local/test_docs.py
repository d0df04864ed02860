"""The documentation of the local Import API: its examples run, and it is complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from target_stitch_import import toolbox
from target_stitch_import.local.api.accounts import read_accounts
from target_stitch_import.local.api.faults import FaultList, Kind
from target_stitch_import.local.warehouse.profiles import profiles

TEXT = (Path(__file__).parents[2] / "docs" / "local-import-api.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_for_tests_runs() -> None:
    names: dict[str, Any] = {}
    [_, code] = blocks("python")
    exec(compile(code, "docs", "exec"), names)  # noqa: S102 - our own documentation
    names["test_my_client"]()


def test_the_documented_accounts_file_is_valid(tmp_path: Path) -> None:
    [text] = blocks("json")
    (tmp_path / "accounts.json").write_text(text)
    assert read_accounts(tmp_path / "accounts.json").clients[0].client_id == 7723


@pytest.mark.parametrize(
    "option", [name for each in toolbox.main.commands["serve"].params for name in each.opts]
)
def test_every_option_is_documented(option: str) -> None:
    assert f"`{option}`" in TEXT


@pytest.mark.parametrize("name", sorted(profiles()))
def test_every_destination_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_fault_has_an_example_that_works(kind: str) -> None:
    import json  # noqa: PLC0415 - here alone

    [example] = re.findall(rf'`({{"kind": "{kind}".*?}})`', TEXT)
    FaultList().put([json.loads(example.replace("…}", '"x"}').replace('"…"', '"x"'))])


@pytest.mark.parametrize("picture", re.findall(r"!\[.*?\]\((.*?)\)", TEXT))
def test_pictures_are_there(picture: str) -> None:
    assert (Path(__file__).parents[2] / "docs" / picture).stat().st_size > 10_000
