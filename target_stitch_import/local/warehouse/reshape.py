"""Creates and alters a table's relations, so that they have its columns."""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from target_stitch_import.local.warehouse.digits import TEXT, plain
from target_stitch_import.local.warehouse.store import (
    main_relation,
    quoted,
    relations,
    staged_relation,
)

if TYPE_CHECKING:
    from target_stitch_import.local.warehouse.bulk import Bulk
    from target_stitch_import.local.warehouse.catalog import Column, Table


class Reshaper:
    """Creates and alters relations inside the transaction of its caller."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk
        self._sql = bulk.connection.execute

    def reshape(self, table: Table, known: Table | None, *, staged: bool) -> None:
        """Create or alter the relations of `table`; `known` describes them as they are now.

        `staged`: rows of a later version follow, which are stored in a separate relation.
        """
        had = known.columns if known is not None else {}
        definition = ", ".join(
            f"{quoted(column.name)} {column.sql_type}" for column in table.columns.values()
        )
        for relation in relations(known) if known is not None else []:
            for name, column in table.columns.items():
                before = had.get(name)
                if before is None:
                    self._sql(
                        f"ALTER TABLE {relation} ADD COLUMN {quoted(column.name)} {column.sql_type}"
                    )
                elif before.sql_type != column.sql_type:
                    self._retype(relation, before, column)
        if not had:
            self._sql(f"CREATE TABLE {main_relation(table)} ({definition})")
        if staged and not table.staged:
            table.staged = True
            self._sql(f"CREATE TABLE {staged_relation(table)} ({definition})")

    def _retype(self, relation: str, before: Column, column: Column) -> None:
        name = quoted(column.name)
        self._sql(
            f"ALTER TABLE {relation} ALTER COLUMN {name} SET DATA TYPE {column.sql_type}"
            f" USING {converted(name, before, column)}"
        )
        self.write_plainly(relation, column, name)

    def write_plainly(
        self, relation: str, column: Column, name: str, condition: str = "true"
    ) -> None:
        """Write each number of a column that has become text in its canonical form."""
        if column.sql_type != TEXT:
            return
        old = [
            value
            for (value,) in self._sql(
                f"SELECT DISTINCT {name} FROM {relation} WHERE {name} IS NOT NULL AND {condition}"
            ).fetchall()
        ]
        new = [plain(Decimal(value)) for value in old]
        if old != new:
            self._bulk.create("plainly", {"o": ("VARCHAR", old), "n": ("VARCHAR", new)})
            self._sql(
                f"UPDATE {relation} SET {name} = n FROM plainly WHERE {name} = o AND {condition};"
                "DROP TABLE plainly"
            )


def converted(name: str, before: Column, column: Column) -> str:
    """Return the expression that converts a column's values to its new type."""
    via = "::VARCHAR" if before.sql_type == "DOUBLE" else ""  # keeps the digits that it prints
    return f"{name}{via}::{column.sql_type}"
