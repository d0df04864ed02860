"""The rules for tests: shared helpers, waiting, patching, mutations and names."""

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
PACKAGES = {
    "core": ("singer", "schema", "batching", "delivery"),
    "run": ("run",),
    "report": ("report", "report/page"),
    "toolbox": ("toolbox",),
    "program": (".", "config"),
}
"""The folders of tests, and the packages that they test."""
OF_THE_WHOLE = {
    "test_toolbox": "the commands as one program, and its page",
    "test_security": "secrets, which no part may reveal",
    "test_kill": "a process that is killed at any point",
    "test_demo": "`make demo`",
    "test_environment": "the environments that the Makefile creates",
    "test_meltano": "Meltano, and the files made for it",
    "test_package": "building, installing and releasing the package",
}
CLOCKS = {"sleep", "perf_counter", "monotonic", "process_time", "time_ns"}
PATCHES = {"setattr", "delattr", "setitem", "delitem"}
PATCHED = {
    "tests/report/test_metrics.py": "`sys.modules`, to simulate that the SDK is not imported",
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
    """Return the attributes of the names in `owners` that the code uses."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in owners
    }


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=named)
def test_no_test_module_imports_from_another(path: Path) -> None:
    """A test that another one imports could not be moved, renamed or deleted freely."""
    names = imported(ast.parse(path.read_text()))
    assert not [each for each in names if re.search(r"(^|\.)(test_\w+|conftest)\.", each)]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_test_measures_time_or_sleeps(path: Path) -> None:
    """`until` waits for an event; durations are for benchmarks."""
    tree = ast.parse(path.read_text())
    used = attributes(tree, {"time"}) | {each.rpartition(".")[2] for each in imported(tree)}
    assert not used & CLOCKS


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_is_patched(path: Path) -> None:
    """Environment variables may be set; our own objects are passed as arguments."""
    tree = ast.parse(path.read_text())
    assert not [each for each in imported(tree) if each.startswith(("unittest.mock", "mock"))]
    assert bool(attributes(tree, {"monkeypatch"}) & PATCHES) == (named(path) in PATCHED)


@pytest.mark.parametrize("mutation", mutations(), ids=lambda each: each.name)
def test_a_mutation_can_be_applied_and_its_tests_exist(mutation: Mutation) -> None:
    """`make mutants` takes long, and would report only then that the code has changed."""
    assert (PACKAGE / f"{mutation.module}.py").read_text().count(mutation.old) == 1
    for test in mutation.tests:
        path, _, name = test.partition("::")
        assert f"def {name}" in (TESTS.parent / path).read_text()


@pytest.mark.parametrize("folder", PACKAGES)
def test_tests_are_named_after_what_they_test(folder: str) -> None:
    modules = {
        path.stem.strip("_")
        for package in PACKAGES[folder]
        for path in (PACKAGE / package).glob("*.py")
        if path.stem != "__init__"
    }
    names = [path.stem for path in (TESTS / folder).glob("test_*.py")]
    assert names
    assert not [
        name
        for name in names
        if not any(f"{name}_".startswith(f"test_{module}_") for module in modules)
        and not any(f"{name}_".startswith(f"{whole}_") for whole in OF_THE_WHOLE)
    ]
