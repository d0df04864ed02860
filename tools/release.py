"""Checks that a release can be published: `make release-check`, or `python -m tools.release`.

Wheel and source package are built, and installed as users do, into new environments, with the
oldest and the newest supported Python on this machine; it prints which.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
NAME = "target-stitch-import"
TOOLS = ROOT / ".tools" / "release" / "bin"
INPUT = b"""\
{"type":"SCHEMA","stream":"s","schema":{"properties":{"id":{"type":"integer"}}},\
"key_properties":["id"]}
{"type":"RECORD","stream":"s","record":{"id":1}}
{"type":"STATE","value":1}
"""
TYPED = """\
from target_stitch_import.config.settings import Settings
reveal_type(Settings.load({}).region)
"""
ONLY_EXTRA = ("duckdb", "starlette", "uvicorn", "jinja2", "pyarrow")


@dataclass(frozen=True)
class Python:
    """An interpreter, and its version, such as 3.12."""

    version: str
    executable: str


@dataclass(frozen=True)
class Installed:
    """The folder of the installed programs, and an empty folder to run them in."""

    programs: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run one of the programs on a small input."""
        command = [str(self.programs / program), *arguments]
        return subprocess.run(
            command, input=INPUT, capture_output=True, check=False, cwd=self.folder
        )


def supported() -> list[str]:
    """Return the versions of Python in the package's classifiers, oldest first."""
    named = metadata.metadata(NAME).get_all("Classifier") or []
    found = [re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", each) for each in named]
    return [f"3.{minor}" for minor in sorted(int(each[1]) for each in found if each)]


def pythons() -> dict[str, Python | None]:
    """Return the interpreter of each supported version, None where this machine has none."""
    return {version: _find(version) for version in supported()}


def _find(version: str) -> Python | None:
    name = f"python{version}"
    if not shutil.which(name):
        return None
    # pyenv's programs run the version in this variable.
    done = subprocess.run(
        [name, "-c", "import sys; print(sys.executable)"],
        env=os.environ | {"PYENV_VERSION": version},
        capture_output=True,
        text=True,
        check=False,
    )
    return Python(version, done.stdout.strip()) if done.returncode == 0 else None


def quiet(
    *command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] = os.environ
) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}"
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Build both packages, the wheel from the unpacked source package; return their files."""
    quiet(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return wheel, source


def install(package: Path, python: str, folder: Path) -> Installed:
    """Install a package into a new environment."""
    quiet(python, "-m", "venv", folder / "venv")
    pip = (folder / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    quiet(*pip, "install", "--quiet", package)
    listed = quiet(*pip, "list").lower()
    assert not [name for name in ONLY_EXTRA if name in listed], "an extra was installed"
    work = folder / "work"
    work.mkdir()
    return Installed(folder / "venv" / "bin", work)


def check_programs(installed: Installed) -> None:
    """Check that both programs start, print their version, and a dry run works."""
    version = metadata.version(NAME)
    assert installed.run(NAME, "--version").stdout.decode().split()[-1] == version
    about = installed.run(NAME, "--about", "--format", "json")
    assert json.loads(about.stdout)["version"] == version
    dry = installed.run(NAME, "--dry-run", "--output-file", "bodies.jsonl")
    assert (dry.returncode, dry.stdout) == (0, b""), dry.stderr.decode()
    body = json.loads((installed.folder / "bodies.jsonl").read_text())
    assert body["messages"][0]["data"] == {"id": 1}
    assert installed.run("stitch-import", "--help").returncode == 0


def check_without_the_extra(installed: Installed) -> None:
    """Check that both programs say what to install for the local Import API."""
    (installed.folder / "local.json").write_text('{"region": "local"}')
    local = installed.run(NAME, "--config", "local.json")
    assert local.returncode == 78
    assert b"Install the extra `local`" in local.stderr
    served = installed.run("stitch-import", "serve", "--port", "0")
    assert b"Install the extra `local`" in served.stderr


def check_types(installed: Installed) -> None:
    """Check that a type checker outside the project sees the package's hints."""
    probe = installed.folder / "probe.py"
    probe.write_text(TYPED)
    python = installed.programs / "python"
    checked = quiet(
        *(sys.executable, "-m", "mypy", "--strict", "--no-incremental"),
        *("--python-executable", python, probe),
        cwd=installed.folder,
    )
    assert "Revealed type is" in checked, checked
    assert "Literal" in checked, checked


def check_tools(wheel: Path, folder: Path) -> None:
    """Check that `pipx install` and `uv tool install` put both programs on PATH."""
    for tool, command in (("pipx", ("pipx", "install")), ("uv", ("uv", "tool", "install"))):
        home = folder / tool
        work = home / "work"
        work.mkdir(parents=True)
        places = {
            "PIPX_HOME": str(home / "home"),
            "PIPX_BIN_DIR": str(home / "bin"),
            "UV_TOOL_DIR": str(home / "home"),
            "UV_TOOL_BIN_DIR": str(home / "bin"),
        }
        quiet(TOOLS / command[0], *command[1:], wheel, environment=places)
        check_programs(Installed(home / "bin", work))
        say(f"{' '.join(command)}: works")


def say(text: str) -> None:
    """Print a line immediately."""
    print(text, flush=True)


def main() -> int:
    """Check everything, and print what was used."""
    found = pythons()
    offered = [each for each in found.values() if each]
    for version, python in found.items():
        say(f"Python {version}: {python.executable if python else 'NOT on this machine'}")
    if not offered:
        say("There is no supported Python, so nothing was checked.")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = build(folder)
        for python in dict.fromkeys((offered[0], offered[-1])):
            for package in packages:
                place = folder / python.version / package.suffix
                place.mkdir(parents=True)
                installed = install(package, python.executable, place)
                check_programs(installed)
                check_without_the_extra(installed)
                check_types(installed)
                say(f"{package.name} on Python {python.version}: works, and is typed")
        check_tools(packages[0], folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
