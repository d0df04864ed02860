"""Stores subtables: views on their root's shelf, a hidden table with the rows of all of them.

A record with thousands of arrays has as many subtables, and a statement for each takes longer than
its rows do. So rows are stored, replaced and activated shelf by shelf; only a new subtable, or one
with a new column, needs its own statement, for its view.
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from target_stitch_import.local.warehouse.catalog import (
    EXTRACTED_AT,
    LEVEL,
    PRIMARY_KEY,
    SOURCE_KEY,
    SUBTABLE,
    Column,
    Table,
    has_own_extracted_at,
)
from target_stitch_import.local.warehouse.digits import as_json_values
from target_stitch_import.local.warehouse.reshape import Reshaper, converted
from target_stitch_import.local.warehouse.store import (
    main_relation,
    new_shelf,
    quoted,
    relations,
    target_relation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_stitch_import.local.warehouse.bulk import Bulk, Field
    from target_stitch_import.local.warehouse.plan import TablePlan

_NUMBER = Column(SUBTABLE, "", "integer", "BIGINT")


class Subtables:
    """The subtables of one root during one load."""

    def __init__(self, bulk: Bulk, root: Table, known: dict[str, Table]) -> None:
        """`known` holds the schema's tables as they are before the load."""
        self._bulk = bulk
        self._sql = bulk.connection.execute
        self._reshaper = Reshaper(bulk)
        self._root = root
        self._known = known

    def reshape(
        self, plans: Sequence[TablePlan], system: Sequence[Column], *, staged: bool
    ) -> dict[str, Table]:
        """Create or alter shelf and views for the planned rows; `system` are the system columns.

        Returns the subtables that changed without being planned, by lower-case name.
        """
        root = self._root
        if root.shelf is None and not plans:
            return {}
        before = root.shelf.copy() if root.shelf is not None else None
        shelf = root.shelf = root.shelf or new_shelf(root)
        depth = max(map(depth_of, plans), default=0)
        keys = [_system(SOURCE_KEY + key.name, key) for key in root_keys(root)]
        levels = [_level(at) for at in range(depth)]
        filled = [_system(column.name, column) for column in system]
        for column in (_NUMBER, *keys, *levels, *filled):
            shelf.add(column)
        moves = []
        self._assign_numbers([each.table for each in plans])
        for each in plans:
            for column in (*keys, *levels[: depth_of(each)], *filled):
                if column.name != EXTRACTED_AT or not has_own_extracted_at(each.table):
                    each.table.add(column)
            moves += self._assign_slots(each.table, shelf)
        self._reshaper.reshape(shelf, before, staged=staged)
        for relation in relations(before) if before is not None else []:
            for table, old, new in moves:
                self._move(relation, table, old, new)
        had = before.columns if before is not None else {}
        others: dict[str, Table] = {}
        if any(had.get(key.name.lower(), key).sql_type != key.sql_type for key in keys):
            others = self._follow_keys(keys, {each.table.name.lower() for each in plans})
        self._create_views([*(each.table for each in plans), *others.values()])
        return others

    def insert(
        self,
        plans: Sequence[TablePlan],
        key_sources: dict[str, str],
        system: dict[str, str],
        *,
        staged: bool,
    ) -> None:
        """Store those planned rows whose root row is in `incoming`.

        `key_sources` and `system` have the expression that fills each column.
        """
        shelf = self._root.shelf
        if shelf is None or not plans:
            return
        slots: dict[str, str] = {}
        self._bulk.create("incoming_subs", *(_block(each, slots) for each in plans))
        depth = max(map(depth_of, plans))
        values = {quoted(slot): name for slot, name in slots.items()}
        values[SUBTABLE] = "t"
        values |= {_level(at).name: f"l{at}" for at in range(depth)}
        for key in root_keys(self._root):
            source = "k" if key.name == PRIMARY_KEY else key_sources.get(key.name, "NULL")
            values[quoted(SOURCE_KEY + key.name)] = source
        values |= system
        places = ", ".join(["t", "r", *(f"l{at}" for at in range(depth))])
        self._sql(
            f"INSERT INTO {target_relation(shelf, staged=staged)} ({', '.join(values)})"
            f" SELECT {', '.join(values.values())} FROM incoming_subs JOIN incoming USING (r)"
            f" ORDER BY {places}; DROP TABLE incoming_subs"
        )

    def _assign_numbers(self, tables: Sequence[Table]) -> None:
        new = [table for table in tables if not table.number]
        if new:
            name = self._root.name
            numbers = [each.number for each in self._known.values() if each.root == name]
            for number, table in enumerate(new, max(numbers, default=0) + 1):
                table.number = number

    def _assign_slots(self, table: Table, shelf: Table) -> list[tuple[Table, Column, Column]]:
        """Assign a slot of the shelf to each column; return the columns whose values must move."""
        moves = []
        before = self._known.get(table.name.lower())
        taken = {column.slot for column in table.columns.values()}
        counts: dict[str, int] = {}
        for name, column in table.columns.items():
            if not column.raw_name or column.slot.rpartition(" ")[0] == column.sql_type:
                continue
            slot = ""
            while not slot or slot in taken:
                count = counts[column.sql_type] = counts.get(column.sql_type, -1) + 1
                slot = f"{column.sql_type} {count}"
            taken.add(slot)
            placed = table.columns[name] = replace(column, slot=slot)
            if slot.lower() not in shelf.columns:
                shelf.add(Column(slot, "", column.kind, column.sql_type))
            old = before.columns.get(name) if before is not None else None
            if old is not None:
                moves.append((table, old, placed))
        return moves

    def _move(self, relation: str, table: Table, old: Column, new: Column) -> None:
        from_, to = quoted(old.slot), quoted(new.slot)
        mine = f"{SUBTABLE} = {table.number}"
        self._sql(
            f"UPDATE {relation} SET {to} = {converted(from_, old, new)}, {from_} = NULL"
            f" WHERE {mine}"
        )
        self._reshaper.write_plainly(relation, new, to, mine)

    def _follow_keys(self, keys: Sequence[Column], planned: set[str]) -> dict[str, Table]:
        """Return copies of unplanned subtables, with the new types of their key columns."""
        types = {key.name: key.sql_type for key in keys}
        changed = {}
        for name, table in self._known.items():
            if table.root != self._root.name or name in planned or not table.columns:
                continue
            lagging = [
                column
                for column in table.columns.values()
                if not column.raw_name
                and types.get(column.name, column.sql_type) != column.sql_type
            ]
            if lagging:
                changed[name] = table.copy()
                for column in lagging:
                    changed[name].add(replace(column, sql_type=types[column.name]))
        return changed

    def _create_views(self, tables: Sequence[Table]) -> None:
        """Create or replace the views of subtables that are new, or whose columns changed."""
        shelf = self._root.shelf or new_shelf(self._root)
        # Without the database's name, which depends on the program that opens the file.
        stored = f"{quoted(shelf.schema)}.{quoted(shelf.name)}"
        # Columns by number: numbers never change and are parsed faster than names.
        places = {slot: place for place, slot in enumerate(shelf.columns, 1)}
        views = []
        for table in tables:
            known = self._known.get(table.name.lower())
            if known is not None and known.columns == table.columns:
                continue
            columns = ", ".join(
                f"#{places[column.slot.lower()]} AS {quoted(column.name)}"
                if column.slot != column.name
                else f"#{places[column.slot.lower()]}"
                for column in table.columns.values()
            )
            views.append(
                f"CREATE OR REPLACE VIEW {main_relation(table)} AS SELECT {columns}"
                f" FROM {stored} WHERE {SUBTABLE} = {table.number}"
            )
        self._bulk.define(views)


def depth_of(each: TablePlan) -> int:
    """Count the arrays around a subtable's rows; 0 for a root."""
    return len(each.rows.levels[0]) if each.rows.levels else 0


def root_keys(root: Table) -> list[Column]:
    """Return the root's columns that subtables repeat."""
    own = root.columns.get(PRIMARY_KEY)
    if own is not None:
        return [own]
    return [each for each in root.columns.values() if each.raw_name in root.key_names]


def _system(name: str, like: Column) -> Column:
    """Return a column of the shelf that subtables show under its own name."""
    return Column(name, "", like.kind, like.sql_type, slot=name)


def _level(at: int) -> Column:
    return _system(f"{LEVEL}{at}_id", _NUMBER)


def _block(each: TablePlan, slots: dict[str, str]) -> dict[str, Field]:
    """Return a subtable's rows; `slots` gets the temporary name of each slot.

    The names are `t` (number of the subtable), `r` (position of the record), `l0`, `l1` and so on
    (index in each array), and `e0`, `e1` and so on (values).
    """
    count = len(each.rows.roots)
    fields: dict[str, Field] = {
        "t": ("BIGINT", [each.table.number] * count),
        "r": ("BIGINT", each.rows.roots),
    }
    for level, places in enumerate(zip(*(each.rows.levels or ()), strict=True)):
        fields[f"l{level}"] = ("BIGINT", places)
    for column, values in each.columns.values():
        slot = each.table.columns[column.name.lower()].slot
        name = slots.setdefault(slot, f"e{len(slots)}")
        fields[name] = (column.sql_type, as_json_values(column.kind, column.sql_type, values))
    return fields
