"""The values that the pages show: the overview, one table, one request."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from target_stitch_import.local.api.faults import Fault
from target_stitch_import.local.server.exhibit import exhibit
from target_stitch_import.local.server.plot import plot
from target_stitch_import.local.warehouse import insight
from target_stitch_import.local.warehouse.catalog import SOURCE_KEY, SYSTEM_NAME
from target_stitch_import.local.warehouse.store import schema_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from target_stitch_import.local.api.faults import FaultList
    from target_stitch_import.local.api.journal import Entry, Journal, Rate
    from target_stitch_import.local.server.plot import Plot
    from target_stitch_import.local.warehouse.catalog import Column, Table
    from target_stitch_import.local.warehouse.insight import RejectedGroup
    from target_stitch_import.local.warehouse.warehouse import Warehouse

PAGE_ROWS = 100
SHOWN_ENTRIES = 60
SHOWN_GROUPS = 50
SHOWN_TABLES = 500
SHOWN_SUBTABLES = 100
RATE_SECONDS = 10
SHOWN_HEADERS = (
    "host",
    "user-agent",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "accept",
    "expect",
    "origin",
)
"""The headers that are shown; others may contain secrets."""
_NUMBERS = ("BIGINT", "HUGEINT", "DOUBLE", "DECIMAL")
FILTERS: dict[str, tuple[str, Callable[[Entry], bool]]] = {
    "": ("all", lambda _entry: True),
    "refused": ("refused", lambda entry: not entry.accepted),
    "rejected": ("with rejected records", lambda entry: entry.rejected > 0),
    "faults": ("with a fault", lambda entry: bool(entry.fault)),
}
"""The filters of the list of requests, by the URL's parameter `show`: name, and predicate."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list of tables."""

    schema: str
    name: str
    root: str | None
    rows: int
    rejected: int
    loaded_at: datetime | None
    columns: int
    keys: list[str]
    version: int
    link: str


SORTS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: (row.schema.lower(), row.name.lower()),
    "rows": lambda row: -row.rows,
    "rejected": lambda row: -row.rejected,
    "loaded": lambda row: -row.loaded_at.timestamp() if row.loaded_at else 0,
    "columns": lambda row: -row.columns,
}
"""The orders of the list of tables: names ascend, numbers and times descend."""


class Views:
    """Makes the pages' values from the journal, the faults and the warehouse.

    Runs in threads while requests come in, so it copies whatever grows in the meantime.
    """

    def __init__(self, journal: Journal, faults: FaultList, warehouse: Warehouse) -> None:
        self._journal = journal
        self._faults = faults
        self._warehouse = warehouse

    def overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Return the overview; `asked` has the URL's parameters `q` (search), `sort` and `show`."""
        journal = self._journal
        groups = insight.rejected(self._warehouse)
        tables = self._tables(groups)
        search = asked.get("q", "").strip()
        sort = asked.get("sort", "")
        sort = sort if sort in SORTS else "name"
        show = asked.get("show", "")
        show = show if show in FILTERS else ""
        found = sorted(
            (each for each in tables if search.lower() in f"{each.schema}.{each.name}".lower()),
            key=SORTS[sort],
        )
        state = {"q": search, "sort": sort if sort != "name" else "", "show": show}
        entries = [each for each in reversed(list(journal.log)) if FILTERS[show][1](each)]
        rate = dict(journal.rate)
        return {
            "accepted": journal.accepted,
            "refused": journal.refused,
            "records": journal.records,
            "rate": _recent(rate),
            "rows": sum(each.rows for each in tables),
            "all_tables": len(tables),
            "tables": found[:SHOWN_TABLES],
            "found": len(found),
            "schemas": len({each.schema for each in tables}),
            "search": search,
            "sort": sort,
            "sorts": {each: _query(state, sort=each if each != "name" else "") for each in SORTS},
            "show": show,
            "shows": [(each, FILTERS[each][0], _query(state, show=each)) for each in FILTERS],
            "state": state,
            "groups": groups[:SHOWN_GROUPS],
            "more_groups": len(groups) - SHOWN_GROUPS,
            "rejected": sum(each.count for each in groups),
            "entries": entries[:SHOWN_ENTRIES],
            "older": len(entries) - SHOWN_ENTRIES,
            "faults": [
                msgspec.json.encode(_brief(fault)).decode() for fault in self._faults.entries()
            ],
            "plot": plot(rate, int(time.time())),
        }

    def table(self, schema: str, name: str, offset: int) -> dict[str, Any] | None:
        """Return one table and `PAGE_ROWS` of its rows; None if there is no such table."""
        table = self._warehouse.find(schema, name)
        if table is None:
            return None
        groups = insight.rejected(self._warehouse)
        every = {(each.schema, each.name): each for each in self._tables(groups)}
        shown = every[table.schema, table.name]
        subtables = [
            each
            for each in every.values()
            if each.schema == table.schema and each.root == table.name
        ]
        mine = [
            each
            for each in groups
            if (each.schema, each.table) == (table.schema, table.raw_name) and not table.root
        ]
        later = offset + PAGE_ROWS
        rows = insight.rows(self._warehouse, table, PAGE_ROWS, offset)
        return {
            "table": shown,
            "parent": every.get((table.schema, table.root or "")),
            "subtables": subtables[:SHOWN_SUBTABLES],
            "more_subtables": len(subtables) - SHOWN_SUBTABLES,
            "first": offset + 1,
            "page_rows": PAGE_ROWS,
            "columns": self._columns(table),
            "rows": rows,
            "groups": mine[:SHOWN_GROUPS],
            "more_groups": len(mine) - SHOWN_GROUPS,
            "rejected": shown.rejected,
            "plot": self._plot(table),
            "previous": _link(table, max(offset - PAGE_ROWS, 0)) if offset else None,
            "next": _link(table, later) if later < shown.rows else None,
        }

    def request(self, number: int) -> dict[str, Any] | None:
        """Return one request; None if there is none, or it is no longer in the log."""
        found = self._journal.find(number)
        if found is None:
            return None
        entry, kept = found
        places = [
            place
            for place in entry.places
            if not any(each.startswith(f"{place}/") for each in entry.places)
        ]
        return {
            "entry": entry,
            "headers": {
                name: kept.headers[name]
                for name in SHOWN_HEADERS
                if kept is not None and name in kept.headers
            },
            "body": exhibit(kept.body, places, entry.reason)
            if kept is not None and kept.body
            else None,
            "places": places,
            "answer": _pretty(entry.answer),
        }

    def _tables(self, groups: Sequence[RejectedGroup]) -> list[Row]:
        rejected: dict[tuple[str, str], int] = {}
        for each in groups:
            key = each.schema, each.table
            rejected[key] = rejected.get(key, 0) + each.count
        return [
            Row(
                table.schema,
                table.name,
                table.root,
                rows,
                0 if table.root else rejected.get((table.schema, table.raw_name), 0),
                loaded_at,
                len(table.columns),
                [column.name for column in table.key_columns()],
                table.version,
                _link(table),
            )
            for table, rows, loaded_at in self._warehouse.overview()
        ]

    def _columns(self, table: Table) -> list[dict[str, Any]]:
        changes = insight.changes(self._warehouse, table)
        keys = {column.name for column in table.key_columns()}
        return [
            {
                "name": column.name,
                "path": column.raw_name,
                "type": column.sql_type,
                "number": column.sql_type.startswith(_NUMBERS),
                "system": SYSTEM_NAME.match(column.name) is not None,
                "key": _key_words(column, keys),
                "changes": [each for each in changes if each.column == column.name],
            }
            for column in table.columns.values()
        ]

    def _plot(self, table: Table) -> Plot | None:
        """Return the plot of a table's records; None if it got none recently."""
        rates = [
            rate
            for (source, name), rate in list(self._journal.rates.items())
            if name == table.raw_name and schema_name(source) == table.schema
        ]
        total: Rate = {}
        for rate in rates:
            for second, records in list(rate.items()):
                total[second] = total.get(second, 0) + records
        return plot(total, int(time.time())) if total and table.root is None else None


def _key_words(column: Column, keys: Iterable[str]) -> str:
    if column.name in keys:
        return "key"
    return "key of its root" if column.name.startswith(SOURCE_KEY) else ""


def _recent(rate: Rate) -> int:
    """Return the records per second over the last `RATE_SECONDS`."""
    now = int(time.time())
    found = sum(records for second, records in rate.items() if now - RATE_SECONDS <= second < now)
    return round(found / RATE_SECONDS)


def _query(state: Mapping[str, str], **changed: str) -> str:
    """Return the URL of the overview with some parameters changed."""
    asked = {name: value for name, value in {**state, **changed}.items() if value}
    return f"/?{urlencode(asked)}" if asked else "/"


def _link(table: Table, offset: int = 0) -> str:
    path = f"/table/{quote(table.schema, safe='')}/{quote(table.name, safe='')}"
    return f"{path}?{urlencode({'offset': offset})}" if offset else path


def _pretty(answer: str) -> str:
    try:
        return msgspec.json.format(answer, indent=2)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return answer


def _brief(fault: dict[str, Any]) -> dict[str, Any]:
    """Return a fault without its defaults, except for the `status` of a kind that sends one."""
    defaults = msgspec.to_builtins(Fault(fault["kind"]))
    kept = ("kind", "status") if fault["kind"] in ("status", "redirect") else ("kind",)
    return {
        name: value
        for name, value in fault.items()
        if name in kept or value != defaults.get(name, msgspec.UNSET)
    }
