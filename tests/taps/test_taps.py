"""Databases through their taps: the warehouse has the values of the source."""

from __future__ import annotations

import re
import signal
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.taps.pipes import piped
from tests.taps.reading import NUMBER, loaded
from tests.taps.sources import logged_of, tables_of

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi
    from tests.taps.sources import Source

pytestmark = pytest.mark.timeout(300)


def test_all_types_and_names_in_one_run(
    source: Source, warehouse: ImportApi, tmp_path: Path
) -> None:
    names = tables_of(source.name)
    assert names
    pipe = piped(source.over("plain"), tmp_path, warehouse)
    pipe.select([f"plain-{name}" for name in names], "FULL_TABLE")
    outcome = pipe.run()
    assert outcome.status == 0, outcome.log[-2_000:]
    assert outcome.states
    assert source.all_differences(warehouse, "plain", names) == {}


def test_full_tables_follow_their_source(
    source: Source, warehouse: ImportApi, tmp_path: Path
) -> None:
    """A deleted row leaves the table if the tap sends versions, and stays if it does not."""
    schema = f"full_{source.name}"
    names = ["integers", "no_key", "texts", "empty_table"]
    source.server.copy(schema, names)
    source.server.fill(schema, names)
    pipe = piped(source.over(schema), tmp_path, warehouse)
    pipe.select([f"{schema}-{name}" for name in names], "FULL_TABLE")
    assert pipe.run().status == 0
    assert source.all_differences(warehouse, schema, names) == {}
    source.server.run(
        f"""
        UPDATE {schema}.integers SET small = 7 WHERE id = 0;
        UPDATE {schema}.texts SET t = 'other' WHERE id = 1;
        INSERT INTO {schema}.empty_table VALUES (1, 'no more'), (2, NULL);
        DELETE FROM {schema}.integers WHERE id = 1;
        DELETE FROM {schema}.no_key WHERE v = 1;
        """  # noqa: S608 - our own names
    )
    assert pipe.run().status == 0
    same = names if source.versions else ["texts", "empty_table"]
    assert source.all_differences(warehouse, schema, same) == {}
    assert not source.differences(warehouse, schema, "integers", "id <> 1")


def test_incremental_runs_continue_where_the_last_one_ended(
    source: Source, warehouse: ImportApi, tmp_path: Path
) -> None:
    schema = f"incremental_{source.name}"
    source.server.copy(schema, ["orders"])
    source.server.fill(schema, ["orders"])
    pipe = piped(source.over(schema), tmp_path, warehouse)
    pipe.select([f"{schema}-orders"], "INCREMENTAL", "updated")
    assert pipe.run().status == 0
    assert not source.differences(warehouse, schema, "orders")
    source.server.run(
        f"""
        UPDATE {schema}.orders SET name = 'changed', updated = '2025-01-01' WHERE id % 3000 = 1;
        INSERT INTO {schema}.orders VALUES (20000, NULL, 'new', NULL, '2025-01-02 00:00:00');
        """  # noqa: S608 - our own names
    )
    second = pipe.run()
    assert second.status == 0
    read = re.search(r'"record_count","value":(\d+)', second.log)
    assert read
    assert int(read[1]) == 6  # the last row of the first run comes again
    assert not source.differences(warehouse, schema, "orders")


def test_all_types_and_changes_from_the_log(
    source: Source, warehouse: ImportApi, tmp_path: Path
) -> None:
    """Tables are filled and changed after the first run; a deleted row is marked."""
    schema = f"log_{source.name[0]}"
    names = logged_of(source.name)
    assert names
    source.server.copy(schema, names)
    source.server.fill(schema, ["orders"])
    source.make_slot()
    pipe = piped(source.over(schema, log=True), tmp_path, warehouse)
    pipe.settings |= source.log_settings
    pipe.select([f"{schema}-{name}" for name in names], "LOG_BASED")
    first = pipe.run()
    assert first.status == 0, first.log[-2_000:]
    source.server.fill(schema, [name for name in names if name != "orders"])
    source.server.run(
        f"""
        UPDATE {schema}.orders SET name = 'changed' WHERE id % 1000 = 0;
        INSERT INTO {schema}.orders VALUES (20000, NULL, 'new', NULL, '2025-01-02 00:00:00');
        DELETE FROM {schema}.orders WHERE id <= 10;
        UPDATE {schema}.integers SET whole = 7 WHERE id = 0;
        UPDATE {schema}.texts SET v = 'changed' WHERE id = 1;
        DELETE FROM {schema}.composite_key WHERE country = 'de' AND number = 1;
        """  # noqa: S608 - our own names
    )
    second = pipe.run()
    assert second.status == 0, second.log[-2_000:]
    assert second.states
    assert source.all_differences(warehouse, schema, names, log=True) == {}
    stream, gone = f"{schema}-orders", "_sdc_deleted_at IS NOT NULL"
    marked = loaded(warehouse, stream, {"id": NUMBER}, gone)
    assert marked == Counter((Decimal(number),) for number in range(1, 11))


@pytest.mark.parametrize("method", ["FULL_TABLE", "INCREMENTAL"])
def test_killed_within_a_table_and_resumed(
    source: Source, warehouse: ImportApi, tmp_path: Path, method: str
) -> None:
    """`kill -9` once the table has a state; the next run continues from the last one."""
    schema = f"killed_{method.lower()}_{source.name}"
    source.server.copy(schema, ["orders"])
    source.server.fill(schema, ["orders"])
    pipe = piped(source.over(schema), tmp_path, warehouse)
    key = "updated" if method == "INCREMENTAL" else None
    pipe.select([f"{schema}-orders"], method, key)
    killed = pipe.run(
        until=lambda states: bool(states) and "bookmarks" in states[-1],
        batch_size_rows=500,
        max_buffer_bytes=200_000,
    )
    assert killed.status == -signal.SIGKILL
    assert pipe.run().status == 0
    if method in source.whole_only_next_time:
        assert pipe.run().status == 0
    assert not source.differences(warehouse, schema, "orders")


@pytest.mark.parametrize("source", ["meltano", "pipelinewise"], indirect=True)
def test_unchanged_values_of_an_updated_row_in_the_log(
    source: Source, warehouse: ImportApi, tmp_path: Path
) -> None:
    """PostgreSQL leaves out values that it stores outside the row, and sends those in it.

    Numbers within JSON are exact.
    """
    schema = f"toast_{source.name}"
    source.server.run(
        f"""
        CREATE SCHEMA {schema};
        CREATE TABLE {schema}.toasted (id int PRIMARY KEY, n int, long text, kept text, j jsonb);
        ALTER TABLE {schema}.toasted
          ALTER long SET STORAGE EXTERNAL, ALTER kept SET STORAGE MAIN, ALTER j SET STORAGE MAIN;
        """
    )
    source.make_slot()
    pipe = piped(source.over(schema, log=True), tmp_path, warehouse)
    pipe.select([f"{schema}-toasted"], "LOG_BASED")
    assert pipe.run().status == 0
    exact = '{"a":{"b":[9007199254740993,-9223372036854775808]}}'
    source.server.run(
        f"""
        INSERT INTO {schema}.toasted
        VALUES (1, 1, repeat('x', 5000), repeat('y', 5000), '{exact}');
        """  # noqa: S608 - our own names
    )
    assert pipe.run().status == 0
    table = f'import_api."{schema}-toasted"'
    select = f"SELECT n, length(long), length(kept), replace(j, ' ', '') FROM {table}"  # noqa: S608
    assert warehouse.query(select) == [(1, 5000, 5000, exact)]
    source.server.run(f"UPDATE {schema}.toasted SET n = 2")  # noqa: S608 - our own names
    assert pipe.run().status == 0
    assert warehouse.query(select) == [(2, None, 5000, exact)]
