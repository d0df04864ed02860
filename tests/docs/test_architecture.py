"""docs/architecture.md agrees with the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

from tools import module_tables, purity, sizes

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "target_stitch_import"
PAGE = module_tables.PAGE.read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
ABOVE_THE_TABLES = PAGE.partition("\n## Modules\n")[0]
FOLDERS = (
    *(ROOT, PACKAGE, PACKAGE / "local"),
    *(ROOT / "tests" / "taps", ROOT / ".github" / "workflows"),
)
"""The folders that the paths on these pages are within."""


def section(title: str) -> str:
    """Return the text below a heading of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


CHANGES = dict(
    re.findall(r"^\| (?!…|-)(.+?) \| (.*) \|$", section("Where do I change …"), re.MULTILINE)
)
"""What one may want to change, and the rest of its row."""


def test_the_tables_of_modules_are_current() -> None:
    assert module_tables.current() == PAGE, "run `python -m tools.module_tables`"
    tables = re.findall(r"<!-- modules: (\S+) -->", PAGE)
    assert sorted(tables) == sorted(module_tables.folders())


@pytest.mark.parametrize("change", CHANGES)
def test_files_in_the_change_table_exist(change: str) -> None:
    """The second column names files, and each name in a row is in one of the row's files."""
    files, then = CHANGES[change].split(" |")
    assert re.search(r"`[\w/]+\.\w+`", files)
    assert not [name for name in paths(files) if not (PACKAGE / name).exists()]
    found = [place(name) for name in paths(f"{files} {then}")]
    texts = "\n".join(path.read_text() for path in found if path and path.suffix == ".py")
    names = re.findall(r"`(\w+)`", f"{change} {files} {then}")
    assert not [name for name in names if not place(name) and not re.search(rf"\b{name}\b", texts)]


def test_the_change_table_has_at_least_20_rows() -> None:
    assert len(CHANGES) >= 20


def test_every_package_has_its_paragraph() -> None:
    text = section("Packages")
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(re.findall(r"^- \*\*`(\w+)/`\*\*", text, re.MULTILINE)) == packages
    top = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert top <= set(re.findall(r"`(\w+)`", text))


def test_the_page_lists_the_pure_packages() -> None:
    [names] = re.findall(r"^(`singer`.*?) are pure", section("Packages"), re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", names)) == purity.PURE


def paths(text: str) -> list[str]:
    """Return the files and folders that `text` names."""
    return re.findall(r"`([\w./-]*(?:/[\w./-]*|\.(?:py|md|yml|toml)))`", text)


def place(name: str) -> Path | None:
    """Return a path as a page names it, if there is one; modules may lack `.py`."""
    candidates = [folder / f"{name}{suffix}" for folder in FOLDERS for suffix in ("", ".py")]
    return next((each for each in candidates if each.exists()), None)


@pytest.mark.parametrize("page", [ABOVE_THE_TABLES, CONTRIBUTING], ids=["here", "CONTRIBUTING"])
def test_paths_and_programs_that_the_page_names_exist(page: str) -> None:
    named = set(paths(page)) - {"build/docs"}  # which `make docs` writes
    assert len(named) > 9
    assert not [name for name in named if "*" not in name and not place(name)]
    programs = re.findall(r"`python -m tools\.(\w+)`", page)
    assert programs
    assert not [name for name in programs if not (ROOT / "tools" / f"{name}.py").is_file()]


def definitions() -> dict[str, set[str]]:
    """Return the classes and functions of the package, with their members and parameters."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                texts = {ast.unparse(each) for each in ast.walk(node) if isinstance(each, ast.expr)}
                methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
                members = methods | {each.removeprefix("self.") for each in texts}
                found.setdefault(node.name, set()).update(members)
            elif isinstance(node, ast.FunctionDef):
                names = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
                found.setdefault(node.name, set()).update(names)
    return found


def test_classes_methods_and_parameters_that_the_page_names_exist() -> None:
    """Such as `Span`, `Rows.types` and `Pipeline.receive(event, now, clock_ns)`."""
    known = definitions()
    text = section("How it works")
    named = re.findall(r"`([A-Z][a-z]\w+)(?:\.(\w+))?(?:\(.*?\))?`", text)
    assert len(named) > 15
    assert not [each for each in named if each[0] not in known]
    assert not [(name, member) for name, member in named if member and member not in known[name]]
    calls = re.findall(r"`(?:[A-Z]\w+\.)?([a-z]\w+)\((.*?)\)`", text)
    assert len(calls) > 2
    for name, given in calls:
        assert set(given.split(", ")) - {"..."} <= known[name]
    glossary = section("How it works").partition("### Glossary")[2].partition("\n### ")[0]
    modules = {path.stem for path in PACKAGE.rglob("*.py")}
    assert set(re.findall(r"`([a-z]\w+)`", glossary)) <= modules


def test_the_importers_of_the_local_import_api_are_named() -> None:
    settings = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    [contract] = [
        each
        for each in settings["tool"]["importlinter"]["contracts"]
        if each["type"] == "protected"
    ]
    [names] = re.findall(r"Only ([^.]*) import it\.", " ".join(section("Packages").split()))
    allowed = {each.rpartition(".")[2] for each in contract["allowed_importers"]}
    assert set(re.findall(r"`(\w+)/?`", names)) == allowed


@pytest.mark.parametrize("page", [PAGE, CONTRIBUTING], ids=["here", "CONTRIBUTING"])
def test_the_limits_of_sizes_are_named(page: str) -> None:
    limits = (
        rf"under {sizes.MAX_FILE_LINES} lines,?( and)? functions under {sizes.MAX_FUNCTION_LINES}\b"
    )
    assert re.search(limits, " ".join(page.split()))
