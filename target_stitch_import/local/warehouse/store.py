"""The layout of the warehouse's file: relations, the hidden catalog, rejected records.

The hidden schema has the catalog, the shelves (rows of subtables) and the staged relations (rows of
versions that are not yet active).
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import duckdb

from target_stitch_import.local.warehouse.catalog import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from target_stitch_import.local.warehouse.bulk import Bulk, Field
    from target_stitch_import.local.warehouse.profiles import Kind

HIDDEN = "_stitch_import"  # the schema of the catalog, the shelves and the staged relations
REJECTED = "_sdc_rejected"
CATALOG = "import-api"  # the database's name in a connection; no source's name contains `-`
_TAKEN = frozenset({"main", "information_schema", "pg_catalog", HIDDEN})
_CATALOG = f"""
CREATE SCHEMA IF NOT EXISTS {HIDDEN};
CREATE TABLE IF NOT EXISTS {HIDDEN}.schemas (name VARCHAR);
CREATE TABLE IF NOT EXISTS {HIDDEN}.tables (
  schema_name VARCHAR, name VARCHAR, raw_name VARCHAR, root VARCHAR, key_names VARCHAR,
  append_only BOOLEAN, version BIGINT, staged BOOLEAN, number BIGINT, position BIGINT);
CREATE TABLE IF NOT EXISTS {HIDDEN}.columns (
  schema_name VARCHAR, table_name VARCHAR, name VARCHAR, raw_name VARCHAR, kind VARCHAR,
  sql_type VARCHAR, slot VARCHAR, position BIGINT);
CREATE TABLE IF NOT EXISTS {HIDDEN}.changes (
  schema_name VARCHAR, table_name VARCHAR, name VARCHAR, sql_type VARCHAR, was VARCHAR,
  noted_at TIMESTAMP);
"""


def quoted(name: str) -> str:
    """Quote a name for SQL, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'


USE = f"USE {quoted(CATALOG)}"
"""The statement that each new cursor needs, so that `schema.table` is in this database."""


def open_database(path: Path | None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a file, or new memory, as CATALOG.

    Under its own name, `import_api.duckdb` would make every `import_api.customers` ambiguous.
    """
    connection = duckdb.connect(":memory:")
    place = ":memory:" if path is None else str(path.absolute()).replace("'", "''")
    options = "TYPE duckdb, READ_ONLY" if read_only else "TYPE duckdb"
    try:
        for setting in (
            "SET TimeZone = 'UTC'",
            "SET autoinstall_known_extensions = false",
            "SET autoload_known_extensions = false",
            "SET threads = 1",  # loads are small: waking a second thread costs more than it saves
            f"ATTACH '{place}' AS {quoted(CATALOG)} ({options})",
            USE,
        ):
            connection.execute(setting)
    except BaseException:
        connection.close()
        raise
    return connection


def schema_name(source_name: str) -> str:
    """Return the schema of a source: its own name, unless DuckDB or `HIDDEN` has it."""
    return f"{source_name}_" if source_name in _TAKEN else source_name


def within(schema: str, name: str) -> str:
    """Return the full name of a relation, quoted."""
    return f"{quoted(CATALOG)}.{quoted(schema)}.{quoted(name)}"


def main_relation(table: Table) -> str:
    """Return the name of the relation that users see."""
    return within(table.schema, table.name)


def staged_relation(table: Table) -> str:
    """Return the name of the relation with rows of later versions."""
    return within(HIDDEN, f"staged {quoted(table.schema)}.{quoted(table.name)}")


def target_relation(table: Table, *, staged: bool) -> str:
    """Return the name of the relation for rows of a later version, or of the visible one."""
    return staged_relation(table) if staged else main_relation(table)


def new_shelf(root: Table) -> Table:
    """Return a new shelf, the hidden table for the rows of a root's subtables, without columns."""
    return Table(HIDDEN, f"subtables {quoted(root.schema)}.{quoted(root.name)}", "")


def relations(table: Table) -> list[str]:
    """Return the names of the relations that exist for a root or a shelf."""
    if not table.columns:
        return []
    return [main_relation(table), *([staged_relation(table)] if table.staged else [])]


def read_catalog(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Table]]:
    """Return the tables in the file by schema and lower-case name; creates a missing catalog.

    Raises OSError if another version wrote the file's catalog in another format.
    """
    connection.execute(_CATALOG)
    try:
        return _read_catalog(connection)
    except duckdb.BinderException:
        raise OSError(
            "the database was made by another version of the local Import API: name another file"
        ) from None


def _read_catalog(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Table]]:
    found: dict[str, dict[str, Table]] = {}
    for row in connection.execute(
        "SELECT schema_name, name, raw_name, root, key_names, append_only, version,"
        f" staged, number FROM {HIDDEN}.tables ORDER BY position"
    ).fetchall():
        schema, name, raw_name, root, key_names, *rest = row
        found.setdefault(schema, {})[name.lower()] = Table(
            schema, name, raw_name, root, tuple(json.loads(key_names)), *rest
        )
    for schema, table_name, name, raw_name, kind, sql_type, slot in connection.execute(
        "SELECT schema_name, table_name, name, raw_name, kind, sql_type, slot"
        f" FROM {HIDDEN}.columns ORDER BY position"
    ).fetchall():
        column = Column(name, raw_name, cast("Kind", kind), sql_type, slot)
        found[schema][table_name.lower()].add(column)
    shelves = found.pop(HIDDEN, {})
    for tables in found.values():
        for table in tables.values():
            table.shelf = shelves.get(new_shelf(table).name.lower())
    return found


def drop_everything(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop every table and schema that loads created."""
    for (name,) in connection.execute(f"SELECT DISTINCT name FROM {HIDDEN}.schemas").fetchall():
        connection.execute(f"DROP SCHEMA IF EXISTS {quoted(CATALOG)}.{quoted(name)} CASCADE")
    connection.execute(f"DROP SCHEMA {HIDDEN} CASCADE")
    connection.execute(_CATALOG)


def ensure_schema(connection: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Create the source's schema with its table of rejected records."""
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


def write_rejections(bulk: Bulk, schema: str, rejected: list[tuple[str, str, str]]) -> None:
    """Store rejected records: table, reason and text of each."""
    if rejected:
        names = ("table_name", "reason", "record")
        fields: dict[str, Field] = {
            name: ("VARCHAR", list(values))
            for name, values in zip(names, zip(*rejected, strict=True), strict=True)
        }
        bulk.create("rejected", fields)
        bulk.connection.execute(
            f"INSERT INTO {within(schema, REJECTED)} SELECT now()::TIMESTAMP, * FROM rejected"
        )
        bulk.connection.execute("DROP TABLE rejected")


def write_changes(bulk: Bulk, changed: list[Table], known: Mapping[str, Table]) -> None:
    """Store which data columns were added or changed their type, and when."""
    found: list[tuple[str, str, str, str, str | None]] = []
    for table in changed:
        before = known[table.name.lower()].columns if table.name.lower() in known else {}
        for name, column in table.columns.items():
            was = before[name].sql_type if name in before else None
            if column.raw_name and was != column.sql_type:
                found.append((table.schema, table.name, column.name, column.sql_type, was))
    if found:
        names = ("schema_name", "table_name", "name", "sql_type", "was")
        fields: dict[str, Field] = {
            name: ("VARCHAR", values)
            for name, values in zip(names, zip(*found, strict=True), strict=True)
        }
        bulk.create("noted", fields)
        bulk.connection.execute(
            f"INSERT INTO {HIDDEN}.changes SELECT *, now()::TIMESTAMP FROM noted; DROP TABLE noted"
        )


def write_catalog(bulk: Bulk, changed: list[Table]) -> None:
    """Write the current state of tables."""
    changed = [*changed, *(each.shelf for each in changed if each.shelf is not None)]
    if not changed:
        return
    columns = [
        (table, at, each) for table in changed for at, each in enumerate(table.columns.values())
    ]
    tables: dict[str, Field] = {
        "schema_name": ("VARCHAR", [table.schema for table in changed]),
        "name": ("VARCHAR", [table.name for table in changed]),
        "raw_name": ("VARCHAR", [table.raw_name for table in changed]),
        "root": ("VARCHAR", [table.root for table in changed]),
        "key_names": ("VARCHAR", [json.dumps(table.key_names) for table in changed]),
        "append_only": ("BOOLEAN", [table.append_only for table in changed]),
        "version": ("BIGINT", [table.version for table in changed]),
        "staged": ("BOOLEAN", [table.staged for table in changed]),
        "number": ("BIGINT", [table.number for table in changed]),
        "position": ("BIGINT", list(range(1, len(changed) + 1))),
    }
    bulk.create("changed", tables)
    if columns:
        bulk.create(
            "changed_columns",
            {
                "schema_name": ("VARCHAR", [table.schema for table, _, _ in columns]),
                "table_name": ("VARCHAR", [table.name for table, _, _ in columns]),
                "name": ("VARCHAR", [each.name for _, _, each in columns]),
                "raw_name": ("VARCHAR", [each.raw_name for _, _, each in columns]),
                "kind": ("VARCHAR", [each.kind for _, _, each in columns]),
                "sql_type": ("VARCHAR", [each.sql_type for _, _, each in columns]),
                "slot": ("VARCHAR", [each.slot for _, _, each in columns]),
                "position": ("BIGINT", [at for _, at, _ in columns]),
            },
        )
    same = "k.schema_name = c.schema_name AND"
    bulk.connection.execute(
        # A new table comes last; a known one keeps its position.
        "UPDATE changed SET position = position"
        f" + (SELECT coalesce(max(position), 0) FROM {HIDDEN}.tables);"
        f"UPDATE changed c SET position = k.position FROM {HIDDEN}.tables k"
        f" WHERE {same} k.name = c.name;"
        f"DELETE FROM {HIDDEN}.tables k USING changed c WHERE {same} k.name = c.name;"
        f"DELETE FROM {HIDDEN}.columns k USING changed c WHERE {same} k.table_name = c.name;"
        f"INSERT INTO {HIDDEN}.tables FROM changed; DROP TABLE changed"
    )
    if columns:
        bulk.connection.execute(
            f"INSERT INTO {HIDDEN}.columns FROM changed_columns; DROP TABLE changed_columns"
        )
