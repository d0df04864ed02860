"""Checks that the pure packages use no clock, network, threads, randomness, files or log.

Every import that is not listed here is refused, so a new dependency needs a decision. `python -m
tools.purity` prints the violations.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = "target_stitch_import"
PURE = ("singer", "schema", "batching", "delivery", "errors", "limits", "pointers")
"""The pure packages, and the base modules that they import."""

OUTSIDE = frozenset(
    {
        *("__future__", "collections", "collections.abc", "dataclasses", "enum", "typing"),
        *("bisect", "errno", "functools", "itertools"),
        *("datetime", "decimal", "json", "re"),
        *(
            "email.utils.parsedate_to_datetime",
            "msgspec.structs.replace",
            "operator.attrgetter",
            "types.MappingProxyType",
            "urllib.parse.unquote",
        ),
        *("msgspec", "jsonschema", "jsonschema.exceptions"),
        "jsonschema_rs",
    }
)
"""The modules, and the names of other modules, that may be imported."""

BUILTINS = frozenset(
    {
        *("open", "print", "input", "breakpoint"),
        *("exec", "eval", "compile", "__import__"),
        "hash",  # of a text, it is random
    }
)
CLOCK = frozenset({"now", "today", "utcnow"})
LOCAL_TIME = {"astimezone": 1, "fromtimestamp": 2, "timestamp": 1}
"""Methods that read the machine's time zone if they get fewer arguments.

`timestamp` takes none: of a date-time without an offset it always reads the time zone.
"""


def impurities(root: Path) -> Iterator[str]:
    """Yield the violations in the package under `root`: file, line, and description."""
    for name in PURE:
        place = root / PACKAGE / name
        paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        for path in paths:
            for line, fault in sorted(set(faults(ast.parse(path.read_text())))):
                yield f"{path.relative_to(root)}:{line}: {fault}"


def faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the violations in one module: line and description."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, f"imports {each}") for each in _imported(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from ((node.lineno, fault) for fault in _reads(node, node.func.attr))
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.lineno, f"uses {node.id}"
        elif isinstance(node, ast.Attribute) and _is_clock(node):
            yield node.lineno, f"asks the clock: {node.attr}"


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the imported names that are not allowed."""
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        names = [] if _may_import(module) else [f"{module}.{name}" for name in names]
    return [name for name in names if not _may_import(name)]


def _is_clock(node: ast.Attribute) -> bool:
    return node.attr in CLOCK and ast.unparse(node.value).split(".")[-1] in {"date", "datetime"}


def _reads(call: ast.Call, method: str) -> list[str]:
    """Return what a call of `method` reads from the machine: its clock or its time zone."""
    if method in CLOCK:
        return [f"asks the clock: {method}"]
    given = len(call.args) + len(call.keywords)
    return [f"asks for the local time zone: {method}"] if given < LOCAL_TIME.get(method, 0) else []


def _may_import(name: str) -> bool:
    return name in OUTSIDE or any(f"{name}.".startswith(f"{PACKAGE}.{each}.") for each in PURE)


def main() -> int:
    """Print the violations; return the exit status."""
    found = list(impurities(ROOT))
    print("\n".join([*found, f"Purity: {len(found)} faults"]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
