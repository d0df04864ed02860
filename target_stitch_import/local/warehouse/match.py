"""The SQL that finds the stored rows of the keys that a load brings."""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from typing import TYPE_CHECKING

from target_stitch_import.local.warehouse.catalog import SEQUENCE, TABLE_VERSION
from target_stitch_import.local.warehouse.digits import TEXT
from target_stitch_import.local.warehouse.store import quoted

if TYPE_CHECKING:
    from target_stitch_import.local.warehouse.catalog import Column, Table


class Match:
    """The SQL that finds the rows of the keys in `incoming`.

    Every column is qualified: a table's own may well be called `s` or `c0`.
    """

    def __init__(self, root: Table, names: dict[str, str], version: int | None) -> None:
        keys = root.key_columns()
        split = len(keys) > len(root.key_names)
        self._same = "IS NOT DISTINCT FROM" if split else "="
        self._keys = [
            (key, f"incoming.{names[key.name]}" if key.name in names else "NULL") for key in keys
        ]
        self._version = "" if version is None else f" AND t.{TABLE_VERSION} = {int(version)}"

    def drop_losers(self, root: Table, target: str) -> str:
        """Drop incoming rows that are not newer than the stored ones."""
        return (
            f"DELETE FROM incoming USING {target} t"
            f" WHERE {self._where(root, '')} AND t.{SEQUENCE} >= incoming.s"
        )

    def delete_old(self, table: Table, target: str, prefix: str) -> str:
        """Delete the stored rows that incoming ones replace; `prefix` leads the key's name."""
        return f"DELETE FROM {target} t USING incoming WHERE {self._where(table, prefix)}"

    def _where(self, table: Table, prefix: str) -> str:
        same = " AND ".join(
            f"{self._column(table, prefix, key)} {self._same} {value}" for key, value in self._keys
        )
        return same + self._version

    @staticmethod
    def _column(table: Table, prefix: str, key: Column) -> str:
        # A subtable learns of a key column's split or new type only with its next row.
        present = table.columns.get((prefix + key.name).lower())
        if present is None:
            return "NULL"
        name = f"t.{quoted(present.name)}"
        if key.kind == "number" and key.sql_type == TEXT != present.sql_type:
            return _plainly(name)
        return name


def _plainly(name: str) -> str:
    """Write a number in SQL as `plain` does."""
    return (
        f"CASE WHEN contains({name}::VARCHAR, '.')"
        f" THEN rtrim(rtrim({name}::VARCHAR, '0'), '.') ELSE {name}::VARCHAR END"
    )
