"""Reads from a warehouse for the pages: rows as text, rejected records by reason, column changes.

Nothing here changes the warehouse.
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.warehouse import store
from target_stitch_import.local.warehouse.store import quoted

if TYPE_CHECKING:
    from target_stitch_import.local.warehouse.catalog import Column, Table
    from target_stitch_import.local.warehouse.profiles import Kind
    from target_stitch_import.local.warehouse.warehouse import Warehouse

MAX_CELL_CHARACTERS = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# The reason without the value in it, which would make a group of each record.
_SAME_REASON = r"regexp_replace(reason, '( out of range for [^\[]*) on \[.*\]$', '\1', 's')"
KIND_WORDS: dict[Kind, tuple[str, str]] = {
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "boolean": ("a boolean", "booleans"),
    "string": ("a text", "texts"),
    "timestamp": ("a date-time", "date-times"),
    "json": ("an object or array", "objects and arrays"),
}
"""One value of each kind, and many."""


@dataclass(frozen=True, slots=True)
class RejectedGroup:
    """Records of a table rejected for one reason, and the newest of them as an example."""

    schema: str
    table: str
    reason: str
    count: int
    newest: datetime
    example: str


@dataclass(frozen=True, slots=True)
class Change:
    """When and why a column was added, or its type changed."""

    at: datetime
    column: str
    sql_type: str
    why: str


def rows(warehouse: Warehouse, table: Table, limit: int, offset: int) -> list[tuple[Any, ...]]:
    """Return some of a table's rows, each value as text."""
    names = ", ".join(
        f"left({quoted(column.name)}::VARCHAR, {MAX_CELL_CHARACTERS})"
        for column in table.columns.values()
    )
    relation = store.main_relation(table)
    return warehouse.query(f"SELECT {names} FROM {relation} LIMIT ? OFFSET ?", [limit, offset])


def rejected(warehouse: Warehouse, since: datetime = _EPOCH) -> list[RejectedGroup]:
    """Return the records rejected from `since` on, by table and reason, largest group first."""
    parts = [
        f"SELECT {_literal(each)} AS schema_name, * FROM {store.within(each, store.REJECTED)}"
        for each in warehouse.schemas()
    ]
    if not parts:
        return []
    found = warehouse.query(
        f"SELECT schema_name, table_name, {_SAME_REASON} AS same_reason, count(*) AS records,"
        " max(_sdc_rejected_at),"
        f" left(arg_max(record, _sdc_rejected_at), {MAX_CELL_CHARACTERS})"
        f" FROM ({' UNION ALL '.join(parts)})"
        " WHERE _sdc_rejected_at >= $1::TIMESTAMPTZ::TIMESTAMP"
        " GROUP BY schema_name, table_name, same_reason"
        " ORDER BY records DESC, table_name, same_reason",
        [since],
    )
    return [RejectedGroup(*each) for each in found]


def changes(warehouse: Warehouse, table: Table) -> list[Change]:
    """Return when and why a table's columns were added or changed, oldest first."""
    found = warehouse.query(
        f"SELECT noted_at, name, sql_type, was FROM {store.HIDDEN}.changes"
        " WHERE schema_name = ? AND table_name = ? ORDER BY noted_at, rowid",
        [table.schema, table.name],
    )
    return [
        Change(at, name, sql_type, _why(table, name, sql_type, was))
        for at, name, sql_type, was in found
    ]


def _why(table: Table, name: str, sql_type: str, was: str | None) -> str:
    column = table.columns[name.lower()]
    if was is not None:
        return _retyped(was, sql_type)
    others = [
        each
        for each in table.columns.values()
        if each.raw_name == column.raw_name and each.name != column.name
    ]
    first = next((each for each in others if _leads(each, column)), None)
    if first is None:
        return "its first value arrived"
    (one, _), (_, many) = KIND_WORDS[column.kind], KIND_WORDS[first.kind]
    return f"{one} arrived for {column.raw_name}, whose column {first.name} has {many}"


def _leads(first: Column, split: Column) -> bool:
    return len(first.name) < len(split.name) and split.name.startswith(first.name)


def _retyped(was: str, sql_type: str) -> str:
    if sql_type == "VARCHAR":
        return f"was {was}, which has too few digits for a number that arrived"
    if sql_type == "HUGEINT":
        return f"was {was}, and an integer beyond 64 bits arrived"
    if was == "DOUBLE":
        return "was DOUBLE, which would change a number that arrived"
    return f"was {was}, and a number with more digits after the point arrived"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
