"""All pages have the same, current instructions for installing the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tools import installation

if TYPE_CHECKING:
    from pathlib import Path

ROOT = installation.ROOT
COOKBOOK = (ROOT / "docs" / "cookbook.md").read_text()


@pytest.mark.parametrize("page", installation.PAGES, ids=lambda page: page.name)
def test_pages_have_current_install_commands(page: Path) -> None:
    text = page.read_text()
    assert installation.INSTALLED.search(text)
    assert installation.current(text) == text, "run `python -m tools.installation`"


def test_recipes_and_plugin_install_the_same_package() -> None:
    """GitHub Actions, Docker, and the plugin's definition."""
    for line in (
        f"pipx install {installation.REQUIREMENT}\n",
        f"/opt/target/bin/pip install --no-cache-dir {installation.REQUIREMENT} ",
    ):
        assert COOKBOOK.count(line) == 1
    plugin = yaml.safe_load((ROOT / "plugins" / "loaders" / "target-stitch-import.yml").read_text())
    assert plugin["pip_url"] == installation.REQUIREMENT


@pytest.mark.parametrize("page", installation.PAGES[:3], ids=lambda page: page.name)
def test_pages_say_whether_the_package_is_released(page: Path) -> None:
    says_unreleased = "not released yet" in " ".join(page.read_text().split())
    assert says_unreleased is not installation.RELEASED


@pytest.mark.parametrize("page", installation.PAGES[:3], ids=lambda page: page.name)
def test_blocks_can_be_copied_whole(page: Path) -> None:
    assert "\n$ " not in page.read_text()
