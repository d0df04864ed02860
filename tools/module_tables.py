"""Writes the tables of modules in docs/architecture.md: `python -m tools.module_tables`.

A module's row is the first sentence of its docstring, so that page and code agree.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "target_stitch_import"
PAGE = ROOT / "docs" / "architecture.md"
_BLOCK = re.compile(r"(<!-- modules: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def current() -> str:
    """Return the page with current tables."""
    return _BLOCK.sub(lambda block: block[1] + _table(block[2]) + block[3], PAGE.read_text())


def folders() -> set[str]:
    """Return the folders with modules, relative to the package; `.` is its top level."""
    return {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}


def _table(folder: str) -> str:
    rows = [
        f"| `{path.stem}` | {_first_sentence(path)} |\n"
        for path in sorted((PACKAGE / folder).glob("*.py"))
        if path.stem != "__init__"
    ]
    return "".join(["| module | what it is for |\n", "|---|---|\n", *rows])


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    paragraph = text.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    return re.split(r"(?<=\.) (?=[A-Z])", paragraph)[0].rstrip(".")


if __name__ == "__main__":
    PAGE.write_text(current())
