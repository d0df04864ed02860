"""The tests have rules: what they share, how they wait, and where one looks for them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.mutants.table import Mutation, mutations

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "target_stitch_import"
MODULES = sorted(
    path for path in TESTS.rglob("*.py") if path.name.startswith("test_") or "conftest" in path.name
)
WINGS = {
    "core": ("singer", "schema", "batching", "delivery"),
    "run": ("run",),
    "report": ("report", "report/page"),
    "toolbox": ("toolbox",),
    "program": (".", "config"),
}
"""The folders of tests, and of which modules they are."""
OF_THE_WHOLE = {
    "test_toolbox": "the commands as one program, and its page",
    "test_security": "what must never get out, whichever part would let it",
    "test_kill": "a process that is killed anywhere",
    "test_demo": "`make demo`",
    "test_environment": "the environments that the Makefile makes",
    "test_meltano": "Meltano, and the files made for it",
    "test_package": "what is built, installed and released",
}
CLOCKS = {"sleep", "perf_counter", "monotonic", "process_time", "time_ns"}
PATCHES = {"setattr", "delattr", "setitem", "delitem"}
PATCHED = {
    "tests/report/test_metrics.py": "`sys.modules` of the SDK, to be without what is imported",
}


def named(path: Path) -> str:
    return path.relative_to(TESTS.parent).as_posix()


def imported(tree: ast.AST) -> list[str]:
    return [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def attributes(tree: ast.AST, owners: set[str]) -> set[str]:
    """Return the attributes of names that are looked at."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in owners
    }


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=named)
def test_what_is_shared_is_in_support(path: Path) -> None:
    """A test that is imported by another cannot be moved, renamed or deleted."""
    names = imported(ast.parse(path.read_text()))
    assert not [each for each in names if re.search(r"(^|\.)(test_\w+|conftest)\.", each)]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_test_measures_time_or_lets_it_pass(path: Path) -> None:
    """`until` waits for what happens; how long a thing takes is for benchmarks."""
    tree = ast.parse(path.read_text())
    used = attributes(tree, {"time"}) | {each.rpartition(".")[2] for each in imported(tree)}
    assert not used & CLOCKS


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_is_patched(path: Path) -> None:
    """The environment may be set; what is ours is given as an argument."""
    tree = ast.parse(path.read_text())
    assert not [each for each in imported(tree) if each.startswith(("unittest.mock", "mock"))]
    assert bool(attributes(tree, {"monkeypatch"}) & PATCHES) == (named(path) in PATCHED)


@pytest.mark.parametrize("mutation", mutations(), ids=lambda each: each.name)
def test_a_mutation_can_be_made_and_names_tests(mutation: Mutation) -> None:
    """`make mutants` takes long, and would tell only then that the code has moved on."""
    assert (PACKAGE / f"{mutation.module}.py").read_text().count(mutation.old) == 1
    for test in mutation.tests:
        path, _, name = test.partition("::")
        assert f"def {name}" in (TESTS.parent / path).read_text()


@pytest.mark.parametrize("folder", WINGS)
def test_tests_are_named_after_what_they_test(folder: str) -> None:
    modules = {
        path.stem.strip("_")
        for wing in WINGS[folder]
        for path in (PACKAGE / wing).glob("*.py")
        if path.stem != "__init__"
    }
    names = [path.stem for path in (TESTS / folder).glob("test_*.py")]
    assert not [
        name
        for name in names
        if not any(f"{name}_".startswith(f"test_{module}_") for module in modules)
        and not any(f"{name}_".startswith(f"{whole}_") for whole in OF_THE_WHOLE)
    ]
