"""The documentation is true: tables are current, links lead somewhere, modules are described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from target_stitch_import import errors

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    assert not [
        link for link in links if not link.startswith("http") and not (page.parent / link).exists()
    ]


def test_every_module_is_in_the_architecture() -> None:
    described = (ROOT / "docs" / "architecture.md").read_text()
    modules = [path.stem for path in (ROOT / "target_stitch_import").glob("[a-z]*.py")]
    assert len(modules) > 20
    assert not [name for name in modules if f"| `{name}` |" not in described]
    named = re.findall(r"^\| `(\w+)` \|", described, re.MULTILINE)
    assert not [name for name in named if name not in modules]


def test_every_exit_status_is_in_the_readme() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    statuses = {each.exit_status for each in kinds if issubclass(each, errors.TargetError)}
    readme = README.read_text()
    assert not [status for status in statuses - {70} if f"\n| {status} |" not in readme]
