"""Applies each mutation to a copy of the package, and checks that a test fails.

Each mutation replaces a text that must occur exactly once; a failing test kills it. Tests that
cannot be imported, or do not end, kill nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tools.mutants.table import ROOT, Mutation, mutations

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "target_stitch_import"
SPARK_PYTHON = ROOT / ".tools" / "spark" / "bin" / "python"
"""The Python for `tests/spark`; `make spark` installs it."""
JOBS = 2
TIMEOUT_SECONDS = 300
ALL_TIMEOUT_SECONDS = 1200
"""The limit for all tests together, without a mutation."""


def main(words: list[str]) -> int:
    """Try the mutations whose name or module has one of `words`, or all; 1 if one survives."""
    chosen = [
        each
        for each in mutations()
        if not words or any(word in f"{each.module} {each.name}" for word in words)
    ]
    say(f"Without a mutation: {unbroken({test for each in chosen for test in each.tests})}")
    survivors = 0
    with ThreadPoolExecutor(JOBS) as pool:
        outcomes = pool.map(tried, chosen)
        for mutation, outcome in zip(chosen, outcomes, strict=True):
            survivors += not outcome.startswith("killed")
            say(f"{mutation.module + '.py':30} {mutation.name:62} {outcome}")
    say(f"{len(chosen)} mutations, {survivors} survived")
    return 1 if survivors else 0


def unbroken(tests: set[str]) -> str:
    """Run `tests` on the package without a mutation; return that they pass, and how long they take.

    Raises:
        RuntimeError: A test fails, so it could not show that a mutation is killed.
    """
    on_spark = {test for test in tests if is_on_spark(test)}
    seconds = 0.0
    for group in filter(None, (on_spark, tests - on_spark)):
        status, output, taken = run(None, sorted(group), ALL_TIMEOUT_SECONDS)
        seconds += taken
        if status != 0:
            raise RuntimeError(f"the tests fail without a mutation:\n{output}")
    return f"all tests pass ({seconds:.0f} s)"


def tried(mutation: Mutation) -> str:
    """Run a mutation's tests on a mutated copy of the package; return the result in words.

    Raises:
        ValueError: The text to replace does not occur exactly once.
    """
    status, output, seconds = run(mutation, mutation.tests, TIMEOUT_SECONDS)
    if status == 0:
        return f"SURVIVED ({seconds:.0f} s)"
    failed = [line for line in output.splitlines() if line.startswith("FAILED")]
    if not failed:
        return f"SURVIVED: no test fails, but pytest ends with {status} ({seconds:.0f} s)"
    by = failed[0].split(" ")[1].split("::")[-1].split("[")[0]
    return f"killed by {by} ({seconds:.0f} s)"


def is_on_spark(test: str) -> bool:
    """Return whether a test needs the environment of Spark."""
    return test.startswith("tests/spark/")


def mutate(path: Path, mutation: Mutation) -> None:
    """Replace the mutation's text in a file."""
    text = path.read_text()
    if (times := text.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.name}: its text occurs {times} times in {path.name}, not once")
    path.write_text(text.replace(mutation.old, mutation.new))


def run(
    mutation: Mutation | None, tests: Sequence[str], timeout_seconds: float
) -> tuple[int, str, float]:
    """Run tests on a copy of the package until one fails; return status, output and seconds."""
    python = SPARK_PYTHON if is_on_spark(tests[0]) else sys.executable
    command = [python, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (PACKAGE, "tests"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)
        if mutation:
            mutate(folder / PACKAGE / f"{mutation.module}.py", mutation)
        started = time.monotonic()
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": name},  # also for the processes they start
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            return -1, "", timeout_seconds
        return done.returncode, done.stdout + done.stderr, time.monotonic() - started


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
