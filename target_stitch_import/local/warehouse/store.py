"""Where things are in the warehouse's file: relations, the hidden catalog, rejected records.

Rows of a version that is not yet active wait in a staged relation of the hidden schema.
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import duckdb

from target_stitch_import.local.warehouse.catalog import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from target_stitch_import.local.warehouse.profiles import Kind

HIDDEN = "_stitch_import"  # the catalog and staged rows; `_` first: no name a data table can get
REJECTED = "_sdc_rejected"
CATALOG = "import-api"  # what a connection calls the database: `-`, so no source is named so
_TAKEN = frozenset({"main", "information_schema", "pg_catalog", HIDDEN})
_CATALOG = f"""
CREATE SCHEMA IF NOT EXISTS {HIDDEN};
CREATE TABLE IF NOT EXISTS {HIDDEN}.schemas (name VARCHAR);
CREATE TABLE IF NOT EXISTS {HIDDEN}.tables (
  schema_name VARCHAR, name VARCHAR, raw_name VARCHAR, root VARCHAR, key_names VARCHAR,
  append_only BOOLEAN, version BIGINT, new_version BOOLEAN, staged BOOLEAN, position BIGINT);
CREATE TABLE IF NOT EXISTS {HIDDEN}.columns (
  schema_name VARCHAR, table_name VARCHAR, name VARCHAR, raw_name VARCHAR, kind VARCHAR,
  sql_type VARCHAR, position BIGINT);
"""


def quoted(name: str) -> str:
    """Quote a name for SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


USE = f"USE {quoted(CATALOG)}"
"""What each new cursor must be told, so that `schema.table` means ours."""


def open_database(path: Path | None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a file, or new memory, as CATALOG.

    By its own name, `import_api.duckdb` would make every `import_api.customers` ambiguous.
    """
    connection = duckdb.connect(":memory:")
    place = ":memory:" if path is None else str(path.absolute()).replace("'", "''")
    options = "TYPE duckdb, READ_ONLY" if read_only else "TYPE duckdb"
    try:
        for setting in (
            "SET TimeZone = 'UTC'",
            "SET autoinstall_known_extensions = false",
            "SET autoload_known_extensions = false",
            "SET threads = 2",
            f"ATTACH '{place}' AS {quoted(CATALOG)} ({options})",
            USE,
        ):
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def schema_name(source_name: str) -> str:
    """Name the schema of a source: its own name, but where DuckDB or the loader has that."""
    return f"{source_name}_" if source_name in _TAKEN else source_name


def within(schema: str, name: str) -> str:
    """Name a relation in full."""
    return f"{quoted(CATALOG)}.{quoted(schema)}.{quoted(name)}"


def main_relation(table: Table) -> str:
    """Name the relation people see."""
    return within(table.schema, table.name)


def staged_relation(table: Table) -> str:
    """Name the relation where rows of later versions wait."""
    return within(HIDDEN, f"staged {table.schema}.{table.name}")


def relations(table: Table) -> list[str]:
    """Name the relations that exist for a table."""
    if not table.columns:
        return []
    return [main_relation(table), *([staged_relation(table)] if table.staged else [])]


def read_catalog(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Table]]:
    """Read what the file holds, making the hidden schema where it is new."""
    connection.execute(_CATALOG)
    found: dict[str, dict[str, Table]] = {}
    for row in connection.execute(
        "SELECT schema_name, name, raw_name, root, key_names, append_only, version,"
        f" new_version, staged FROM {HIDDEN}.tables ORDER BY position"
    ).fetchall():
        schema, name, raw_name, root, key_names, *rest = row
        found.setdefault(schema, {})[name.lower()] = Table(
            schema, name, raw_name, root, tuple(json.loads(key_names)), *rest
        )
    for schema, table_name, name, raw_name, kind, sql_type in connection.execute(
        f"SELECT schema_name, table_name, name, raw_name, kind, sql_type FROM {HIDDEN}.columns"
        " ORDER BY position"
    ).fetchall():
        column = Column(name, raw_name, cast("Kind", kind), sql_type)
        found[schema][table_name.lower()].add(column)
    return found


def drop_everything(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop every table and schema of ours, and begin anew."""
    for (name,) in connection.execute(f"SELECT DISTINCT name FROM {HIDDEN}.schemas").fetchall():
        connection.execute(f"DROP SCHEMA IF EXISTS {quoted(CATALOG)}.{quoted(name)} CASCADE")
    connection.execute(f"DROP SCHEMA {HIDDEN} CASCADE")
    connection.execute(_CATALOG)


def ensure_schema(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Make the source's schema with its table of rejected records."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(CATALOG)}.{quoted(schema)}")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {within(schema, REJECTED)} (_sdc_rejected_at TIMESTAMP,"
        " table_name VARCHAR, reason VARCHAR, record VARCHAR)"
    )
    connection.execute(
        f"INSERT INTO {HIDDEN}.schemas SELECT $1"
        f" WHERE NOT EXISTS (FROM {HIDDEN}.schemas WHERE name = $1)",
        [schema],
    )


def write_rejections(
    connection: duckdb.DuckDBPyConnection, schema: str, rejected: list[tuple[str, str, str]]
) -> None:
    """Note rejected records: reason and text of each."""
    if rejected:
        tables, reasons, texts = map(list, zip(*rejected, strict=True))
        connection.execute(
            f"INSERT INTO {within(schema, REJECTED)}"
            " SELECT now()::TIMESTAMP, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),"
            " unnest(?::VARCHAR[])",
            [tables, reasons, texts],
        )


def write_catalog(connection: duckdb.DuckDBPyConnection, changed: Iterable[Table]) -> None:
    """Write down tables as they are now."""
    for table in changed:
        names = [table.schema, table.name]
        connection.execute(f"DELETE FROM {HIDDEN}.tables WHERE schema_name = ? AND name = ?", names)
        connection.execute(
            f"DELETE FROM {HIDDEN}.columns WHERE schema_name = ? AND table_name = ?",
            names,
        )
        connection.execute(
            f"INSERT INTO {HIDDEN}.tables SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            f" (SELECT coalesce(max(position), 0) + 1 FROM {HIDDEN}.tables)",
            [
                *names,
                table.raw_name,
                table.root,
                json.dumps(table.key_names),
                table.append_only,
                table.version,
                table.new_version,
                table.staged,
            ],
        )
        if table.columns:
            columns = list(table.columns.values())
            connection.execute(
                f"INSERT INTO {HIDDEN}.columns SELECT ?, ?, unnest(?::VARCHAR[]),"
                " unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),"
                " unnest(?::BIGINT[])",
                [
                    *names,
                    [each.name for each in columns],
                    [each.raw_name for each in columns],
                    [each.kind for each in columns],
                    [each.sql_type for each in columns],
                    list(range(len(columns))),
                ],
            )
