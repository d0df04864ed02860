"""Creates a virtual environment from locked requirements, for the Makefile: with `uv` or `pip`.

    python3 -m tools.environment FOLDER ARGUMENTS…    installs, and writes FOLDER/.ready
    python3 -m tools.environment uv                   fetches `uv` where it is not on PATH

It runs before anything is installed, so it needs nothing but Python. Several run at once: each
prints whole lines, and the output of `uv` and `pip` only if they fail.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile

OLDEST = (3, 10)
FETCHED = Path(".tools/uv")
PROGRESS_SECONDS = 5
NO_DEPENDENCIES = (
    "--no-deps"  # locked requirements are complete, and the demo's data asks for pandas
)


def say(text: str) -> None:
    """Print a line in one write, because several processes share the terminal."""
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


def find_uv() -> str | None:
    """Return the path of `uv`, on PATH or fetched."""
    fetched = FETCHED / "bin" / "uv"
    return shutil.which("uv") or (str(fetched) if fetched.exists() else None)


def fetch_uv() -> None:
    """Fetch `uv` with `pip`, unless it exists. If that fails, `pip` installs everything."""
    if find_uv():
        return
    say("uv: not on PATH, fetching it with pip …")
    if failure := run_all([venv(FETCHED), [*pip(FETCHED), "uv>=0.9,<1"]], FETCHED):
        say(f"uv: cannot be fetched ({failure.splitlines()[-1]}); using pip, which takes longer")


def install(folder: Path, arguments: list[str]) -> str:
    """Create the environment from scratch; return the failed command's output, or an empty text."""
    started = time.monotonic()
    say(f"{folder}: installing …")
    uv, failure = find_uv(), ""
    if uv:
        into = ["--quiet", "--python", str(python(folder)), NO_DEPENDENCIES]
        failure = run_all(
            [
                [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
                [uv, "pip", "install", *into, *arguments],
            ],
            folder,
        )
        if failure:
            # uv does not read pip's configuration, which may name the only reachable index.
            say(f"{folder}: uv failed, trying pip …")
    if failure or not uv:
        pip_install = [*pip(folder), "--use-pep517", NO_DEPENDENCIES, *arguments]
        failure = run_all([venv(folder), pip_install], folder)
    if not failure:
        (folder / ".ready").touch()
        say(f"{folder}: {packages(folder)} packages in {time.monotonic() - started:.0f} s")
    return failure


def python(folder: Path) -> Path:
    """Return the environment's own Python."""
    return folder / "bin" / "python"


def venv(folder: Path) -> list[str]:
    """Return the command that creates an environment with `pip`."""
    return [sys.executable, "-m", "venv", str(folder)]


def pip(folder: Path) -> list[str]:
    """Return the start of a command that installs with the environment's own `pip`."""
    quietly = ["--quiet", "--disable-pip-version-check", "--no-input"]
    return [str(python(folder)), "-m", "pip", "install", *quietly]


def packages(folder: Path) -> int:
    """Return how many packages the environment has now."""
    return len(list(folder.glob("lib/python*/site-packages/*.dist-info")))


def run_all(commands: list[list[str]], folder: Path) -> str:
    """Run commands in an emptied folder; return the output of the first that fails, or nothing."""
    if (folder / "pyvenv.cfg").exists():
        shutil.rmtree(folder)
    started = time.monotonic()
    for command in commands:
        with TemporaryFile("w+") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            while True:
                try:
                    status = process.wait(PROGRESS_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    seconds = time.monotonic() - started
                    say(f"{folder}: {packages(folder)} packages after {seconds:.0f} s …")
            if status:
                output.seek(0)
                return output.read().strip() or f"{command[0]} ended with {status}"
    return ""


def main(arguments: list[str]) -> int:
    """Run a command line of the Makefile; return the exit status."""
    if sys.version_info < OLDEST:
        needed = ".".join(map(str, OLDEST))
        say(f"Python {needed} or newer is needed: make PYTHON=python{needed} …")
        return 1
    if arguments == ["uv"]:
        fetch_uv()
        return 0
    folder, *rest = arguments
    if failure := install(Path(folder), rest):
        say(f"{folder}: could not be installed:\n{failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
