"""The catalog's values: tables with names, keys and versions, and columns with their types.

Plain values without a database; a load works on copies, kept only once it is committed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from target_stitch_import.local.warehouse.profiles import Kind, Profile

RECEIVED_AT = "_sdc_received_at"
BATCHED_AT = "_sdc_batched_at"
SEQUENCE = "_sdc_sequence"
TABLE_VERSION = "_sdc_table_version"
EXTRACTED_AT = "_sdc_extracted_at"
PRIMARY_KEY = "__sdc_primary_key"
SOURCE_KEY = "_sdc_source_key_"
LEVEL = "_sdc_level_"
SUBTABLE = "subtable"
"""The column of a shelf (see `Table`) with the number of the subtable that a row belongs to."""
SYSTEM_NAME = re.compile("_?_sdc_")
"""The prefix of system columns."""

TYPES: dict[Kind, str] = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "string": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "json": "VARCHAR",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `raw_name` is the property path it comes from, empty for a system column."""

    name: str
    raw_name: str
    kind: Kind
    sql_type: str
    slot: str = ""
    """The column of the shelf that has a subtable's values; empty for other tables."""


@dataclass(slots=True)
class Table:
    """One table; `root` names the table whose records it belongs to, if it is a subtable.

    A subtable is a view: the rows of all subtables of a root are in one hidden table, its shelf. So
    the number of statements depends on roots, not on how many arrays their records have.
    """

    schema: str
    name: str
    raw_name: str
    root: str | None = None
    key_names: tuple[str, ...] = ()
    append_only: bool = False
    version: int = 0
    staged: bool = False
    """Whether there is a separate table with rows of later versions."""
    number: int = 0
    """The subtable's number in `SUBTABLE`, which marks its rows in the shelf."""
    shelf: Table | None = None
    """The hidden table with the rows of the subtables, if this is a root with subtables."""
    columns: dict[str, Column] = field(default_factory=dict)
    """By lower-case name, in the order they appeared."""

    def copy(self) -> Table:
        """Return an independent copy."""
        shelf = None if self.shelf is None else self.shelf.copy()
        return replace(self, columns=dict(self.columns), shelf=shelf)

    def key_columns(self) -> list[Column]:
        """Return the key's columns, all of them if it has several types; none if append-only."""
        if self.append_only:
            return []
        return [each for each in self.columns.values() if each.raw_name in self.key_names]

    def add(self, column: Column) -> None:
        """Add a column, or replace it by one of another type."""
        self.columns[column.name.lower()] = column


def has_own_extracted_at(table: Table) -> bool:
    """Return whether the records themselves have the column that `time_extracted` would fill."""
    own = table.columns.get(EXTRACTED_AT)
    return own is not None and own.raw_name == EXTRACTED_AT


class UnusableColumnError(ValueError):
    """A column that cannot be loaded at all: its values are left out, and the text says why."""


class CollisionError(ValueError):
    """A name already taken by another property: the records are rejected."""


def place(
    table: Table, raw_name: str, kind: Kind, profile: Profile, reserved: str | None = None
) -> Column:
    """Return the column for a property's values of one type: an existing one, or one to add.

    `reserved` says why the client may not use the name at all, if so. Raises UnusableColumnError
    for a name the destination does not take, and CollisionError for one that is not free.
    """
    if reserved is not None:
        raise CollisionError(reserved)
    base = profile.name(raw_name)
    if not base:
        raise UnusableColumnError(
            f"Column name [{raw_name}] has no character that {profile.title} allows"
        )
    if profile.column_characters and len(base) > profile.column_characters:
        raise UnusableColumnError(f"Column name [{raw_name}] is too long for {profile.title}")
    taken = table.columns.get(base.lower())
    if taken is None or (not taken.raw_name and taken.name == EXTRACTED_AT and kind == taken.kind):
        return Column(base, raw_name, kind, TYPES[kind])  # a tap may send its own time
    if taken.raw_name != raw_name:
        raise CollisionError(f"Field collision on [{raw_name}]")
    if taken.kind == kind:
        return taken
    suffix = profile.suffix(kind)
    name = base + (suffix.upper() if profile.case == "upper" else suffix)
    split = table.columns.get(name.lower())
    if split is None:
        return Column(name, raw_name, kind, TYPES[kind])
    if split.raw_name != raw_name or split.kind != kind:
        raise CollisionError(f"Field collision on [{raw_name}]")
    return split
