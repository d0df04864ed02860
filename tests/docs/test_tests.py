"""The rules for tests: shared helpers, waiting, patching, mutations and names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.mutants.table import Mutation, mutations

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "target_stitch_import"
MODULES = sorted(path for path in TESTS.rglob("*.py") if path.parent.name != "soak")
"""All but the long checks, which `make test` does not run."""
PACKAGES = {
    "core": ("singer", "schema", "batching", "delivery"),
    "run": ("run",),
    "report": ("report", "report/page"),
    "toolbox": ("toolbox",),
    "local": ("local", "local/api", "local/server", "local/warehouse"),
    "program": (".", "config"),
}
"""The folders of tests, and the packages that they test."""
NOT_MODULES = {
    "test_toolbox": "the commands as one program, and its page",
    "test_security": "secrets, which no part may reveal",
    "test_kill": "a process that is killed at any point",
    "test_demo": "`make demo`",
    "test_environment": "the environments that the Makefile creates",
    "test_meltano": "Meltano, and the files made for it",
    "test_package": "building, installing and releasing the package",
    "test_dependencies": "the dependencies in pyproject.toml",
    "test_clients": "what other clients send",
    "test_foreign_clients": "other clients themselves",
    "test_docs": "the page about the local Import API",
    "test_fuzz": "`make fuzz-api`",
    "test_limits": "limits and hostile bodies, over HTTP",
    "test_model": "the warehouse, compared with a model",
    "test_names": "names that a warehouse cannot load",
    "test_rejected": "`GET /_local/rejected`",
    "test_vectors": "answers word for word, over HTTP",
}
CLOCKS = re.compile(
    r"time\.(sleep|(time|monotonic|perf_counter|process_time|thread_time)(_ns)?)"
    r"|asyncio\.sleep|timeit\b.*"
)
CLOCK_READERS = {
    "tests/local/test_faults.py": "`asyncio.sleep(0)` lets other tasks run",
    "tests/simulation/__main__.py": "says how many runs it simulated per second",
    "tests/support/processes.py": "`until` waits for an event",
    "tests/support/servers.py": "waits for a server of a tap",
}
PATCHES = {"setattr", "delattr", "setitem", "delitem"}
PATCHED = {
    "tests/report/test_metrics.py": "`sys.modules`, to simulate that the SDK is not imported",
}
SKIPPING = re.compile(r"pytest\.(skip|importorskip|xfail|mark\.(skip|skipif|xfail))")
SKIPPED = {
    "tests/run/test_intake.py": "pipes whose size cannot be set, outside Linux",
    "tests/run/test_kill.py": "a signal that other systems lack",
    "tests/support/processes.py": "what only root may do",
    "tests/support/programs.py": "programs that are not installed; in CI, their tests fail",
}


def named(path: Path) -> str:
    return path.relative_to(TESTS.parent).as_posix()


def imported(tree: ast.AST) -> dict[str, str]:
    """Return the qualified names that the code imports, by the names that it gives them."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.asname or each.name: each.name for each in node.names}
    return names


def attributes(tree: ast.AST, *contexts: type[ast.expr_context]) -> set[str]:
    """Return the qualified names of the attributes of imported names, as far as `contexts`."""
    dotted = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, contexts)
    }
    return {
        each.replace(name, qualified, 1)
        for name, qualified in imported(tree).items()
        for each in dotted
        if each.startswith(f"{name}.")
    }


def reads_a_clock(tree: ast.AST) -> bool:
    """Whether the code can wait or measure time."""
    used = {*imported(tree).values(), *attributes(tree, ast.Load)}
    return any(map(CLOCKS.fullmatch, used))


def skips(tree: ast.AST) -> bool:
    """Whether the code can skip a test, or accept that it fails."""
    used = {*imported(tree).values(), *attributes(tree, ast.Load)}
    return any(map(SKIPPING.fullmatch, used))


def patches(tree: ast.AST) -> bool:
    """Whether the code replaces parts of modules, classes or objects, other than its own."""
    if any(re.match(r"(unittest\.)?mock\b", each) for each in imported(tree).values()):
        return True
    if any(isinstance(node, ast.Attribute) and node.attr in PATCHES for node in ast.walk(tree)):
        return True
    return bool(attributes(tree, ast.Store, ast.Del))


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=named)
def test_no_test_module_imports_from_another(path: Path) -> None:
    """A test that another one imports could not be moved, renamed or deleted freely."""
    names = imported(ast.parse(path.read_text())).values()
    assert not [each for each in names if re.search(r"(^|\.)(test_\w+|conftest)\.", each)]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_test_measures_time_or_sleeps(path: Path) -> None:
    """`until` waits for an event; durations are for benchmarks."""
    assert reads_a_clock(ast.parse(path.read_text())) == (named(path) in CLOCK_READERS)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_is_patched(path: Path) -> None:
    """Environment variables may be set; our own objects are passed as arguments."""
    assert patches(ast.parse(path.read_text())) == (named(path) in PATCHED)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_test_is_skipped_without_a_reason(path: Path) -> None:
    assert skips(ast.parse(path.read_text())) == (named(path) in SKIPPED)


@pytest.mark.parametrize(
    "text",
    [
        "import pytest\n@pytest.mark.skip\ndef test(): pass",
        "import pytest as test\nlater = test.mark.xfail(strict=False)",
        "from pytest import skip as leave_out",
    ],
)
def test_a_skip_is_found(text: str) -> None:
    assert skips(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "import time as clock\nclock.sleep(1)",
        "from time import perf_counter_ns",
        "import time\nassert time.time() < end",
        "import asyncio\nasync def late(): await asyncio.sleep(1)",
        "from timeit import timeit",
    ],
)
def test_a_clock_is_found(text: str) -> None:
    assert reads_a_clock(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "import unittest.mock",
        "from unittest import mock",
        "from unittest.mock import patch",
        "def test(monkeypatch): monkeypatch.setattr(limits, 'MAX', 1)",
        "def test(replace: pytest.MonkeyPatch): replace.setitem(sys.modules, 'x', None)",
        "from target_stitch_import import limits\nlimits.MAX = 1",
        "from target_stitch_import.run.http import Http\nHttp.send = None",
        "import target_stitch_import.limits as bounds\ndel bounds.MAX",
    ],
)
def test_a_patch_is_found(text: str) -> None:
    assert patches(ast.parse(text))


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
        and not any(f"{name}_".startswith(f"{other}_") for other in NOT_MODULES)
    ]
