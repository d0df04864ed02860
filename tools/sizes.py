"""Checks that files have at most 400 lines and functions at most 50.

`python -m tools.sizes` prints those that are longer. `LONGER` lists exceptions with their reasons.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FOLDERS = ("target_stitch_import", "tests", "tools", "benchmarks", "demo")
KINDS = frozenset({".py", ".css", ".html", ".js", ".sh"})
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

LONGER = {
    "benchmarks/records.py:varied_schema": "one literal",
}
"""The exceptions and their reasons: a file, or `file:function`."""


def too_long(root: Path) -> dict[str, int]:
    """Return the files and functions under `root` that are too long, and their lines."""
    return {name: lines for name, lines, limit in _sizes(root) if lines > limit}


def _sizes(root: Path) -> Iterator[tuple[str, int, int]]:
    for path in (each for folder in FOLDERS for each in sorted((root / folder).rglob("*"))):
        if path.suffix not in KINDS:
            continue
        name, text = str(path.relative_to(root)), path.read_text()
        yield name, len(text.splitlines()), MAX_FILE_LINES
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    yield f"{name}:{node.name}", lines, MAX_FUNCTION_LINES


def faults(root: Path, longer: dict[str, str] = LONGER) -> list[str]:
    """Return what is too long and not in `longer`, and each unneeded entry of `longer`."""
    found = too_long(root)
    return [
        *(f"{name} has {lines} lines" for name, lines in found.items() if name not in longer),
        *(f"{name} need not be listed any more" for name in longer if name not in found),
    ]


def main() -> int:
    """Print the files and functions that are too long; return the exit status."""
    found = faults(ROOT)
    print("\n".join([*found, f"Sizes: {len(found)} faults"]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
