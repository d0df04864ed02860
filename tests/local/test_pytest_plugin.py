"""The pytest plugin, as the tests of another project use it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

USED = """
import requests

BATCH = {
    "table_name": "t",
    "schema": {"properties": {"id": {"type": "integer"}}},
    "messages": [{"action": "upsert", "sequence": 1, "data": {"id": 1}}],
}
urls = set()


def deliver(api, token="T1"):
    urls.add(api.url)
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(f"{api.url}/v2/import/batch", json=BATCH, headers=headers, timeout=10)


def test_one(import_api):
    import_api.set_faults([{"kind": "down", "times": "always"}])
    assert deliver(import_api).status_code == 503


def test_two(import_api):
    assert import_api.tables() == []
    assert deliver(import_api).status_code == 201
    assert len(import_api.requests()) == 1


def test_three(import_api):
    assert (import_api.tables(), import_api.requests()) == ([], [])
    assert len(urls) == 1, "one server for all"
"""
UNUSED = """
import sys


def test_nothing_is_imported():
    # The Singer SDK brings a plugin of its own, with what that imports.
    assert {"duckdb", "starlette", "uvicorn", "jinja2", "msgspec"}.isdisjoint(sys.modules)
"""
ACCOUNTS = """
import pytest


@pytest.fixture(scope="session")
def import_api_options():
    sources = [{"id": 1, "tokens": [{"id": 1, "token": "mine"}]}]
    return {"accounts": {"clients": [{"client_id": 1, "sources": sources}]}}
"""
TOKENS = """
import requests


def test_tokens(import_api):
    for token, status in (("mine", 200), ("other", 401)):
        answer = requests.post(
            f"{import_api.url}/v2/import/validate",
            json=[{"client_id": 1, "table_name": "t", "sequence": 1, "action": "upsert",
                   "key_names": ["id"], "data": {"id": 1}}],
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
        assert answer.status_code == status
"""


def run(folder: Path, *options: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with only these files."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
    )


def test_each_test_gets_an_empty_import_api(tmp_path: Path) -> None:
    done = run(tmp_path, test_used=USED)
    assert "3 passed" in done.stdout, done.stdout


def test_an_unused_plugin_imports_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, test_unused=UNUSED)
    assert "1 passed" in done.stdout, done.stdout


def test_options_of_the_plugin_can_be_overridden(tmp_path: Path) -> None:
    done = run(tmp_path, conftest=ACCOUNTS, test_tokens=TOKENS)
    assert "1 passed" in done.stdout, done.stdout


def test_pytest_lists_the_fixture(tmp_path: Path) -> None:
    done = run(tmp_path, "--fixtures", test_unused=UNUSED)
    assert "import_api -- " in done.stdout
