"""Finds the messages for users in the source: errors, warnings and notes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "target_stitch_import"
HOLE = "…"
MESSAGE_CALLS = (
    "Error",
    "Refused",
    "Defect",
    "Advice",
    "Notice",
    "TryAgain",
    "warning",
    "error",
    "exception",
    "critical",
    "note",
    "note_once",
    "_say",
    "BadParameter",
    "fail",
)
"""The endings of the names of functions and classes that take a message."""

OF_READER = ("too_long", "cut_off")
"""Methods of line decoders that return a message."""

COLLECTING = ("warnings", "notes")
"""Names of messages that are reported later."""

OF_SERVE = (
    "local/api/accounts.py",
    "local/command.py",
    "local/extra.py",
    "local/options.py",
    "local/server/runtime.py",
    "local/server/serving.py",
    "local/server/tls.py",
)
"""The files with messages of `stitch-import serve`; the rest of `local/` answers requests."""

SHORTEST = 12
"""Characters; a shorter part of a message is too common to look for."""

INTERNAL = ("NotImplementedError", "TypeError", "ValueError", "OverflowError", "ValidationError")


def messages() -> dict[str, str]:
    """Return each message with `…` for its variable parts, and where it is in the source."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("local/") and name not in OF_SERVE:
            continue  # another program, described in docs/local-import-api.md
        for expression in _expressions(ast.parse(path.read_text())):
            for text in _texts(expression):
                if len(stable_part(text)) >= SHORTEST:
                    found[text] = f"{name}:{expression.lineno}"
    return found


def stable_part(text: str) -> str:
    """Return the longest constant part of a message."""
    return max((part.strip(" .:;,()") for part in text.split(HOLE)), key=len)


def _expressions(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the expressions that make messages."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=function, args=args) if _takes_message(function):
                yield from args
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=value):
                if name in COLLECTING:
                    yield value
            case ast.Assign(
                targets=[ast.Name(id="note" | "text" | "reason" | "_NOTE_UTC")], value=value
            ):
                yield value
            case ast.FunctionDef(returns=ast.Name(id="str"), name=name):
                if "words" in name or "cannot" in name or "reason" in name or name in OF_READER:
                    returns = (each for each in ast.walk(node) if isinstance(each, ast.Return))
                    yield from (each.value for each in returns if each.value)
            case ast.FunctionDef(name="warnings"):
                yields = (each for each in ast.walk(node) if isinstance(each, ast.Yield))
                yield from (each.value for each in yields if each.value)
            case ast.ClassDef(name="Failure"):
                yield from (each.value for each in node.body if isinstance(each, ast.Assign))


def _takes_message(function: ast.expr) -> bool:
    match function:
        case ast.Attribute(value=ast.Attribute(attr=name), attr="append"):
            return name.strip("_") in COLLECTING
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.endswith(MESSAGE_CALLS) and name not in INTERNAL
    return False


def _texts(node: ast.expr) -> list[str]:
    """Return the values of a string expression, with `…` for its variable parts."""
    match node:
        case ast.Constant(value=str(text)):
            return [text.strip()]
        case ast.JoinedStr(values=values):
            parts = [each.value if isinstance(each, ast.Constant) else HOLE for each in values]
            return ["".join(map(str, parts)).strip()]
        case ast.IfExp(body=body, orelse=orelse):
            return _texts(body) + _texts(orelse)
        case ast.Call(func=ast.Attribute(value=value)):
            return _texts(value)
    return []


if __name__ == "__main__":
    for text, place in messages().items():
        print(f"{place}\t{text}")  # noqa: T201 - for the author of the page
