"""JSON Pointers (RFC 6901), which name places in schemas and records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def pointer_to(path: Iterable[str | int]) -> str:
    """Return a path of names and indices as a pointer; empty for the whole document."""
    return "".join(f"/{escaped(str(step))}" for step in path)


def at(document: Any, pointer: str) -> Any:
    """Return the value that a pointer refers to in a parsed document.

    Raises:
        LookupError: There is no such value.
    """
    if pointer and not pointer.startswith("/"):
        raise LookupError
    for part in parts(pointer):
        match document:
            case dict():
                document = document[part]
            case list() if _INDEX.fullmatch(part):
                document = document[int(part)]
            case _:
                raise LookupError
    return document


def parts(pointer: str) -> list[str]:
    """Return the unescaped names and indices of a pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def escaped(name: str) -> str:
    """Return a name escaped for use in a pointer."""
    return name.replace("~", "~0").replace("/", "~1")
