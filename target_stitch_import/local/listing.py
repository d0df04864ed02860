"""A database's tables as text: names, numbers of rows, types and the first rows."""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from target_stitch_import.local.store import HIDDEN, REJECTED, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ListingError(Exception):
    """The database cannot be read; the text says why."""


def listing(database: Path, rows: int) -> Iterator[str]:
    """Yield each visible table as text with up to `rows` rows. Raises ListingError."""
    if not database.is_file():
        raise ListingError(f"there is no database {database}")
    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            yield from _tables(connection, rows)
    except duckdb.Error as error:
        raise ListingError(f"cannot read {database}: {error}") from None


def _tables(connection: duckdb.DuckDBPyConnection, rows: int) -> Iterator[str]:
    found = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal"
        " AND database_name = current_database() AND schema_name <> ?"
        " ORDER BY schema_name, table_name = ?, table_name",
        [HIDDEN, REJECTED],
    ).fetchall()
    for schema, name in found:
        relation = f"{quoted(schema)}.{quoted(name)}"
        [(count,)] = connection.execute(f"SELECT count(*) FROM {relation}").fetchall()
        if name == REJECTED and not count:
            continue
        title = f"{schema}.{name}: {count:,} row{'' if count == 1 else 's'}"
        text = str(connection.sql(f"FROM {relation} LIMIT {int(rows)}")) if rows else ""
        yield _printable(f"{title}\n{text}")


def _printable(text: str) -> str:
    """Replace what a terminal might take as a command."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
