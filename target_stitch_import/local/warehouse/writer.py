"""Writes one load to the warehouse: bulk rows, upserts, subtables, versions.

Everything here runs inside the transaction of its caller.
"""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

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
    has_own_extracted_at,
)
from target_stitch_import.local.warehouse.digits import as_json_values
from target_stitch_import.local.warehouse.match import Match
from target_stitch_import.local.warehouse.reshape import Reshaper
from target_stitch_import.local.warehouse.store import (
    main_relation,
    quoted,
    staged_relation,
    target_relation,
)
from target_stitch_import.local.warehouse.subtables import Subtables

if TYPE_CHECKING:
    from target_stitch_import.local.api.batch import Load
    from target_stitch_import.local.warehouse.bulk import Bulk, Field
    from target_stitch_import.local.warehouse.plan import Plan, TablePlan


class Writer:
    """Writes one load."""

    def __init__(self, bulk: Bulk, received_at: datetime) -> None:
        self._sql = bulk.connection.execute
        self._bulk = bulk
        self._received_at = received_at
        self._batched_at = datetime.now(timezone.utc)

    def store(self, plan: Plan, known: dict[str, Table]) -> tuple[int, dict[str, Table]]:
        """Store the planned rows: upserted by key, or appended; `known` holds the tables before.

        Returns how many rows arrived, and which tables changed besides the planned ones.
        """
        root = plan.tables[0]
        if not plan.load.records or not any(each.table.columns for each in plan.tables):
            return 0, {}
        table, version = root.table, plan.load.version
        staged = version > table.version
        subs = [each for each in plan.tables[1:] if each.columns]
        system = _system_columns(plan.load)
        for column in (*_generated_key(table), *system):
            if column.name != EXTRACTED_AT or not has_own_extracted_at(table):
                table.add(column)
        Reshaper(self._bulk).reshape(table, known.get(table.name.lower()), staged=staged)
        subtables = Subtables(self._bulk, table, known)
        others = subtables.reshape(subs, system, staged=staged)
        names = self._load_incoming(plan, root)
        target = target_relation(table, staged=staged)
        if table.key_columns():
            match = Match(table, names, version if staged else None)
            self._sql(match.drop_losers(target))
            [(replaced,)] = self._sql(match.delete_old(target)).fetchall()
            if replaced and table.shelf is not None:
                self._sql(match.delete_old(target_relation(table.shelf, staged=staged), SOURCE_KEY))
        system_values = self._system_values(plan.load)
        self._insert_root(root, names, target, system_values)
        subtables.insert(subs, names, system_values, staged=staged)
        self._sql("DROP TABLE incoming")
        return sum(len(each.rows.roots) for each in (root, *subs)), others

    def activate(self, root: Table, version: int) -> None:
        """Make `version` the visible one: delete earlier rows, and move in its staged rows."""
        for table in (root, root.shelf):
            if table is None or not table.columns:
                continue
            main = main_relation(table)
            self._sql(f"DELETE FROM {main}")
            if table.staged:
                staged = staged_relation(table)
                self._sql(
                    f"INSERT INTO {main} BY NAME FROM {staged} WHERE {TABLE_VERSION} = ?",
                    [version],
                )
                self._sql(f"DELETE FROM {staged} WHERE {TABLE_VERSION} <= ?", [version])

    def _load_incoming(self, plan: Plan, root: TablePlan) -> dict[str, str]:
        """Load the root's rows as the temporary table `incoming`, the newest per key.

        Its columns are `r` (position of the record), `s` (sequence), `x` (time of extraction), `k`
        (generated key), and `c0`, `c1` and so on; returns which of these each column has.
        """
        names = {column.name: f"c{at}" for at, (column, _) in enumerate(root.columns.values())}
        fields: dict[str, Field] = {
            "r": ("BIGINT", list(root.rows.roots)),
            "s": ("BIGINT", plan.load.sequences),
        }
        if plan.load.extracted_at is not None:
            fields["x"] = ("VARCHAR", plan.load.extracted_at)
        fields.update(_fields(root))
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
        self._bulk.create("incoming", fields, extra=extra, tail=winners)
        return names

    def _insert_root(
        self, root: TablePlan, names: dict[str, str], target: str, system: dict[str, str]
    ) -> None:
        values = {quoted(name): short for name, short in names.items()}
        if has_own_extracted_at(root.table):
            system = {name: each for name, each in system.items() if name != EXTRACTED_AT}
        values |= system
        if PRIMARY_KEY in root.table.columns:
            values[PRIMARY_KEY] = "k"
        self._sql(
            f"INSERT INTO {target} ({', '.join(values)}) SELECT {', '.join(values.values())}"
            " FROM incoming"
        )

    def _system_values(self, load: Load) -> dict[str, str]:
        """Return the expressions of the system columns; the only literal from data is a number."""
        values = {
            RECEIVED_AT: f"TIMESTAMP '{_moment(self._received_at)}'",
            BATCHED_AT: f"TIMESTAMP '{_moment(self._batched_at)}'",
            SEQUENCE: "s",
            TABLE_VERSION: str(int(load.version)),
        }
        if load.extracted_at is not None:
            values[EXTRACTED_AT] = "try_cast(try_cast(x AS TIMESTAMPTZ) AS TIMESTAMP)"
        return values


def _fields(root: TablePlan) -> dict[str, Field]:
    """Return the root's columns under temporary names, for JSON."""
    return {
        f"c{at}": (column.sql_type, as_json_values(column.kind, column.sql_type, values))
        for at, (column, values) in enumerate(root.columns.values())
    }


def _unique_keys(root: TablePlan) -> bool:
    """Return whether no key occurs twice; False for times, which can be written in several ways."""
    keys = {key.name for key in root.table.key_columns()}
    columns = [
        (column.kind, values) for name, (column, values) in root.columns.items() if name in keys
    ]
    if any(kind == "timestamp" for kind, _ in columns):
        return False
    found = set(zip(*(values for _, values in columns), strict=True))
    return len(found) == len(root.rows.roots)


def _generated_key(root: Table) -> list[Column]:
    return [] if root.key_names else [Column(PRIMARY_KEY, "", "string", "VARCHAR")]


def _system_columns(load: Load) -> list[Column]:
    """Return the system columns that this load fills in every table."""
    columns = [
        Column(RECEIVED_AT, "", "timestamp", "TIMESTAMP"),
        Column(BATCHED_AT, "", "timestamp", "TIMESTAMP"),
        Column(SEQUENCE, "", "integer", "BIGINT"),
        Column(TABLE_VERSION, "", "integer", "BIGINT"),
    ]
    if load.extracted_at is not None:
        columns.append(Column(EXTRACTED_AT, "", "timestamp", "TIMESTAMP"))
    return columns


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
