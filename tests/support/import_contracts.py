"""Runs `lint-imports` on many copies of the package, in one process because it starts slowly.

`python -m tests.support.import_contracts` reads folders, one per line, and for each writes the
output of `lint-imports` as a JSON string.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

ROOT_PACKAGE = "target_stitch_import"


class ImportContracts:
    """A process that reports which contracts are broken in a folder."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def broken(self, folder: Path) -> list[str]:
        """Return the names of the contracts that are broken in `folder`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        print(folder, file=stdin, flush=True)
        printed = json.loads(stdout.readline())
        assert "Contracts: " in printed, printed
        return re.findall(r"^(.+) BROKEN\b", printed, re.MULTILINE)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve(folders: TextIO, answers: TextIO) -> None:
    """Check each folder in `folders`, and write the output to `answers`."""
    from importlinter.cli import lint_imports  # noqa: PLC0415 - only in the process

    for folder in folders:
        sys.path[0] = folder.rstrip("\n")
        os.chdir(sys.path[0])
        sys.modules.pop(ROOT_PACKAGE, None)
        importlib.invalidate_caches()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            lint_imports(no_cache=True, no_logo=True)
        answers.write(f"{json.dumps(printed.getvalue())}\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
