"""The wheel: complete, typed, and working in an empty environment; the workflows run what CI runs.

`make release-check` asks the same of more: `tools/release.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
import yaml

from tools import release

if TYPE_CHECKING:
    from pathlib import Path

ROOT = release.ROOT
WORKFLOWS = ROOT / ".github" / "workflows"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return release.build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_what_it_needs_and_no_more(packages: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(packages[0]).namelist()
    assert "target_stitch_import/py.typed" in names
    assert [
        name for name in names if name.startswith("target_stitch_import/local/server/templates/")
    ]
    assert [name for name in names if name.endswith("LICENSE")]
    outside = [name for name in names if not name.startswith("target_stitch_import")]
    assert not outside


def test_the_source_package_holds_what_its_pages_link_to(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    links = re.findall(r"\]\(([^)#:\s]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert not [link for link in links if link not in names]


@pytest.mark.timeout(300)  # it installs, on a machine that may be busy
def test_the_wheel_works_in_an_empty_environment(
    packages: tuple[Path, Path], tmp_path: Path
) -> None:
    """Without the extra, it delivers, and `region: local` says what to install."""
    installed = release.install(packages[0], sys.executable, tmp_path)
    release.check_programs(installed)
    release.check_without_the_extra(installed)
    release.check_types(installed)


def test_every_supported_python_is_looked_for() -> None:
    """Also, the Python that runs this test is among those that the package names."""
    versions = release.supported()
    assert versions[0] == "3.10"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in versions
    assert list(release.pythons()) == versions
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"Python {versions[0]} to {versions[-1]}" in (ROOT / page).read_text()


def test_the_workflow_runs_what_ci_runs_on_the_oldest_and_the_newest_python() -> None:
    workflow = yaml.safe_load((WORKFLOWS / "test.yml").read_text())
    [job] = workflow["jobs"].values()
    versions = release.supported()
    assert job["strategy"]["matrix"]["python"] == [versions[0], versions[-1]]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]


def test_ci_runs_every_check() -> None:
    """A check that is no longer run would look like one that passes."""
    script = (ROOT / ".ci" / "run").read_text()
    assert "\nexport CI=true " in script
    assert script.splitlines()[-1] == "exec make test"
    ignored_failure = re.compile(r"^\t@?-[^-]", re.MULTILINE)
    assert not ignored_failure.search((ROOT / "Makefile").read_text())
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", "test"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    checks = re.findall(r"^\.(?:venv|tools/spark)/bin/(.*)$", shown.stdout, re.MULTILINE)
    assert [each for each in checks if not each.startswith("python -m pip ")] == [
        "ruff check .",
        "ruff format --check .",
        "lint-imports --no-cache",
        "python -m tools.purity",
        "python -m tools.sizes",
        "mypy",
        "python -m pytest -n auto --ignore tests/spark",
        "python -m pytest tests/spark",
    ]


def test_a_release_is_checked_and_published_without_a_stored_secret() -> None:
    text = (WORKFLOWS / "release.yml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key `on` as true
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    runs = [step["run"] for step in build["steps"] if "run" in step]
    assert "make release-check dist" in runs
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in text


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_workflows_may_write_nothing_by_default(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
