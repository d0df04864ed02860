"""Bulk loading of rows and definitions into DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from target_stitch_import.local.warehouse.bulk import Bulk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def optimizes(bulk: Bulk) -> bool:
    """Return whether the optimizer is on: without it, a join is planned as a cross product."""
    join = "EXPLAIN FROM numbers a, numbers b WHERE a.n = b.n"
    [(_, plan)] = bulk.connection.execute(join).fetchall()
    return "CROSS PRODUCT" not in plan.upper().replace("_", " ")


@pytest.fixture
def bulk(tmp_path: Path) -> Iterator[Bulk]:
    """A database with one table."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE numbers AS FROM range(3) t(n)")
        yield Bulk(connection, tmp_path)


def test_definitions_leave_the_optimizer_on(bulk: Bulk) -> None:
    bulk.define(["CREATE VIEW one AS SELECT n FROM numbers", "CREATE VIEW two AS FROM one"])
    assert bulk.connection.execute("FROM two").fetchall() == [(0,), (1,), (2,)]
    assert optimizes(bulk)


@pytest.mark.parametrize("wrong", ["CREATE VIEW two AS FROM nothing", "CREATE VIEW SELECT"])
def test_a_definition_that_fails_ends_the_transaction(bulk: Bulk, wrong: str) -> None:
    """And the optimizer is on again, without which the next load could take forever."""
    bulk.connection.execute("BEGIN TRANSACTION")
    with pytest.raises(duckdb.Error):
        bulk.define(["CREATE VIEW one AS FROM numbers", wrong])
    assert optimizes(bulk)
    views = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    assert bulk.connection.execute(views).fetchall() == []
