"""The wheel: complete, typed, and working in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INPUT = b"""\
{"type":"SCHEMA","stream":"s","schema":{"properties":{"id":{"type":"integer"}}},\
"key_properties":["id"]}
{"type":"RECORD","stream":"s","record":{"id":1}}
{"type":"STATE","value":1}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    assert list(folder.glob("*.tar.gz"))
    return built


def test_the_wheel_holds_what_it_needs_and_no_more(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "target_stitch_import/py.typed" in names
    assert [name for name in names if name.startswith("target_stitch_import/local/templates/")]
    assert [name for name in names if name.endswith("LICENSE")]
    outside = [name for name in names if not name.startswith("target_stitch_import")]
    assert not outside


def test_it_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Without the extra: it delivers, and says what to install for `region: local`."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True)
    for package in (b"duckdb", b"starlette", b"uvicorn", b"jinja2", b"pytest"):
        assert package not in listed.stdout.lower()

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [str(tmp_path / "venv" / "bin" / program), *arguments]
        return subprocess.run(command, input=INPUT, capture_output=True, check=False, cwd=tmp_path)

    dry = run("target-stitch-import", "--dry-run", "--output-file", "bodies.jsonl")
    assert (dry.returncode, dry.stdout) == (0, b"")
    assert json.loads((tmp_path / "bodies.jsonl").read_text())["table_name"] == "s"
    about = run("target-stitch-import", "--about", "--format", "json")
    assert json.loads(about.stdout)["name"] == "target-stitch-import"
    (tmp_path / "local.json").write_text('{"region": "local"}')
    local = run("target-stitch-import", "--config", "local.json")
    assert local.returncode == 78
    assert b"pip install" in local.stderr
    assert run("stitch-import", "--help").returncode == 0
    assert b"pip install" in run("stitch-import", "serve", "--port", "0").stderr
