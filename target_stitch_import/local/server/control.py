"""The control endpoints under `/_local/`: faults, requests, reset, tables, rejected.

Only this machine may control: a request from elsewhere, or one that a browser sends on behalf
of another site, gets 403.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from target_stitch_import.local.api import answers
from target_stitch_import.local.api.faults import FaultList, FaultsError
from target_stitch_import.local.api.values import MalformedError, parse
from target_stitch_import.local.warehouse import insight

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from target_stitch_import.local.api.answers import Answer
    from target_stitch_import.local.api.journal import Journal
    from target_stitch_import.local.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Control:
    """The control endpoints, and what they act on; `reset` also restores the accounts."""

    faults: FaultList
    journal: Journal
    warehouse: Warehouse
    reset: Callable[[], None]

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            Route("/_local/faults", self._faults, methods=["GET", "PUT"]),
            Route("/_local/requests", self._requests, methods=["GET"]),
            Route("/_local/reset", self._reset, methods=["POST"]),
            Route("/_local/tables", self._tables, methods=["GET"]),
            Route("/_local/rejected", self._rejected, methods=["GET"]),
            Route("/_local/openapi.json", self._openapi, methods=["GET"]),
        ]

    async def _faults(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self.faults.put(parse(await request.body()))
            except (FaultsError, MalformedError) as error:
                return response(_invalid(str(error)))
        return response(answers.as_json(200, self.faults.entries()))

    async def _requests(self, _request: Request) -> Response:
        kept = self.journal.requests()
        dropped = {"x-dropped-requests": str(self.journal.dropped)}
        return response(
            await asyncio.to_thread(
                lambda: answers.as_json(200, [each.as_json() for each in kept], dropped)
            )
        )

    async def _reset(self, _request: Request) -> Response:
        await asyncio.to_thread(self.reset)
        return response(answers.as_json(200, {"status": "OK"}))

    async def _tables(self, _request: Request) -> Response:
        tables = await asyncio.to_thread(self.warehouse.summary)
        return response(answers.as_json(200, tables))

    async def _rejected(self, request: Request) -> Response:
        text = request.query_params.get("since", "1970-01-01T00:00:00Z")
        try:
            since = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            since = None
        if since is None or since.tzinfo is None:
            return response(_invalid("since: expected a date-time such as 2024-01-31T23:59:59Z"))
        groups = await asyncio.to_thread(insight.rejected, self.warehouse, since)
        listed = [
            {"schema": each.schema, "table": each.table, "reason": each.reason, "rows": each.count}
            for each in groups
        ]
        return response(answers.as_json(200, listed))

    async def _openapi(self, _request: Request) -> Response:
        body = files("target_stitch_import.local.api").joinpath("openapi.json").read_bytes()
        return Response(body, 200, media_type=answers.JSON_MEDIA_TYPE)


def _invalid(text: str) -> Answer:
    return answers.as_json(400, {"error": text})


def response(answer: Answer) -> Response:
    """Return `answer` as a response of Starlette."""
    return Response(answer.body, answer.status, dict(answer.headers), answer.media_type)
