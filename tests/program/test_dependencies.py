"""The dependencies in `pyproject.toml` are those that the package imports."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import msgspec
import pytest

from target_stitch_import.local.extra import MODULES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "target_stitch_import"
USERS = {
    "": re.compile(""),
    "local": re.compile("local/"),
    "parquet": re.compile(r"run/(arrow_|parquet_rows\b)"),
    "spark": re.compile("spark/"),
}
"""Which modules may import the dependencies of an extra; those without an extra, all."""
NOT_OURS = {
    "pytest": "is there when pytest loads the plugin",
    "typing_extensions": "is imported by type checkers only",
}
NAMED_OTHERWISE = {"dotenv": "python-dotenv", "yaml": "PyYAML"}
"""Modules with another name than their distribution."""
SETTINGS = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())


def names(requirements: list[str]) -> set[str]:
    """Return the normalised names of the distributions that are required."""
    return {re.sub(r"[_.]", "-", re.split(r"[^\w.-]", each)[0]).lower() for each in requirements}


DECLARED = {
    extra: names(requirements)
    for extra, requirements in {
        "": SETTINGS["project"]["dependencies"],
        **SETTINGS["project"]["optional-dependencies"],
    }.items()
}


def imported(text: str) -> set[str]:
    """Return the distributions from which the code imports, except for Python's own library."""
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.partition(".")[0])
    modules -= {*sys.stdlib_module_names, *NOT_OURS, PACKAGE.name}
    return names([NAMED_OTHERWISE.get(module, module) for module in modules])


def undeclared(module: str, text: str) -> set[str]:
    """Return the distributions that a module imports, but may be missing where it runs."""
    extras = [extra for extra, users in USERS.items() if users.match(module)]
    return imported(text) - set().union(*(DECLARED[extra] for extra in extras))


SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}


def test_each_import_is_of_a_declared_dependency() -> None:
    found = {module: undeclared(module, text) for module, text in SOURCES.items()}
    assert not {module: missing for module, missing in found.items() if missing}


@pytest.mark.parametrize("extra", DECLARED)
def test_each_declared_dependency_is_imported(extra: str) -> None:
    texts = [text for module, text in SOURCES.items() if USERS[extra].match(module)]
    assert DECLARED[extra] - set().union(*map(imported, texts)) == set()


@pytest.mark.parametrize(
    ("module", "text", "missing"),
    [
        ("run/http.py", "import idna", {"idna"}),  # only a dependency of `requests`
        ("run/http.py", "def late():\n    import duckdb", {"duckdb"}),
        ("run/http.py", "from pyarrow.parquet import ParquetFile", {"pyarrow"}),
        ("local/extra.py", "from hypothesis import given", {"hypothesis"}),
        ("local/extra.py", "from jinja2 import Environment", set()),
        ("config/sources.py", "from dotenv import dotenv_values\nimport yaml, os.path", set()),
    ],
)
def test_what_is_not_declared_is_found(module: str, text: str, missing: set[str]) -> None:
    assert undeclared(module, text) == missing


def test_the_local_import_api_looks_for_each_dependency() -> None:
    assert names(list(MODULES)) == DECLARED["local"]


def test_every_requirement_is_locked_and_has_bounds() -> None:
    """`make lock` updates the lock."""
    project = SETTINGS["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *extras["local"], *extras["parquet"]]
    locked = names((ROOT / "requirements-dev.txt").read_text().splitlines())
    assert names([*required, *SETTINGS["dependency-groups"]["dev"]]) <= locked
    assert not [each for each in [*required, *extras["spark"]] if ">=" not in each]
    assert not [each for each in project["dependencies"] if ",<" not in each]
