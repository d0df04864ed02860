"""The page at `/`: requests, tables, rejected records and the rate, for whoever develops a client.

Rendered here, escaped always; style and script come from the package. No token is ever part of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import Environment, PackageLoader
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from target_stitch_import.local.server.plot import plot
from target_stitch_import.local.warehouse.catalog import SYSTEM_NAME

if TYPE_CHECKING:
    from starlette.requests import Request

    from target_stitch_import.local.api.faults import FaultList
    from target_stitch_import.local.api.journal import Journal
    from target_stitch_import.local.warehouse.catalog import Table
    from target_stitch_import.local.warehouse.warehouse import Warehouse

PAGE_ROWS = 100
SHOWN_ENTRIES = 60
SHOWN_REJECTED = 25
_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "script.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    # Nothing from elsewhere, nothing inline: markup that slipped in with data could do nothing.
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_NUMBERS = ("BIGINT", "HUGEINT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True, slots=True)
class About:
    """What the head of the page says."""

    url: str
    region: str
    destination: str
    database: str
    tokens: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list of tables."""

    schema: str
    name: str
    root: str | None
    rows: int
    columns: int
    keys: list[str]
    version: int
    link: str


class Page:
    """Renders the page from what the service knows."""

    def __init__(
        self, about: About, journal: Journal, faults: FaultList, warehouse: Warehouse
    ) -> None:
        self._about = about
        self._journal = journal
        self._faults = faults
        self._warehouse = warehouse
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(count=_count, size=_size, took=_took)

    def routes(self) -> list[Route]:
        """Give the page's addresses."""
        return [
            Route("/", self._index),
            Route("/_page/live", self._live),
            Route("/_page/{name}", self._static),
            Route("/table/{schema}/{name:path}", self._table),
        ]

    async def _index(self, _request: Request) -> Response:
        return self._html("index.html", await run_in_threadpool(self._overview))

    async def _live(self, _request: Request) -> Response:
        return self._html("live.html", await run_in_threadpool(self._overview))

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            return Response("Not found.", 404, _HEADERS, "text/plain")
        body = files(__package__).joinpath("templates").joinpath(name).read_bytes()
        return Response(body, 200, _HEADERS, _STATIC[name])

    async def _table(self, request: Request) -> Response:
        offset = request.query_params.get("offset", "0")
        found = await run_in_threadpool(
            self._rows,
            request.path_params["schema"],
            request.path_params["name"],
            int(offset) if offset.isdecimal() and len(offset) < 15 else 0,
        )
        if found is None:
            return Response("There is no such table.", 404, _HEADERS, "text/plain")
        return self._html("table.html", found)

    def _html(self, template: str, values: dict[str, Any]) -> Response:
        body = self._templates.get_template(template).render(about=self._about, **values)
        return Response(body, 200, _HEADERS, "text/html")

    def _overview(self) -> dict[str, Any]:
        journal = self._journal
        tables = [_row(table, count) for table, count in self._warehouse.counts()]
        rejected, rejected_count = self._warehouse.rejected(SHOWN_REJECTED)
        return {
            "accepted": journal.accepted,
            "refused": journal.refused,
            "records": journal.records,
            "rows": sum(each.rows for each in tables),
            "tables": tables,
            "rejected": [
                {
                    "time": f"{moment:%H:%M:%S}",
                    "table": table,
                    "reason": reason,
                    "record": record[:300],
                }
                for moment, table, reason, record in rejected
            ],
            "rejected_count": rejected_count,
            "entries": list(journal.log)[: -SHOWN_ENTRIES - 1 : -1],
            "faults": [
                msgspec.json.encode(_brief(fault)).decode() for fault in self._faults.entries()
            ],
            "plot": plot(journal.rate.copy(), int(time.time())),
        }

    def _rows(self, schema: str, name: str, offset: int) -> dict[str, Any] | None:
        found = self._warehouse.page(schema, name, PAGE_ROWS, offset)
        if found is None:
            return None
        table, total, rows = found
        shown = _row(table, total)
        later = offset + PAGE_ROWS
        return {
            "table": shown,
            "total": total,
            "first": offset + 1,
            "page_rows": PAGE_ROWS,
            "columns": [
                {
                    "name": column.name,
                    "type": column.sql_type,
                    "number": column.sql_type.startswith(_NUMBERS),
                    "system": SYSTEM_NAME.match(column.name) is not None,
                }
                for column in table.columns.values()
            ],
            "rows": [[None if cell is None else str(cell)[:2000] for cell in row] for row in rows],
            "previous": _link(table, max(offset - PAGE_ROWS, 0)) if offset else None,
            "next": _link(table, later) if later < total else None,
        }


def _row(table: Table, count: int) -> Row:
    return Row(
        table.schema,
        table.name,
        table.root,
        count,
        len(table.columns),
        [column.name for column in table.key_columns()],
        table.version,
        _link(table),
    )


def _link(table: Table, offset: int = 0) -> str:
    path = f"/table/{quote(table.schema, safe='')}/{quote(table.name, safe='')}"
    return f"{path}?{urlencode({'offset': offset})}" if offset else path


def _brief(fault: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a fault what it does not use."""
    shown = {name: value for name, value in fault.items() if value not in (None, {}, "/", 0.0)}
    if fault["times"] == 1:
        del shown["times"]
    if fault["kind"] not in ("status", "redirect"):
        shown.pop("status", None)
    return shown


def _count(value: int) -> str:
    return f"{value:,}"


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def _took(seconds: float) -> str:
    if seconds < 0.001:
        return "<1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
