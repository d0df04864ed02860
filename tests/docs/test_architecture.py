"""docs/architecture.md agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import module_tables, purity

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "target_stitch_import"
PAGE = module_tables.PAGE.read_text()


def section(title: str) -> str:
    """Return the text below a heading of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


CHANGES = dict(
    re.findall(r"^\| (?!…|-)(.+?) \| (.*) \|$", section("Where do I change …"), re.MULTILINE)
)
"""What one may want to change, and the rest of its row."""


def test_the_tables_of_modules_are_current() -> None:
    assert module_tables.current() == PAGE, "run `python -m tools.module_tables`"
    tables = re.findall(r"<!-- modules: (\S+) -->", PAGE)
    assert sorted(tables) == sorted(module_tables.folders())


@pytest.mark.parametrize("change", CHANGES)
def test_files_in_the_change_table_exist(change: str) -> None:
    """Files of the package in the second column; pages and programs in the third."""
    files, then = CHANGES[change].split(" |")
    named = re.findall(r"`([\w/]+\.\w+)`", files)
    assert named
    assert not [name for name in named if not (PACKAGE / name).is_file()]
    others = re.findall(r"`([\w/-]+\.\w+)`", then)
    assert not [
        name for name in others if not (ROOT / name).is_file() and not (PACKAGE / name).is_file()
    ]
    programs = re.findall(r"`python -m tools\.(\w+)`", then)
    assert not [name for name in programs if not (ROOT / "tools" / f"{name}.py").is_file()]


def test_the_change_table_has_at_least_20_rows() -> None:
    assert len(CHANGES) >= 20


def test_every_package_has_its_paragraph() -> None:
    text = section("Packages")
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(re.findall(r"^- \*\*`(\w+)/`\*\*", text, re.MULTILINE)) == packages
    top = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert top <= set(re.findall(r"`(\w+)`", text))


def test_the_page_lists_the_pure_packages() -> None:
    [names] = re.findall(r"^(`singer`.*?) are pure", section("Packages"), re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", names)) == purity.PURE


def test_paths_and_tests_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`(tests/[\w/]+(?:\.py)?)`", PAGE))
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
