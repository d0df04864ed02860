"""Serves the web pages: an overview, and a page for each table and each request.

Values are always escaped; style and script come from the package. Pages contain no token.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader
from starlette.responses import Response
from starlette.routing import Route

from target_stitch_import.local.server import formats

if TYPE_CHECKING:
    from starlette.requests import Request

    from target_stitch_import.local.server.views import Views

_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "script.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    # No other origins, nothing inline: markup that is injected through data has no effect.
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class About:
    """What every page shows at its top."""

    url: str
    region: str
    destination: str
    database: str
    tokens: str


class Page:
    """Renders the pages."""

    def __init__(self, about: About, views: Views) -> None:
        self._about = about
        self._views = views
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            {name: getattr(formats, name) for name in ("count", "size", "took", "clock", "cut")}
        )

    def routes(self) -> list[Route]:
        """Return the pages' routes, for which `is_page` holds."""
        return [
            Route("/", self._index),
            Route("/_page/{name}", self._static),
            Route("/request/{number}", self._request),
            Route("/table/{schema}/{name:path}", self._table),
        ]

    async def _index(self, request: Request) -> Response:
        asked = dict(request.query_params)
        return self._html("index.html", await asyncio.to_thread(self._views.overview, asked))

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            return self._missing("There is no such file.")
        body = files(__package__).joinpath("templates").joinpath(name).read_bytes()
        return Response(body, 200, _HEADERS, _STATIC[name])

    async def _table(self, request: Request) -> Response:
        found = await asyncio.to_thread(
            self._views.table,
            request.path_params["schema"],
            request.path_params["name"],
            _number(request.query_params.get("offset", "0")),
        )
        if found is None:
            return self._missing("There is no such table, or it no longer exists.")
        return self._html("table.html", found)

    async def _request(self, request: Request) -> Response:
        number = _number(request.path_params["number"])
        found = await asyncio.to_thread(self._views.request, number)
        if found is None:
            return self._missing("There is no such request, or it is no longer kept.")
        return self._html("request.html", found)

    def _missing(self, words: str) -> Response:
        return self._html("missing.html", {"words": words}, 404)

    def _html(self, template: str, values: dict[str, Any], status: int = 200) -> Response:
        body = self._templates.get_template(template).render(about=self._about, **values)
        return Response(body, status, _HEADERS, "text/html")


def is_page(path: str) -> bool:
    """Return whether a path is one of the pages' or of their files'."""
    return path == "/" or path.startswith(("/_page/", "/request/", "/table/"))


def _number(text: str) -> int:
    """Read a whole number from a URL; 0 if it is not one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 15 else 0
