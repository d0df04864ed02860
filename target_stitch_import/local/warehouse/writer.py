"""Writes one load to the warehouse: bulk rows, upserts, subtables, versions.

Everything here runs inside the transaction of its caller.
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.warehouse.catalog import (
    BATCHED_AT,
    EXTRACTED_AT,
    PRIMARY_KEY,
    RECEIVED_AT,
    SEQUENCE,
    SOURCE_KEY,
    TABLE_VERSION,
    Column,
    Table,
)
from target_stitch_import.local.warehouse.digits import TEXT, plain
from target_stitch_import.local.warehouse.match import Match
from target_stitch_import.local.warehouse.store import (
    main_relation,
    quoted,
    relations,
    staged_relation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from target_stitch_import.local.api.batch import Load
    from target_stitch_import.local.warehouse.bulk import Bulk, Field
    from target_stitch_import.local.warehouse.plan import Plan, TablePlan

MANY_TABLES = 100  # from here on, planning simple statements takes longer than running them


class Writer:
    """Writes one load."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, bulk: Bulk, received_at: datetime
    ) -> None:
        self._sql = connection.execute
        self._bulk = bulk
        self._received_at = received_at
        self._batched_at = datetime.now(timezone.utc)

    def rows(self, plan: Plan, known: dict[str, Table], family: dict[str, Table]) -> int:
        """Store the planned rows: upserted by key, or appended. Gives how many arrived.

        `known` holds the tables as they are; `family` the root's subtables so far, whose rows
        for an upserted key are replaced.
        """
        root = plan.tables[0]
        if not plan.load.records or not any(each.table.columns for each in plan.tables):
            return 0
        version = plan.load.version
        staged = version > root.table.version
        stored = [each for each in plan.tables if each is root or each.columns]
        for each in stored:
            self._reshape(each, root.table, known.get(each.table.name.lower()), plan.load, staged)
        names = self._incoming(plan, root)
        present = {each.table.name.lower(): each.table for each in stored}
        if root.table.key_columns():
            match = Match(root.table, names, version if staged else None)
            self._sql(match.drop_losers(root.table, _target(root.table, staged)))
            [(replaced,)] = self._sql(
                match.delete_old(root.table, _target(root.table, staged), "")
            ).fetchall()
            for name, before in family.items():
                if replaced and _has_relation(before, staged=staged):
                    table = present.get(name, before)
                    self._sql(match.delete_old(table, _target(table, staged), SOURCE_KEY))
        self._insert_root(root, names, _target(root.table, staged), plan.load)
        if len(stored) > MANY_TABLES:
            self._sql("PRAGMA disable_optimizer")
        for alike in _alike(stored[1:]):
            self._insert_subs(plan, alike, root, names, staged=staged)
        self._sql("PRAGMA enable_optimizer; DROP TABLE incoming")
        return sum(len(each.rows.roots) for each in stored)

    def activate(self, root: Table, version: int, tables: list[Table]) -> None:
        """Make `version` the visible one: earlier rows go, its staged rows take their place."""
        if version == root.version:
            return
        for table in tables:
            if table.columns:
                main = main_relation(table)
                self._sql(f"DELETE FROM {main}")
                if table.staged:
                    staged = staged_relation(table)
                    self._sql(
                        f"INSERT INTO {main} BY NAME FROM {staged} WHERE {TABLE_VERSION} = ?",
                        [version],
                    )
                    self._sql(f"DELETE FROM {staged} WHERE {TABLE_VERSION} <= ?", [version])
            table.version = version
            table.new_version = True

    def _reshape(
        self,
        each: TablePlan,
        root: Table,
        known: Table | None,
        load: Load,
        staged: bool,  # noqa: FBT001
    ) -> None:
        """Make or alter the relations of a table, so that the planned columns are there."""
        table = each.table
        for column in _system_columns(each, root, load):
            present = table.columns.get(column.name.lower())
            if present is None or present.sql_type != column.sql_type:
                table.add(column)  # a subtable's copy of a key widens with the key
        exists = known is not None and bool(known.columns)
        had = known.columns if known is not None else {}
        definition = ", ".join(
            f"{quoted(column.name)} {column.sql_type}" for column in table.columns.values()
        )
        for relation in relations(known) if known is not None else []:
            retyped: list[Column] = []
            for name, column in table.columns.items():
                before = had.get(name)
                if before is None:
                    change = f"ADD COLUMN {quoted(column.name)} {column.sql_type}"
                elif before.sql_type != column.sql_type:
                    retyped += [column] * (column.sql_type == TEXT)
                    via = "::VARCHAR" if before.sql_type == "DOUBLE" else ""
                    change = (
                        f"ALTER COLUMN {quoted(column.name)} SET DATA TYPE {column.sql_type}"
                        f" USING {quoted(column.name)}{via}::{column.sql_type}"
                    )
                else:
                    continue
                self._sql(f"ALTER TABLE {relation} {change}")
            for column in retyped:
                self._write_plainly(relation, column)
        if not exists:
            self._sql(f"CREATE TABLE {main_relation(table)} ({definition})")
        if staged and not table.staged:
            table.staged = True
            self._sql(f"CREATE TABLE {staged_relation(table)} ({definition})")

    def _write_plainly(self, relation: str, column: Column) -> None:
        """Give each number of a column that has become text the one text that stands for it."""
        name = quoted(column.name)
        old = [
            value
            for (value,) in self._sql(
                f"SELECT DISTINCT {name} FROM {relation} WHERE {name} IS NOT NULL"
            ).fetchall()
        ]
        new = [plain(Decimal(value)) for value in old]
        if old != new:
            self._bulk.read("plainly", {"o": ("VARCHAR", old), "n": ("VARCHAR", new)})
            self._sql(
                f"UPDATE {relation} SET {name} = n FROM plainly WHERE {name} = o;DROP TABLE plainly"
            )

    def _incoming(self, plan: Plan, root: TablePlan) -> dict[str, str]:
        """Bring the root's rows in as the temporary table `incoming`, one winner a key.

        Gives the temporary name of each column that the load brings.
        """
        names = {column.name: f"c{at}" for at, (column, _) in enumerate(root.columns)}
        fields: dict[str, Field] = {
            "r": ("BIGINT", list(root.rows.roots)),
            "s": ("BIGINT", plan.load.sequences),
        }
        if plan.load.extracted_at is not None:
            fields["x"] = ("VARCHAR", plan.load.extracted_at)
        fields.update(_fields(root, "c"))
        extra = []
        if PRIMARY_KEY in root.table.columns:
            extra.append("uuid()::VARCHAR AS k")
        winners = ""
        if root.table.key_columns() and not _unique_keys(root):
            parts = [names[key.name] for key in root.table.key_columns() if key.name in names]
            winners = (
                f" QUALIFY row_number() OVER (PARTITION BY {', '.join(parts)}"
                " ORDER BY s DESC, r) = 1 ORDER BY r"
            )
        self._bulk.read("incoming", fields, extra=extra, tail=winners)
        return names

    def _insert_root(self, root: TablePlan, names: dict[str, str], target: str, load: Load) -> None:
        values = {quoted(name): short for name, short in names.items()}
        values.update(self._system_values(load, root.table))
        if PRIMARY_KEY in root.table.columns:
            values[PRIMARY_KEY] = "k"
        self._sql(
            f"INSERT INTO {target} ({', '.join(values)}) SELECT {', '.join(values.values())}"
            " FROM incoming"
        )

    def _insert_subs(
        self,
        plan: Plan,
        alike: list[TablePlan],
        root: TablePlan,
        names: dict[str, str],
        *,
        staged: bool,
    ) -> None:
        """Store the rows of subtables of one form for the root rows that were stored.

        All of them come in at once, since a record of many arrays has many tables of few rows.
        """
        depth = _depth(alike[0])
        parts = [_fields(each, "e") for each in alike]
        fields: dict[str, Field] = {
            "t": ("BIGINT", [at for at, each in enumerate(alike) for _ in each.rows.roots]),
            "r": ("BIGINT", list(chain.from_iterable(each.rows.roots for each in alike))),
        }
        places = list(chain.from_iterable(each.rows.levels or () for each in alike))
        for level in range(depth):
            fields[f"l{level}"] = ("BIGINT", [place[level] for place in places])
        for name, (sql_type, _) in parts[0].items():
            fields[name] = (
                sql_type,
                list(chain.from_iterable(part[name][1] for part in parts)),
            )
        self._bulk.read("incoming_subs", fields)
        keys = _source_keys(root.table, names)
        own = ["t", *(f"l{level}" for level in range(depth)), *parts[0], "s"]
        if plan.load.extracted_at is not None:
            own.append("x")
        self._sql(
            f"CREATE TEMP TABLE incoming_sub AS SELECT {', '.join(own)}"
            f"{''.join(f', {source} AS q{at}' for at, (_, source) in enumerate(keys))}"
            " FROM incoming_subs JOIN incoming USING (r)"
            f" ORDER BY {', '.join(['t', 'r', *(f'l{level}' for level in range(depth))])}"
        )
        values = {f"_sdc_level_{level}_id": f"l{level}" for level in range(depth)}
        values.update({quoted(column.name): f"q{at}" for at, (column, _) in enumerate(keys)})
        for at, each in enumerate(alike):
            mine = {quoted(column.name): f"e{at}" for at, (column, _) in enumerate(each.columns)}
            mine |= values | self._system_values(plan.load, each.table)
            self._sql(
                f"INSERT INTO {_target(each.table, staged)} ({', '.join(mine)})"
                f" SELECT {', '.join(mine.values())} FROM incoming_sub WHERE t = {at}"
            )
        self._sql("DROP TABLE incoming_subs; DROP TABLE incoming_sub")

    def _system_values(self, load: Load, table: Table) -> dict[str, str]:
        """Give the system columns' expressions; literals are ours, never from data."""
        values = {
            RECEIVED_AT: f"TIMESTAMP '{_moment(self._received_at)}'",
            BATCHED_AT: f"TIMESTAMP '{_moment(self._batched_at)}'",
            SEQUENCE: "s",
            TABLE_VERSION: str(int(load.version)),
        }
        if load.extracted_at is not None and not _sends_its_time(table):
            values[EXTRACTED_AT] = "try_cast(try_cast(x AS TIMESTAMPTZ) AS TIMESTAMP)"
        return values


def _alike(tables: list[TablePlan]) -> list[list[TablePlan]]:
    """Group subtables by depth and by the types of the columns that they bring."""
    groups: dict[tuple[Any, ...], list[TablePlan]] = {}
    for each in tables:
        form = (_depth(each), *(column.sql_type for column, _ in each.columns))
        groups.setdefault(form, []).append(each)
    return list(groups.values())


def _depth(each: TablePlan) -> int:
    return len(each.rows.levels[0]) if each.rows.levels else 0


def _has_relation(table: Table, *, staged: bool) -> bool:
    """Whether a table has the relation for rows of a later version, or the main one."""
    return bool(table.columns) and (table.staged or not staged)


def _target(table: Table, staged: bool) -> str:  # noqa: FBT001 - which of two
    return staged_relation(table) if staged else main_relation(table)


def _fields(each: TablePlan, prefix: str) -> dict[str, Field]:
    """Give a table's columns under temporary names, as JSON can carry them."""
    fields: dict[str, Field] = {}
    for at, (column, values) in enumerate(each.columns):
        fields[f"{prefix}{at}"] = (column.sql_type, _spelt(column, values))
    return fields


def _spelt(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """Give values as JSON can carry them: a number that it would round is given as text."""
    if column.kind not in ("integer", "number") or column.sql_type == "BIGINT":
        return values
    text = plain if column.sql_type == TEXT else str
    return [None if value is None else text(value) for value in values]


def _unique_keys(root: TablePlan) -> bool:
    """Whether it is plain that no key occurs twice; points in time have several spellings."""
    keys = {key.name for key in root.table.key_columns()}
    columns = [(column.kind, values) for column, values in root.columns if column.name in keys]
    if any(kind == "timestamp" for kind, _ in columns):
        return False
    found = set(zip(*(values for _, values in columns), strict=True))
    return len(found) == len(root.rows.roots)


def _cast(key: str, sql_type: str) -> str:
    # A cast to TIMESTAMP alone would ignore the offset; the session's time zone is UTC.
    text = f"{key}::TIMESTAMPTZ" if sql_type == "TIMESTAMP" else key
    return f"{text}::{sql_type}"


def _root_keys(root: Table) -> list[Column]:
    """Give the columns that subtables repeat of their root."""
    own = root.columns.get(PRIMARY_KEY)
    if own is not None:
        return [own]
    return [each for each in root.columns.values() if each.raw_name in root.key_names]


def _source_keys(root: Table, names: dict[str, str]) -> list[tuple[Column, str]]:
    """Give the columns of a subtable that repeat the root's key, and where values come from."""
    found = []
    for key in _root_keys(root):
        source = "k" if key.name == PRIMARY_KEY else names.get(key.name, "NULL")
        found.append((Column(SOURCE_KEY + key.name, "", key.kind, key.sql_type), source))
    return found


def _system_columns(each: TablePlan, root: Table, load: Load) -> list[Column]:
    """Give the system columns a table needs for this load."""
    columns: list[Column] = []
    if each.rows.levels is not None:
        columns += [column for column, _ in _source_keys(root, {})]
        columns += [
            Column(f"_sdc_level_{level}_id", "", "integer", "BIGINT")
            for level in range(_depth(each))
        ]
    elif not each.table.key_names:
        columns.append(Column(PRIMARY_KEY, "", "string", "VARCHAR"))
    columns.append(Column(RECEIVED_AT, "", "timestamp", "TIMESTAMP"))
    columns.append(Column(BATCHED_AT, "", "timestamp", "TIMESTAMP"))
    columns.append(Column(SEQUENCE, "", "integer", "BIGINT"))
    columns.append(Column(TABLE_VERSION, "", "integer", "BIGINT"))
    if load.extracted_at is not None and not _sends_its_time(each.table):
        columns.append(Column(EXTRACTED_AT, "", "timestamp", "TIMESTAMP"))
    return columns


def _sends_its_time(table: Table) -> bool:
    """Whether records have the column that messages' own times would fill."""
    own = table.columns.get(EXTRACTED_AT)
    return own is not None and own.raw_name == EXTRACTED_AT


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
