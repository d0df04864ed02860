"""Plans one load without a database: which rows go to which columns, and which are rejected.

A record with a value that cannot be loaded is removed as a whole, and the rest is planned again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.api.values import INT64
from target_stitch_import.local.warehouse import digits
from target_stitch_import.local.warehouse.catalog import (
    CollisionError,
    Column,
    Table,
    UnusableColumnError,
    place,
)
from target_stitch_import.local.warehouse.shape import Rows, Series, shape

if TYPE_CHECKING:
    from target_stitch_import.local.api.batch import Load
    from target_stitch_import.local.warehouse.profiles import Profile

HUGE_INTEGER = "HUGEINT"

Measure = Callable[[Table, Column], digits.Extent]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row for `_sdc_rejected`: why, and the record it is about."""

    reason: str
    record: Any


@dataclass(slots=True)
class TablePlan:
    """What one load does to one table: the table afterwards, and the rows column by column."""

    table: Table
    rows: Rows
    columns: dict[str, tuple[Column, Sequence[Any]]] = field(default_factory=dict)
    """The columns by name, each with its values."""


@dataclass(slots=True)
class Plan:
    """What one load does: tables with their rows (root first), and what is rejected."""

    load: Load
    tables: list[TablePlan] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    left_out: dict[str, Rejection] = field(default_factory=dict)
    """Columns that cannot be loaded, by reason."""


@dataclass(slots=True)
class _UnfitRecords:
    """Records that cannot be loaded: the first reason for each, by position."""

    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, at: int, reason: str) -> None:
        self.reasons.setdefault(at, reason)

    def add_all(self, positions: Iterable[int], reason: str) -> None:
        for at in positions:
            self.add(at, reason)


class Planner:
    """Plans loads by one destination's rules; `measure` returns the digits a column holds."""

    def __init__(self, profile: Profile, measure: Measure, *, flatten: bool) -> None:
        self._profile = profile
        self._measure = measure
        self._flatten = flatten

    def plan(self, load: Load, tables: dict[str, Table], schema: str) -> Plan:
        """Plan `load` on copies of `tables`: those of the schema, by lower-case name."""
        reason = self._table_reason(load, tables)
        if reason is not None:
            rejected = [Rejection(reason, record) for record in load.records]
            return Plan(load, [], rejected)
        rejections: list[Rejection] = []
        while True:
            plan = Plan(load, [], list(rejections))
            touched: dict[str, Table] = {}
            unfit = _UnfitRecords()
            for rows in shape(load, flatten=self._flatten):
                name = self._profile.name(rows.raw_name, table=True)
                key = name.lower()
                if key in touched:  # the arrays `a__b` and `b` inside `a` have one name
                    unfit.add_all(rows.roots, _collision(rows.raw_name, touched[key]))
                    continue
                if key in tables:
                    touched[key] = tables[key].copy()
                self._table(plan, rows, touched, Table(schema, name, rows.raw_name), unfit)
            if not unfit.reasons:
                plan.rejections += plan.left_out.values()
                return plan
            rejections += [
                Rejection(reason, load.records[at]) for at, reason in sorted(unfit.reasons.items())
            ]
            load = without_records(load, set(unfit.reasons))

    def _table_reason(self, load: Load, tables: dict[str, Table]) -> str | None:
        """Return why nothing of the load can be stored, or None."""
        name = self._profile.name(load.table_name, table=True)
        if not name:
            return (
                f"Table name [{load.table_name}] has no character that {self._profile.title} allows"
            )
        if len(name) > self._profile.table_characters:
            return f"Table name [{load.table_name}] is too long for {self._profile.title}"
        reserved = self._profile.reserved_prefix(load.table_name, table=True)
        if reserved is not None:
            return reserved
        known = tables.get(name.lower())
        if known is not None and collides(load, known):
            return _collision(load.table_name, known)
        stops = self._profile.on_key_change == "stop"
        stored = known is not None and known.columns and load.records
        if known is not None and stored and stops and not _same_keys(known, load):
            return f"primary keys changed on [{load.table_name}]"
        return None

    def _table(
        self, plan: Plan, rows: Rows, tables: dict[str, Table], new: Table, unfit: _UnfitRecords
    ) -> None:
        """Plan the rows of one table: one of `tables`, or else `new`, which is added to them."""
        load, profile = plan.load, self._profile
        root = plan.tables[0].table if rows.levels is not None else None
        table = tables.get(new.name.lower())
        if root is not None and len(new.name) > profile.table_characters:
            unfit.add_all(
                rows.roots, f"Table name [{rows.raw_name}] is too long for {profile.title}"
            )
            return
        if root is not None and table is not None and not _is_sub(table, root, rows.raw_name):
            unfit.add_all(rows.roots, _collision(rows.raw_name, table))
            return
        if table is None:
            table = tables[new.name.lower()] = new
            table.version = load.version
            if root is None:
                table.key_names = load.key_names
                table.append_only = not load.key_names
            else:
                table.root = root.name
        elif root is None and rows.roots and not table.columns:
            # The table is known only from an activation, which need not name the keys.
            table.key_names = load.key_names
            table.append_only = not load.key_names
        elif root is None and rows.roots and not _same_keys(table, load):
            table.append_only = True
        each = TablePlan(table, rows)
        for series in rows.series:
            self._series(plan, each, series, unfit)
        if profile.max_columns and len(table.columns) > profile.max_columns:
            unfit.add_all(rows.roots, "ERROR: too many columns")
        plan.tables.append(each)

    def _series(self, plan: Plan, each: TablePlan, series: Series, unfit: _UnfitRecords) -> None:
        rows, table = each.rows, each.table
        try:
            column = self._column(each, series)
        except UnusableColumnError as error:
            if rows.levels is None and series.raw_name in plan.load.key_names:
                unfit.add_all(rows.roots, str(error))
                return
            # The record loads without this property, so only the property is rejected.
            value = next(value for value in series.values if value is not None)
            plan.left_out.setdefault(str(error), Rejection(str(error), {series.raw_name: value}))
            return
        except CollisionError as error:
            for at, value in enumerate(series.values):
                if value is not None:
                    unfit.add(rows.roots[at], str(error))
            return
        column, outside = self._fitted(table, column, series)
        for at in outside:
            what = {"number": "decimal"}.get(series.kind, series.kind)
            unfit.add(
                rows.roots[at],
                f"{what} out of range for {self._profile.title} on [{series.values[at]}]"[:500],
            )
        table.add(column)
        each.columns[column.name] = column, series.values

    def _column(self, each: TablePlan, series: Series) -> Column:
        """Return the column for a series; raises the errors of `place`."""
        profile = self._profile
        reserved = profile.reserved_prefix(series.raw_name) or profile.reserved_suffix(series.leaf)
        column = place(each.table, series.raw_name, series.kind, profile, reserved)
        if column.name in each.columns:  # `a__b` and `b` inside `a` have one name
            raise CollisionError(f"Field collision on [{series.raw_name}]")
        return column

    def _fitted(self, table: Table, column: Column, series: Series) -> tuple[Column, list[int]]:
        """Return the column with the type its values need, and the positions out of range."""
        known = table.columns.get(column.name.lower())
        if series.kind == "number":
            state = digits.ColumnState(
                known.sql_type if known else None,
                series.scale,
                lambda: self._measure(table, column),
            )
            fitted = digits.fit(series.values, state, self._profile.decimals)
            return replace(column, sql_type=fitted.sql_type), list(fitted.outside)
        if series.kind == "integer":
            return self._integers(column, series.values)
        if series.kind == "timestamp":
            least = f"{self._profile.min_year:04d}"
            return column, [
                at
                for at, value in enumerate(series.values)
                if value is not None and value[:4] < least
            ]
        return column, []

    def _integers(self, column: Column, values: Sequence[Any]) -> tuple[Column, list[int]]:
        present = [value for value in values if value is not None]
        if column.sql_type != HUGE_INTEGER and min(present) in INT64 and max(present) in INT64:
            return column, []
        most = self._profile.integer_digits
        room = range(-(10**most) + 1, 10**most) if most else INT64
        outside = [at for at, each in enumerate(values) if each is not None and each not in room]
        huge = most and any(each in room and each not in INT64 for each in present)
        return (replace(column, sql_type=HUGE_INTEGER) if huge else column), outside


def collides(load: Load, known: Table) -> bool:
    """Return whether `known` has the name of the load's table, but is another table."""
    return known.raw_name != load.table_name or known.root is not None


def _collision(raw_name: str, known: Table) -> str:
    return f"Table [{raw_name}] collides with [{known.raw_name}]"


def _is_sub(table: Table, root: Table, raw_name: str) -> bool:
    return table.root == root.name and table.raw_name == raw_name


def _same_keys(table: Table, load: Load) -> bool:
    return set(table.key_names) == set(load.key_names)


def without_records(load: Load, positions: set[int]) -> Load:
    """Return the load without the records at `positions`."""
    kept = [at for at in range(len(load.records)) if at not in positions]
    times = load.extracted_at
    return replace(
        load,
        records=[load.records[at] for at in kept],
        sequences=[load.sequences[at] for at in kept],
        extracted_at=None if times is None else [times[at] for at in kept],
        columns=None,
    )
