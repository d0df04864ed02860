"""The documentation as a site: it builds without a warning, and leads where the repository does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import absent

ROOT = Path(__file__).parents[2]
MKDOCS = ROOT / ".tools" / "docs" / "bin" / "mkdocs"


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does, from the repository in `folder`."""
    if not MKDOCS.exists():
        absent("MkDocs is not installed: run `make docs`")
    return subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", site],
        cwd=folder,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    # Links lead to pages and files outside docs/, which are part of the site.
    guide = (tmp_path / "guide.html").read_text()
    assert 'href="project/index.html#exit-status"' in guide
    assert (tmp_path / "project" / "index.html").exists()
    assert (tmp_path / "project" / "plugins" / "loaders" / "target-stitch-import.yml").exists()
    # And nothing is fetched from elsewhere to show it.
    assert not re.findall(r'<(?:script|link)[^>]*(?:src|href)="https?://', guide)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[x](nowhere.md)", "'nowhere.md'"),
        ("[x](settings.md#none)", "'#none'"),
        ("[x](../README.md#none)", "'#none'"),
    ],
)
def test_a_broken_link_fails_it(tmp_path: Path, text: str, told: str) -> None:
    """A copy, with one more line in the guide."""
    kept = shutil.ignore_patterns(".*", "build")
    shutil.copytree(ROOT, tmp_path / "copy", ignore=kept)
    guide = tmp_path / "copy" / "docs" / "guide.md"
    guide.write_text(f"{guide.read_text()}\n{text}\n")
    done = build(tmp_path / "copy", tmp_path / "site")
    assert done.returncode == 1
    assert told in done.stderr
