"""Lists a database's tables as text: a line per column, with its type and the first rows' values.

Tables are wide and terminals are not: rows are shown side by side, so no column is left out.
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

import shutil
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import simplejson

from target_stitch_import.local.warehouse.store import HIDDEN, REJECTED, open_database, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MIN_VALUE_WIDTH = 8
MAX_VALUE_CHARACTERS = 200  # read from the database; the width of a line limits it further
DEFAULT_WIDTH = 120  # without a terminal
GAP = "  "


class ListingError(Exception):
    """The database cannot be read; the text says why."""


def listing(database: Path, rows: int) -> Iterator[str]:
    """Yield each visible table as text with up to `rows` rows. Raises ListingError."""
    with _opened(database) as connection:
        yield from _texts(connection, rows)


def document(database: Path, rows: int) -> list[dict[str, Any]]:
    """Return what `listing` shows as JSON values, numbers as decimals. Raises ListingError."""
    with _opened(database) as connection:
        return [
            {
                "schema": schema,
                "table": name,
                "rows": count,
                "columns": {
                    column: type_
                    for column, type_, *_ in connection.execute(
                        f"DESCRIBE {within(schema, name)}"
                    ).fetchall()
                },
                "first_rows": [
                    simplejson.loads(text, use_decimal=True)
                    for (text,) in connection.execute(
                        f"SELECT to_json(t) FROM {within(schema, name)} AS t LIMIT ?", [rows]
                    ).fetchall()
                ],
            }
            for schema, name, count in _tables(connection)
        ]


@contextmanager
def _opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    if not database.is_file():
        raise ListingError(f"there is no database {database}")
    try:
        with open_database(database, read_only=True) as connection:
            yield connection
    except duckdb.Error as error:
        raise ListingError(f"cannot read {database}: {error}") from None


def _tables(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, int]]:
    """Yield the schema, name and number of rows of each visible table."""
    found = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_catalog = current_database() AND table_schema <> ?"
        " ORDER BY table_schema, table_name = ?, table_name",
        [HIDDEN, REJECTED],
    ).fetchall()
    for schema, name in found:
        [(count,)] = connection.execute(f"SELECT count(*) FROM {within(schema, name)}").fetchall()
        if count or name != REJECTED:
            yield schema, name, count


def _texts(connection: duckdb.DuckDBPyConnection, rows: int) -> Iterator[str]:
    width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns
    shown = 0
    for schema, name, count in _tables(connection):
        shown += 1
        title = f"{schema}.{name}: {count:,} row{'' if count == 1 else 's'}"
        lines = _lines(_columns(connection, within(schema, name), rows), width)
        yield "\n".join([_printable(title), *(f"{GAP}{line}".rstrip() for line in lines), ""])
    if not shown:
        yield "There are no tables yet."


def _columns(
    connection: duckdb.DuckDBPyConnection, relation: str, rows: int
) -> list[tuple[str, ...]]:
    """Return a tuple for each column: name, type, and values."""
    described = connection.execute(f"DESCRIBE {relation}").fetchall()
    cut = f"left(COLUMNS(*)::VARCHAR, {MAX_VALUE_CHARACTERS})"
    values = connection.execute(f"SELECT {cut} FROM {relation} LIMIT ?", [rows]).fetchall()
    return [
        (_printable(name), type_, *(_value(row[at]) for row in values))
        for at, (name, type_, *_) in enumerate(described)
    ]


def _lines(columns: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Yield a line for each column, with values cut so that it fits `width`."""
    names, types, *values = zip(*columns, strict=True)
    widths = [max(map(_width, names)), max(map(_width, types))]
    room = width - sum(widths) - len(GAP) * (2 + len(values))
    for cells in values:
        share = max(room // len(values), MIN_VALUE_WIDTH)
        widths.append(min(max(map(_width, cells)), share))
    for cells in columns:
        yield GAP.join(_fitted(cell, wide) for cell, wide in zip(cells, widths, strict=True))


def _value(value: Any) -> str:
    return "null" if value is None else _printable(value.replace("\n", " "))


def _width(text: str) -> int:
    """Count the terminal cells of a text: two for a wide character, none for a combining mark."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def _fitted(text: str, width: int) -> str:
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _width(text))


def _printable(text: str) -> str:
    """Replace control characters, which a terminal would interpret."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
