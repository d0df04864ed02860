"""Warnings about names and columns that Stitch accepts, but destinations reject while loading.

Stitch acknowledges the records first, and rejects columns and tables later. The schema shows what
may be rejected. The checks are cheap enough for thousands of streams.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from target_stitch_import.errors import quoted
from target_stitch_import.schema.columns import Column, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_stitch_import.schema.node import Node

_FIELDS_NAMED = 5

# Names and limits are from Stitch's documentation of its destinations.
_RESERVED = ("_sdc", "_rjm")
"""Prefixes that table names must not have; columns of log-based taps have them, and are loaded."""
_LIKE_STITCH = (*_RESERVED, "__sdc")
_FILLED_BY_LOADING = re.compile(
    r"_sdc_(batched_at|received_at|sequence|table_version|source_key_.*|level_\d+_id|rejected"
    r"|primary_keys)|__sdc_primary_key|_rjm.*",
    re.DOTALL,
)
_RESERVED_IN_BIGQUERY = ("_table_", "_file_", "_partition_", "_row_timestamp")
_TYPE_SUFFIXES = frozenset(
    ("bi", "bo", "de", "do", "fl", "it", "st", "ti", "nu", "db", "lg", "inst", "dt", "js", "va")
)
_COLUMN_CHARACTERS = 59
_COLUMN_LIMITS = (
    "PostgreSQL 59, MySQL 64, Redshift and Panoply 115, Databricks 122, BigQuery, Azure Synapse "
    "and SQL Server 128, Snowflake 251"
)
_TABLE_CHARACTERS = 60
_TABLE_LIMITS = (
    "MySQL 60, PostgreSQL 63, Databricks 78, Azure Synapse 112, SQL Server 113, Redshift and "
    "Panoply 127, Snowflake 255, BigQuery 1,024"
)
_COLUMNS = 1_017
_COLUMN_COUNTS = (
    "MySQL 1,017, Azure Synapse and SQL Server 1,024, Redshift, Panoply and PostgreSQL 1,600 at "
    "most, BigQuery 10,000"
)


class Advice(Struct, frozen=True):
    """A warning about a stream, or about some of its fields; shown once for each of them."""

    text: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.fields:
            return self.text
        more = len(self.fields) - _FIELDS_NAMED
        rest = f" and {more:,} more" if more > 0 else ""
        return f"{self.text}: {', '.join(self.fields[:_FIELDS_NAMED])}{rest}"


def advice(stream: str, keys: Sequence[str], schema: Node) -> list[Advice]:
    """Return the advice about a stream, from its table name, its keys and its schema."""
    columns = columns_of(schema)
    own = sum(not each.table for each in columns)
    return [
        *_on_the_table(stream, own),
        *_on_names(columns),
        *_on_subtables(stream, columns),
        *_on_keys(keys, own),
    ]


def _on_the_table(stream: str, columns: int) -> Iterator[Advice]:
    name = stream.lower()
    if name.startswith(_RESERVED):
        yield Advice(
            "names starting with `_sdc` or `_rjm` are Stitch's own, and such a table can be "
            "rejected while loading"
        )
    if name.endswith(("_old", "_stg")):
        yield Advice("MySQL destinations reserve table names ending in `_old` or `_stg`")
    if not _KEPT_IN_TABLES.search(name):
        yield Advice(
            "its name has neither a letter from A to Z nor an underscore: Redshift, Panoply, "
            "Snowflake and SQL Server reject the whole table while loading; other destinations "
            "except PostgreSQL replace each character with an underscore"
        )
    if len(name) > _TABLE_CHARACTERS:
        yield Advice(
            f"its name has {len(name)} characters; a destination with a lower limit rejects the "
            f"whole table while loading ({_TABLE_LIMITS})"
        )
    if columns > _COLUMNS:
        yield Advice(
            f"it has {columns:,} columns; a destination with a lower limit rejects the whole table "
            f"while loading ({_COLUMN_COUNTS})"
        )


def _on_names(columns: Sequence[Column]) -> Iterator[Advice]:
    lowered = [each.name.lower() for each in columns]
    pairs = list(zip(lowered, columns, strict=True))
    stitch = [(name, each) for name, each in pairs if name.startswith(_LIKE_STITCH)]
    if own := [each for name, each in stitch if _FILLED_BY_LOADING.fullmatch(name)]:
        yield Advice(
            "Stitch fills columns with these names itself; a tap's columns can be rejected while "
            "loading",
            _shown(own),
        )
    if theirs := [each for name, each in pairs if name.startswith(_RESERVED_IN_BIGQUERY)]:
        yield Advice("BigQuery reserves such column names", _shown(theirs))
    if ending := [each for each in columns if "__" in each.leaf and _ends_like_a_type(each.leaf)]:
        yield Advice(
            "names with the suffix of a column that Stitch splits by type (such as `__st`) can be "
            "rejected while loading",
            _shown(ending),
        )
    if long := [each for each in columns if len(each.name) > _COLUMN_CHARACTERS]:
        yield Advice(
            "destinations drop columns whose names (including the names of parent objects, where "
            f"these are flattened) are longer than their limit ({_COLUMN_LIMITS})",
            tuple(f"{quoted(_path(each))} ({len(each.name)})" for each in long),
        )
    if bare := [each for name, each in pairs if not _KEPT.search(name)]:
        yield Advice(
            "columns without a letter from A to Z in their names can be dropped while loading: "
            "Snowflake drops them all; Redshift, Panoply and PostgreSQL keep those with an "
            "underscore, SQL Server those with an underscore or a digit; other destinations "
            "replace each character with an underscore",
            _shown(bare),
        )
    if alike := _alike(columns, lowered):
        yield Advice(
            "names that differ only by case, or by characters that destinations drop or replace, "
            "become one column; records with both are rejected while loading",
            _shown(alike),
        )


def _shown(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(quoted(_path(each)) for each in columns)


def _path(column: Column) -> str:
    return ".".join((*column.table, column.name))


def _ends_like_a_type(name: str) -> bool:
    return name.lower().rpartition("__")[2] in _TYPE_SUFFIXES


def _alike(columns: Sequence[Column], lowered: Sequence[str]) -> list[Column]:
    """Return the columns whose names become equal in some destination."""
    if _PLAIN_NAMES.fullmatch("\n".join(lowered)) and len(set(lowered)) == len(lowered):
        return []  # the case of nearly every schema
    found: set[Column] = set()
    for canonical in (_with_characters_dropped, _with_characters_replaced):
        first: dict[tuple[tuple[str, ...], str], Column] = {}
        for each, plain in zip(columns, lowered, strict=True):
            name = canonical(plain)
            other = first.setdefault((each.table, name), each)
            if name and other is not each:
                found |= {other, each}
    return [each for each in columns if each in found]


_KEPT = re.compile(r"[a-z]")
"""A column's name needs such a character to remain a name in every destination."""
_KEPT_IN_TABLES = re.compile(r"[a-z_]")
_PLAIN = re.compile(r"[a-z0-9_]+")
_PLAIN_NAMES = re.compile(r"(?:[a-z_][a-z0-9_]*(?:\n|$))*")
_DROPPED_IN_FRONT = re.compile(r"[^a-z_]+")
_DIGITS_IN_FRONT = re.compile(r"\d+", re.ASCII)


def _with_characters_dropped(lowered: str) -> str:
    """Return a name as Redshift, PostgreSQL and Snowflake change it."""
    kept = lowered if _PLAIN.fullmatch(lowered) else re.sub(r"[^a-z0-9_ ]", "", lowered)
    in_front = _DROPPED_IN_FRONT.match(kept)
    return kept[in_front.end() :] if in_front else kept


def _with_characters_replaced(lowered: str) -> str:
    """Return a name as BigQuery, Databricks, Azure Synapse and SQL Server change it."""
    kept = lowered if _PLAIN.fullmatch(lowered) else re.sub(r"[^a-z0-9_]", "_", lowered)
    return _DIGITS_IN_FRONT.sub("_", kept, count=1) if kept[:1].isdecimal() else kept


def _on_subtables(stream: str, columns: Sequence[Column]) -> Iterator[Advice]:
    tables = dict.fromkeys(each.table for each in columns if each.table)
    names = ["__".join((stream, *table)) for table in tables]
    if long := [name for name in names if len(name) > _TABLE_CHARACTERS]:
        yield Advice(
            "arrays become tables with these names; a destination with a lower length limit "
            f"rejects their rows while loading ({_TABLE_LIMITS})",
            tuple(f"{quoted(name)} ({len(name)})" for name in long),
        )


def _on_keys(keys: Sequence[str], columns: int) -> Iterator[Advice]:
    if keys:
        return
    yield Advice(
        "no key properties: rows are appended, and a request retried after an unclear outcome can "
        "duplicate rows"
    )
    if not columns:
        yield Advice("the schema has no properties")
