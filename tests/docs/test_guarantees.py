"""Each promise in the documentation names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
GUARANTEES = (TESTS.parent / "docs" / "guarantees.md").read_text()


def test_the_tests_that_enforce_a_guarantee_exist() -> None:
    defined = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", GUARANTEES))
    assert named
    assert named - defined == set()


def test_every_promise_names_its_tests() -> None:
    promised = GUARANTEES.partition("## What is promised")[2].partition("\n## ")[0]
    promises = [each for each in promised.split("\n\n") if each.startswith("**")]
    assert len(promises) > 10
    assert not [each for each in promises if "→ `test_" not in each]


def test_the_commands_that_it_names_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (TESTS.parent / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([\w-]+)`", GUARANTEES)) <= set(targets)
