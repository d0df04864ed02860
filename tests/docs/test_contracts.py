"""Each contract of the architecture fails when it is broken: tried on a copy, break by break."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.support.import_contracts import ImportContracts
from tools import purity, sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = "target_stitch_import"
IMPORTS = {
    "a package imports one above it": ("Packages", "run/sender.py", "from {} import app"),
    "a pure package imports run": ("Packages", "batching/ledger.py", "from {}.run import http"),
    "two packages side by side": ("Packages", "singer/lines.py", "from {}.schema import draft4"),
    "a type is an import, too": (
        "Packages",
        "singer/lines.py",
        "if TYPE_CHECKING:\n    from {}.app import RunOptions",
    ),
    "a late import is an import, too": (
        "Packages",
        "singer/lines.py",
        "def late():\n    from {} import cli",
    ),
    "the local Import API imports a package": (
        "Packages",
        "local/extra.py",
        "from {}.schema import date_times",
    ),
    "the local Import API imports the client's limits": (
        "Packages",
        "local/extra.py",
        "from {} import limits",
    ),
    "the local Import API imports a base module where it need not": (
        "Packages",
        "local/options.py",
        "from {}.errors import ConfigurationError",
    ),
    "the top level imports what every import would then import": (
        "The top level imports nothing",
        "__init__.py",
        "from {}.target import TargetStitchImport",
    ),
    "a module without a layer": ("Packages", "another.py", ""),
    "a package without a layer": ("Packages", "another/__init__.py", ""),
    "the core imports the local Import API": (
        "The local Import API is a product of its own",
        "run/http.py",
        "from {} import local",
    ),
    "config imports the local Import API": (
        "The local Import API is a product of its own",
        "config/settings.py",
        "from {}.local.warehouse import profiles",
    ),
}
LOWEST_TO_HIGHEST = {
    "singer": ("lines", "messages"),
    "schema": ("draft4", "checks"),
    "batching": ("payload", "pipeline"),
    "delivery": ("redaction", "deliver"),
    "report": ("stats", "observer"),
    "report/page": ("time_axis", "document"),
    "run": ("parquet_rows", "loop"),
    "config": ("checks", "sources"),
    "toolbox": ("common", "push_command"),
    "spark": ("options", "source"),
    "local": ("extra", "server"),
    "local/api": ("values", "service"),
    "local/warehouse": ("profiles", "warehouse"),
    "local/server": ("plot", "runtime"),
}
"""A module of each package, and one of the same package above it."""
IMPORTS |= {
    f"upwards inside {package}": (
        f"Inside {package}",
        f"{package}/{low}.py",
        f"from {{}}.{package.replace('/', '.')} import {high}",
    )
    for package, (low, high) in LOWEST_TO_HIGHEST.items()
}
IMPORTS |= {
    f"a module without a place inside {package}": (f"Inside {package}", f"{package}/another.py", "")
    for package in LOWEST_TO_HIGHEST
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and what configures its checks, in a folder of its own."""
    shutil.copytree(
        ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def add(copy: Path, module: str, text: str) -> None:
    """Write `text` at the end of a module, which need not be there."""
    path = copy / PACKAGE / module
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(text.format(PACKAGE) + "\n")


@pytest.fixture(scope="module")
def contracts() -> Iterator[ImportContracts]:
    process = ImportContracts()
    yield process
    process.close()


def test_the_copy_breaks_nothing(copy: Path, contracts: ImportContracts) -> None:
    assert contracts.broken(copy) == []
    assert list(purity.impurities(copy)) == []


@pytest.mark.parametrize(("contract", "module", "text"), IMPORTS.values(), ids=list(IMPORTS))
def test_a_forbidden_import_breaks_its_contract(
    copy: Path, contracts: ImportContracts, contract: str, module: str, text: str
) -> None:
    add(copy, module, text)
    assert contract in contracts.broken(copy)


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\n\nimportlib.import_module('{}.app')",
        "from importlib import import_module as late\n\nlate('{}.app')",
    ],
)
def test_an_import_that_is_a_call_is_refused(text: str) -> None:
    """The contracts on imports would not see it."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "-"],
        input=text.format(PACKAGE),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "TID251" in done.stdout


def test_each_folder_has_its_layers_and_each_contract_is_tried() -> None:
    """Each package needs layers of its own."""
    settings = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    contracts = settings["tool"]["importlinter"]["contracts"]
    layered = {
        container
        for each in contracts
        if each["type"] == "layers" and each["exhaustive"]
        for container in each["containers"]
    }
    folders = {path.parent for path in (ROOT / PACKAGE).rglob("*.py")}
    assert layered == {".".join(each.relative_to(ROOT).parts) for each in folders}
    assert {each["name"] for each in contracts} == {name for name, *_ in IMPORTS.values()}
    relaxed = {
        (each["name"], key)
        for each in contracts
        for key in ("ignore_imports", "exhaustive_ignores")
        if key in each
    }
    assert relaxed == {("Packages", "ignore_imports")}


IMPURE = {
    "import time": "imports time",
    "import os.path": "imports os.path",
    "from os import environ": "imports os.environ",
    "def late():\n    import socket": "imports socket",
    "import urllib.request": "imports urllib.request",
    "from urllib import request": "imports urllib.request",
    "from email.utils import localtime": "imports email.utils.localtime",
    "from msgspec_of_tomorrow import Raw": "imports msgspec_of_tomorrow.Raw",
    "from {} import private_files": "imports {}.private_files",
    "from ..run import http": "imports ..run.http",
    "open('file')": "uses open",
    "print('here')": "uses print",
    "show = print": "uses print",
    "input()": "uses input",
    "exec('1')": "uses exec",
    "eval('1')": "uses eval",
    "__import__('os')": "uses __import__",
    "bucket = hash(name) % 8": "uses hash",
    "datetime.now()": "asks the clock: now",
    "dt.datetime.now(tz)": "asks the clock: now",
    "datetime.utcnow()": "asks the clock: utcnow",
    "date.today()": "asks the clock: today",
    "clock = datetime.now": "asks the clock: now",
    "moment.astimezone()": "asks for the local time zone: astimezone",
    "moment.timestamp()": "asks for the local time zone: timestamp",
    "datetime.fromtimestamp(0)": "asks for the local time zone: fromtimestamp",
}
IN_PURE_PACKAGES = (
    "singer/lines.py",
    "schema/draft4.py",
    "batching/ledger.py",
    "delivery/verdict.py",
)
"""A module of each pure package."""
PURE_BASE_MODULES = ("errors.py", "limits.py", "pointers.py")
PURE_MODULE = IN_PURE_PACKAGES[0]


@pytest.mark.parametrize("text", IMPURE)
def test_impure_code_is_found(copy: Path, text: str) -> None:
    add(copy, PURE_MODULE, text)
    line = len((copy / PACKAGE / PURE_MODULE).read_text().splitlines())
    fault = IMPURE[text].format(PACKAGE)
    assert list(purity.impurities(copy)) == [f"{PACKAGE}/{PURE_MODULE}:{line}: {fault}"]


@pytest.mark.parametrize("module", [*IN_PURE_PACKAGES, *PURE_BASE_MODULES])
def test_every_pure_module_is_checked(copy: Path, module: str) -> None:
    add(copy, module, "import subprocess")
    [fault] = purity.impurities(copy)
    assert fault.startswith(f"{PACKAGE}/{module}:")


def test_code_that_only_looks_impure_is_allowed() -> None:
    """An `outcome.now` was passed in, and `re.compile` is not the compiler."""
    tree = ast.parse("spent = outcome.now - start\nre.compile('x')\nmoment.astimezone(utc)")
    assert list(purity.faults(tree)) == []


def test_nothing_is_too_long_without_a_reason() -> None:
    assert sizes.faults(ROOT) == []
    assert len(sizes.LONGER) <= 12


def test_every_folder_of_code_is_checked() -> None:
    """By `tools.sizes` and mypy; ruff needs no list."""
    settings = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    folders = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/**/*.py")}
    assert folders - {"build"} == set(sizes.FOLDERS) == set(settings["tool"]["mypy"]["files"])


@pytest.mark.parametrize("folder", sizes.FOLDERS)
def test_a_long_file_or_function_is_found(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder / "part").mkdir(parents=True)
    long = tmp_path / folder / "part" / "long.py"
    function = "async def long():\n" + "    pass\n" * 50
    long.write_text(function + "\n" * 349)
    name = f"{folder}/part/long.py"
    assert sizes.faults(tmp_path, {}) == [f"{name}:long has 51 lines"]
    assert sizes.faults(tmp_path, {f"{name}:long": "reason"}) == []
    long.write_text("\n" * 401)
    assert sizes.faults(tmp_path, {}) == [f"{name} has 401 lines"]
    long.write_text("\n" * 400)
    assert sizes.faults(tmp_path, {}) == []
    assert sizes.faults(tmp_path, {name: "reason"}) == [f"{name} need not be listed any more"]
