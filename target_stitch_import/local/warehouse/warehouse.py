"""The warehouse of a destination, in DuckDB: one load is one transaction.

When `load` returns, its rows are committed to the file; when it raises, nothing has changed.
Names that come from data are always quoted.
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

import gc
import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from target_stitch_import.local.warehouse import store
from target_stitch_import.local.warehouse.bulk import Bulk
from target_stitch_import.local.warehouse.catalog import BATCHED_AT, SUBTABLE
from target_stitch_import.local.warehouse.digits import Extent, extent
from target_stitch_import.local.warehouse.plan import (
    Plan,
    Planner,
    Rejection,
    collides,
    without_records,
)
from target_stitch_import.local.warehouse.store import quoted
from target_stitch_import.local.warehouse.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from target_stitch_import.local.api.batch import Load
    from target_stitch_import.local.warehouse.catalog import Column, Table
    from target_stitch_import.local.warehouse.profiles import Profile

_STORAGE_ERRORS = (duckdb.IOException, duckdb.TransactionException, OSError)
# The errors that a value in the data can cause; any other is a bug here, and the answer is 500.
VALUE_ERRORS = (duckdb.DataError, duckdb.InvalidInputException)
_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
MAX_REJECTED_CHARACTERS = 65_535  # "as much raw record as fits"
# The fault is elsewhere if this many records of a load fail alone, or if all of several do.
MAX_CULPRITS = 20


@dataclass(slots=True)
class _Job:
    """One request's load: what all attempts at it share."""

    schema: str
    received_at: datetime
    rejected: list[tuple[str, Rejection]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of one load: rows that arrived, also those of subtables, and rows rejected."""

    rows: int
    rejected: int


class StorageError(Exception):
    """The database's disk is full or cannot be written; nothing of the request was kept."""


class Warehouse:
    """DuckDB as a Stitch destination; safe to call from several threads.

    `database` is a file, readable only by its owner, or None for memory.
    """

    def __init__(self, database: Path | None, profile: Profile, *, flatten: bool) -> None:
        self._lock = threading.Lock()
        self._profile = profile
        self._flatten = flatten
        self._scratch = tempfile.TemporaryDirectory(prefix="stitch-import-")
        self._connection = _open(database)
        self._bulk = Bulk(self._connection, Path(self._scratch.name))
        self._wal_file = Path(f"{database}.wal") if database is not None else None
        self._tables: dict[str, dict[str, Table]] = store.read_catalog(self._connection)

    def load(self, source_name: str, loads: list[Load], received_at: datetime) -> Loaded:
        """Store one accepted request in its source's schema, durably and in one transaction."""
        schema = store.schema_name(source_name)
        with self._lock, _uncollected():
            job = _Job(schema, received_at)
            while True:
                try:
                    with self._transaction():
                        tables, loaded = self._apply(job, loads)
                    break
                except VALUE_ERRORS as error:
                    # The plan missed a value that does not fit: reject its record, load the rest.
                    loads = self._without_culprits(job, loads, _first_line(error))
            self._tables[schema] = tables
            return loaded

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement outside the loads and return its rows."""
        with self._lock:
            cursor = self._connection.cursor()
        try:
            return cursor.execute(store.USE).execute(sql, parameters or []).fetchall()
        finally:
            cursor.close()

    def tables(self) -> list[Table]:
        """Return copies of the tables that exist, in order of creation."""
        with self._lock:
            return [
                table.copy()
                for tables in self._tables.values()
                for table in tables.values()
                if table.columns
            ]

    @property
    def destination_type(self) -> str:
        """Connect's name for the type of destination."""
        return self._profile.connect_type

    def streams(self, source_name: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return the tables that arrived for a source, named as sent, with their keys."""
        schema = store.schema_name(source_name)
        return [
            (table.raw_name, table.key_names)
            for table in self.tables()
            if table.schema == schema and table.root is None
        ]

    def overview(self) -> list[tuple[Table, int, datetime | None]]:
        """Return each table with its visible rows, and the load time (UTC) of the newest."""
        tables = self.tables()
        totals = f"count(*), max({BATCHED_AT})"
        parts = []
        for at, table in enumerate(tables):
            if table.root is None:
                parts.append(f"SELECT {at}, 0, {totals} FROM {store.main_relation(table)}")
            if table.shelf is not None:
                shelf = store.main_relation(table.shelf)
                parts.append(f"SELECT {at}, {SUBTABLE}, {totals} FROM {shelf} GROUP BY {SUBTABLE}")
        found: dict[tuple[str, str, int], tuple[int, datetime]] = {}
        for at, number, count, loaded_at in self.query(" UNION ALL ".join(parts)) if parts else []:
            found[tables[at].schema, tables[at].name, number] = count, loaded_at
        return [
            (table, *found.get((table.schema, table.root or table.name, table.number), (0, None)))
            for table in tables
        ]

    def find(self, schema: str, name: str) -> Table | None:
        """Return a copy of the table of that name, if there is one."""
        with self._lock:
            known = self._tables.get(schema, {}).get(name.lower())
        return known.copy() if known is not None and known.columns else None

    def schemas(self) -> list[str]:
        """Return the schemas that loads created."""
        with self._lock:
            return list(self._tables)

    def summary(self) -> list[dict[str, Any]]:
        """Return each table with its number of rows, columns and types, as JSON."""
        return [
            {
                "schema": table.schema,
                "table": table.name,
                "rows": count,
                "columns": {column.name: column.sql_type for column in table.columns.values()},
            }
            for table, count, _ in self.overview()
        ]

    def reset(self) -> None:
        """Drop all tables and schemas."""
        with self._lock:
            with self._transaction():
                store.drop_everything(self._connection)
            self._tables = {}

    def close(self) -> None:
        """Close the database; nothing may be called afterwards."""
        with self._lock:
            self._connection.close()
            self._scratch.cleanup()

    def _apply(self, job: _Job, loads: list[Load]) -> tuple[dict[str, Table], Loaded]:
        """Write loads inside a transaction; return the schema's tables afterwards."""
        if job.schema not in self._tables:
            store.ensure_schema(self._connection, job.schema)
        tables = dict(self._tables.get(job.schema, {}))
        rows = 0
        rejected = list(job.rejected)
        for load in loads:
            root = tables.get(self._profile.name(load.table_name, table=True).lower())
            if root is not None and load.version < root.version and not collides(load, root):
                continue  # rows of a version already replaced are never visible
            planner = Planner(self._profile, partial(self._measure, tables), flatten=self._flatten)
            plan = planner.plan(load, tables, job.schema)
            rejected += [(load.table_name, each) for each in plan.rejections]
            if plan.tables:
                stored, changed = self._write(plan, tables, job.received_at)
                tables.update(changed)
                rows += stored
        store.write_rejections(
            self._bulk,
            job.schema,
            [(table, each.reason, _text(each.record)) for table, each in rejected],
        )
        known = self._tables.get(job.schema, {})
        altered = [table for name, table in tables.items() if known.get(name) != table]
        store.write_changes(self._bulk, altered, known)
        store.write_catalog(self._bulk, altered)
        return tables, Loaded(rows, len(rejected))

    def _write(
        self, plan: Plan, known: dict[str, Table], received_at: datetime
    ) -> tuple[int, dict[str, Table]]:
        root = plan.tables[0].table
        writer = Writer(self._bulk, received_at)
        rows, changed = writer.store(plan, known)
        planned = [each.table for each in plan.tables if each.table.columns]
        changed |= {table.name.lower(): table for table in [root, *planned]}
        if plan.load.activate and plan.load.version != root.version:
            writer.activate(root, plan.load.version)
            subtables = {
                name: table.copy() for name, table in known.items() if table.root == root.name
            }
            changed = subtables | changed
            for table in changed.values():
                table.version = plan.load.version
        return rows, changed

    def _without_culprits(self, job: _Job, loads: list[Load], reason: str) -> list[Load]:
        """Halve each load until the records that fail on their own are known, and reject them.

        Raises RuntimeError if no record is at fault, or so many that the fault must be elsewhere.
        """
        kept: list[Load] = []
        found = 0
        for load in loads:
            culprits: set[int] = set()
            pending = [range(len(load.records))]
            while pending:
                part = pending.pop()
                if not part or not self._fails(
                    job, without_records(load, set(range(len(load.records))) - set(part))
                ):
                    continue
                if len(part) == 1:
                    culprits.update(part)
                    if len(culprits) == min(MAX_CULPRITS, max(len(load.records), 2)):
                        raise RuntimeError(f"the warehouse cannot load: {reason}")
                else:
                    middle = len(part) // 2
                    pending += [part[:middle], part[middle:]]
            job.rejected += [
                (load.table_name, Rejection(reason, load.records[at])) for at in sorted(culprits)
            ]
            found += len(culprits)
            kept.append(without_records(load, culprits))
        if not found:
            raise RuntimeError(f"the warehouse cannot load: {reason}")
        return kept

    def _fails(self, job: _Job, load: Load) -> bool:
        try:
            with self._transaction(keep=False):
                self._apply(job, [load])
        except VALUE_ERRORS:
            return True
        return False

    def _measure(self, tables: dict[str, Table], table: Table, column: Column) -> Extent:
        """Measure the digits a number column holds, in every relation with its values."""
        total = Extent()
        name = quoted(column.slot or column.name)
        where = f"{name} IS NOT NULL"
        stored: Table | None = table
        if table.root is not None:
            stored = tables[table.root.lower()].shelf
            where += f" AND {SUBTABLE} = {table.number}"
        for relation in store.relations(stored) if stored is not None else []:
            for (value,) in self._connection.execute(
                f"SELECT DISTINCT {name}::VARCHAR FROM {relation} WHERE {where}"
            ).fetchall():
                total |= extent(Decimal(value))
        return total

    @contextmanager
    def _transaction(self, *, keep: bool = True) -> Iterator[None]:
        self._connection.execute("BEGIN TRANSACTION")
        try:
            yield
            self._connection.execute("COMMIT" if keep else "ROLLBACK")
        except BaseException as error:
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            if isinstance(error, _STORAGE_ERRORS):
                raise StorageError(_first_line(error)) from None
            raise
        if self._wal_file is not None:
            with suppress(FileNotFoundError):
                self._wal_file.chmod(0o600)  # DuckDB creates it again after each checkpoint


def _open(database: Path | None) -> duckdb.DuckDBPyConnection:
    before = os.umask(0o077)  # a new file is readable only by its owner
    try:
        return store.open_database(database)
    finally:
        os.umask(before)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause garbage collection, which would scan the many objects of a load again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _text(record: Any) -> str:
    return _ENCODER.encode(record).decode()[:MAX_REJECTED_CHARACTERS]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:500]
