"""The documentation's site: it builds without warnings, and its links work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import skip_or_fail

ROOT = Path(__file__).parents[2]
MKDOCS = ROOT / ".tools" / "docs" / "bin" / "mkdocs"


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does, from the repository in `folder`."""
    if not MKDOCS.exists():
        skip_or_fail("MkDocs is not installed: run `make docs`")
    return subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", site],
        cwd=folder,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    # Pages and files outside docs/ that pages link to are part of the site.
    guide = (tmp_path / "guide.html").read_text()
    assert 'href="project/index.html#exit-status"' in guide
    assert (tmp_path / "project" / "index.html").exists()
    assert (tmp_path / "project" / "plugins" / "loaders" / "target-stitch-import.yml").exists()
    # The site loads nothing from other hosts.
    assert not re.findall(r'<(?:script|link)[^>]*(?:src|href)="https?://', guide)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("[x](nowhere.md)", "'nowhere.md'"),
        ("[x](settings.md#none)", "'#none'"),
        ("[x](../README.md#none)", "'#none'"),
    ],
)
def test_a_broken_link_fails_the_build(tmp_path: Path, text: str, target: str) -> None:
    """Tried on a copy with an additional line in the guide."""
    kept = shutil.ignore_patterns(".*", "build")
    shutil.copytree(ROOT, tmp_path / "copy", ignore=kept)
    guide = tmp_path / "copy" / "docs" / "guide.md"
    guide.write_text(f"{guide.read_text()}\n{text}\n")
    done = build(tmp_path / "copy", tmp_path / "site")
    assert done.returncode == 1
    assert target in done.stderr
