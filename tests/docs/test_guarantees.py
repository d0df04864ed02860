"""Each promise in the documentation names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/guarantees.md", "SECURITY.md")


def promises(page: str) -> list[str]:
    """Return the promises of a page, each with the tests that it names."""
    promised = (ROOT / page).read_text().partition("## What is promised")[2].partition("\n## ")[0]
    return [each for each in promised.split("\n\n") if each.startswith("**")]


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_a_promise_names_exist(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / page).read_text())
    assert named
    assert not [
        f"{file}::{name}"
        for file, name in named
        if f"\ndef {name}(" not in (ROOT / file).read_text()
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_promise_names_its_tests_with_their_files(page: str) -> None:
    found = promises(page)
    assert len(found) > 8
    assert not [each for each in found if "\n→ `tests/" not in each]
    assert not re.search(r"`test_\w+`", (ROOT / page).read_text())
