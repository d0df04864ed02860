"""The demo on a slice of its data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 16 + 15 * 30
"""All airlines, and thirty rows of each other file: three, and twelve months of flights."""
ROWS = {"airlines": 16, "airports": 30, "planes": 30, "weather": 30, "flights": 12 * 30}


def demo(folder: Path, limit: int = LIMIT) -> str:
    """Run the demo in `folder`; return its output."""
    done = subprocess.run(
        [sys.executable, ROOT / "demo" / "run.py", "--limit", str(limit)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    path = folder / ".demo" / "nycflights13.duckdb"
    with duckdb.connect(str(path), read_only=True) as database:
        return database.execute(sql).fetchall()


def counts(folder: Path) -> dict[str, int]:
    sql = "select count(*) from import_api.{}"
    return {name: query(folder, sql.format(name))[0][0] for name in ROWS}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the demo ran once, and its output."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo(folder)


def test_demo_loads_typed_tables(first: tuple[Path, str]) -> None:
    folder, shown = first
    assert "436 records acknowledged" in shown
    assert "30 records acknowledged" in shown, "December comes alone, in a second run"
    assert counts(folder) == ROWS
    assert query(folder, "select count(*) from import_api._sdc_rejected") == [(0,)]
    types = query(
        folder,
        """
        select distinct data_type, bool_or(column_name = 'dep_delay'),
            bool_or(column_name = 'temp'), bool_or(column_name = 'time_hour')
        from information_schema.columns
        where table_schema = 'import_api' and table_name in ('flights', 'weather')
        group by 1 order by 1
        """,
    )
    assert types == [
        ("BIGINT", True, False, False),
        ("DOUBLE", False, True, False),
        ("TIMESTAMP", False, False, True),
        ("VARCHAR", False, False, False),
    ]


def test_a_second_demo_continues_from_the_saved_state(first: tuple[Path, str]) -> None:
    """Also when the run before it was killed while it wrote a state."""
    folder, _ = first
    with (folder / ".demo" / "states.jsonl").open("a") as states:
        states.write('{"bookmarks":{"airl')
    assert "Nothing new" in demo(folder)
    assert counts(folder) == ROWS


def test_the_demo_starts_again_without_its_database(first: tuple[Path, str]) -> None:
    folder, _ = first
    (folder / ".demo" / "nycflights13.duckdb").unlink()
    assert "First run" in demo(folder)
    assert counts(folder) == ROWS


def test_the_demo_loads_up_to_its_limit(first: tuple[Path, str]) -> None:
    """With another limit, everything is loaded again, as the tap would skip files that it knows."""
    folder, shown = first
    assert "LIMIT=466: the first 30 rows of each file, 466 of 367,687." in shown
    fewer = demo(folder, 100)
    assert "another LIMIT" in fewer
    assert "the first 6 rows of each file, 96 of 367,687." in fewer
    assert sum(counts(folder).values()) == 96
    assert counts(folder)["flights"] == 72
