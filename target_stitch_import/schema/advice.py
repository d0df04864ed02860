"""What a user should know about a stream before its rows are loaded, where nobody would tell them.

Stitch acknowledges what it accepts and rejects columns and tables later, while loading. What can be
seen to fare badly then is seen in the schema. Pure, and cheap enough for thousands of streams.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_stitch_import.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_stitch_import.schema.node import Node

_FIELDS_NAMED = 10

# Names and limits as Stitch's documentation of its destinations has them.
_RESERVED = ("_sdc", "_rjm")
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


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to know about a stream, or about some of its fields; told once of each."""

    text: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.fields:
            return self.text
        more = len(self.fields) - _FIELDS_NAMED
        rest = f" and {more:,} more" if more > 0 else ""
        return f"{self.text}: {', '.join(self.fields[:_FIELDS_NAMED])}{rest}"


def advice(stream: str, keys: Sequence[str], schema: Node) -> list[Advice]:
    """Return what is to be said of a stream, by its name, its keys and its schema."""
    properties = schema.properties
    return [
        *_on_the_table(stream, len(properties)),
        *_on_names(list(properties)),
        *_on_keys(keys),
    ]


def _on_the_table(stream: str, columns: int) -> Iterator[Advice]:
    name = stream.lower()
    if name.startswith(_RESERVED):
        yield Advice(
            "names starting with `_sdc` or `_rjm` are Stitch's own, and such a table can be "
            "rejected while loading"
        )
    if name.endswith(("_old", "_stg")):
        yield Advice("MySQL destinations keep table names ending in `_old` or `_stg` to themselves")
    if len(name) > _TABLE_CHARACTERS:
        yield Advice(
            f"its name has {len(name)} characters; a destination that takes fewer rejects all of "
            f"the table while loading ({_TABLE_LIMITS})"
        )
    if columns > _COLUMNS:
        yield Advice(
            f"it has {columns:,} columns; a destination that takes fewer rejects all of the table "
            f"while loading ({_COLUMN_COUNTS})"
        )
    if not columns:
        yield Advice("the schema has no properties")


def _on_names(names: list[str]) -> Iterator[Advice]:
    lowered = [name.lower() for name in names]
    if own := [name for name in lowered if name[:4] in _RESERVED]:
        yield Advice(
            "names starting with `_sdc` or `_rjm` are Stitch's own, and such columns can be "
            "rejected while loading",
            _spelled(own, names),
        )
    if theirs := [name for name in lowered if name.startswith(_RESERVED_IN_BIGQUERY)]:
        yield Advice("BigQuery keeps such column names to itself", _spelled(theirs, names))
    parted = [name for name in lowered if "__" in name]
    if ending := [name for name in parted if name.rpartition("__")[2] in _TYPE_SUFFIXES]:
        yield Advice(
            "names ending like those of columns that Stitch splits by type can be rejected while "
            "loading",
            _spelled(ending, names),
        )
    if long := [name for name in names if len(name) > _COLUMN_CHARACTERS]:
        yield Advice(
            "destinations leave out columns whose names are longer than they take "
            f"({_COLUMN_LIMITS})",
            tuple(f"{quoted(name)} ({len(name)})" for name in long),
        )
    if len(set(lowered)) < len(lowered):
        times = Counter(lowered)
        yield Advice(
            "names that differ only by case are one column in most destinations, and records with "
            "both are rejected while loading",
            _spelled([name for name in times if times[name] > 1], names),
        )


def _spelled(lowered: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as they are written in the schema, quoted."""
    wanted = set(lowered)
    return tuple(quoted(name) for name in names if name.lower() in wanted)


def _on_keys(keys: Sequence[str]) -> Iterator[Advice]:
    if not keys:
        yield Advice(
            "there is no key, so rows are appended; a request that has to be repeated after an "
            "unclear answer can then leave a row twice"
        )
