"""The Makefile's environments: made with `uv`, or with `pip` if there is no `uv`."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.makefile import targets

ROOT = Path(__file__).parents[2]
METADATA = "Metadata-Version: 2.1\nName: nothing\nVersion: 1\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
RECORD = "nothing-1.dist-info/METADATA,,\nnothing-1.dist-info/WHEEL,,\n"


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A package that needs no index."""
    path = tmp_path / "nothing-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {"METADATA": METADATA, "WHEEL": WHEEL, "RECORD": RECORD}.items():
            archive.writestr(f"nothing-1.dist-info/{name}", text)
    return str(path)


def make(folder: Path, *arguments: str, uv: str | None = None) -> tuple[int, str]:
    """Make an environment in which `uv` is a script or missing; return status and output."""
    (folder / "bin").mkdir(exist_ok=True)
    if uv is not None:
        (folder / "bin" / "uv").write_text(f"#!/bin/sh\n{uv}\n")
        (folder / "bin" / "uv").chmod(0o700)
    environment = os.environ | {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tools.environment", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("target", targets())
def test_each_target_runs_valid_commands(target: str) -> None:
    """A comma in an argument of a function of make cuts the command: most run only on demand."""
    commands = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, check=True
    ).stdout
    assert commands
    subprocess.run(["sh", "-n"], input=commands, check=True)


def test_uv_is_tried_first_and_is_silent(tmp_path: Path) -> None:
    uv = 'echo noise; echo "$@" >> calls; mkdir -p made'
    status, said = make(tmp_path, "made", "-r", "locked.txt", uv=uv)
    assert (status, "noise" in said) == (0, False)
    venv, install = (tmp_path / "calls").read_text().splitlines()
    assert venv.startswith("venv ")
    assert install.endswith("--no-deps -r locked.txt")
    assert (tmp_path / "made" / ".ready").exists()


@pytest.mark.parametrize("uv", [None, "echo no index; exit 2"], ids=["no uv", "uv fails"])
def test_pip_installs_where_uv_cannot(tmp_path: Path, wheel: str, uv: str | None) -> None:
    status, said = make(tmp_path, "made", wheel, uv=uv)
    assert status == 0, said
    assert list((tmp_path / "made").glob("lib/python*/site-packages/nothing-1.dist-info"))
    assert ("uv failed, trying pip" in said) == (uv is not None)


def test_a_failed_installation_is_reported_and_not_marked_ready(tmp_path: Path) -> None:
    status, said = make(tmp_path, "made", "./nowhere.whl")
    assert status == 1
    assert "made: could not be installed:" in said
    assert "nowhere.whl" in said
    assert not (tmp_path / "made" / ".ready").exists()
