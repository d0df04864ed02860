"""Reads the mutations: a TOML file for each package, with a table for each mutation.

`old` is a text that occurs exactly once in the file of `module`, `new` its replacement. `tests`
names groups in `tests.toml`; one of their tests must fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutation:
    """One way to break a guarantee; at least one of `tests` must fail."""

    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...]


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    module: str
    old: str
    new: str
    tests: tuple[str, ...] = ("pure",)


def mutations() -> list[Mutation]:
    """Return all mutations, package by package.

    Raises:
        LookupError: A group names a test file that does not exist.
    """
    groups = msgspec.toml.decode((_FOLDER / "tests.toml").read_bytes(), type=dict[str, list[str]])
    tests = {
        group: [each for test in named for each in _files(test)] for group, named in groups.items()
    }
    return [
        Mutation(
            name,
            entry.module,
            entry.old,
            entry.new,
            tuple(dict.fromkeys(test for group in entry.tests for test in tests[group])),
        )
        for path in sorted(_FOLDER.glob("*.toml"))
        if path.stem != "tests"
        for name, entry in msgspec.toml.decode(path.read_bytes(), type=dict[str, _Entry]).items()
    ]


def _files(test: str) -> list[str]:
    """Return a test's name for each file that its pattern matches."""
    pattern, colons, name = test.partition("::")
    files = [str(each.relative_to(ROOT)) for each in sorted(ROOT.glob(pattern))]
    if not files:
        raise LookupError(f"there is no {pattern}")
    return [f"{file}{colons}{name}" for file in files]
