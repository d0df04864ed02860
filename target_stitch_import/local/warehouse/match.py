"""Builds the SQL that matches incoming rows with stored rows by key."""

# ruff: noqa: S608 - every name that comes from data goes through `quoted`

from __future__ import annotations

from typing import TYPE_CHECKING

from target_stitch_import.local.warehouse.catalog import SEQUENCE, TABLE_VERSION
from target_stitch_import.local.warehouse.store import quoted

if TYPE_CHECKING:
    from target_stitch_import.local.warehouse.catalog import Table


class Match:
    """Matches stored rows with those in the temporary table `incoming`, by key.

    Every column is qualified, because a stored column can also be called `s` or `c0`.
    """

    def __init__(self, root: Table, names: dict[str, str], version: int | None) -> None:
        keys = root.key_columns()
        split = len(keys) > len(root.key_names)
        self._same = "IS NOT DISTINCT FROM" if split else "="
        self._keys = [
            (key.name, f"incoming.{names[key.name]}" if key.name in names else "NULL")
            for key in keys
        ]
        self._version = "" if version is None else f" AND t.{TABLE_VERSION} = {int(version)}"

    def drop_losers(self, target: str) -> str:
        """Return the statement that deletes incoming rows that are not newer than stored ones."""
        return (
            f"DELETE FROM incoming USING {target} t"
            f" WHERE {self._where('')} AND t.{SEQUENCE} >= incoming.s"
        )

    def delete_old(self, target: str, prefix: str = "") -> str:
        """Return the statement that deletes replaced rows; `prefix` precedes each key's name."""
        return f"DELETE FROM {target} t USING incoming WHERE {self._where(prefix)}"

    def _where(self, prefix: str) -> str:
        same = " AND ".join(
            f"t.{quoted(prefix + key)} {self._same} {value}" for key, value in self._keys
        )
        return same + self._version
