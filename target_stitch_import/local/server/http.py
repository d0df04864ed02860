"""The Import API as an ASGI application: reads bodies within bounds, applies faults, answers.

Requests are checked and loaded in threads, so that the event loop stays free.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from target_stitch_import.local.api import answers
from target_stitch_import.local.api.faults import Fault, FaultList, tables_of
from target_stitch_import.local.api.journal import MAX_ANSWER_CHARACTERS, Entry, Journal, Kept
from target_stitch_import.local.api.request import Request
from target_stitch_import.local.api.service import Outcome, Service
from target_stitch_import.local.warehouse.warehouse import StorageError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import Receive, Scope, Send

    from target_stitch_import.local.api.answers import Answer
    from target_stitch_import.local.server.guard import Guard

MAX_DRAINED_BYTES = 200_000_000  # of a refused body, before the connection is closed
MAX_CONNECT_BYTES = 1_000_000
CONNECT_PATHS = ("/v3/", "/v4/", "/notifications/")
UNKEPT_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})

_log = logging.getLogger(__name__)
# Only for the journal: a dropped connection gets no answer.
DROPPED = answers.as_text(499, "Connection dropped unread (fault).")
BY_FAULT = "Answered by a fault; nothing is stored."

Sleep = Callable[[float], Awaitable[None]]
TRANSPORT = "target_stitch_import.transport"
"""The member of a request's scope with its connection, so that a fault can break it."""


class Protocol(H11Protocol):
    """HTTP/1.1 that puts a connection's transport into the scope of its requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the application, so that it gets the transport."""
        super().connection_made(transport)
        application = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await application(scope, receive, send)

        self.app = with_transport


class ImportApp:
    """The Import API's endpoints as an ASGI application."""

    def __init__(
        self,
        service: Service,
        faults: FaultList,
        journal: Journal,
        guard: Guard,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._service = service
        self._sleep = sleep
        self._faults = faults
        self._journal = journal
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(scope, receive, self._guard.sharing(scope, send))
        started = datetime.now(timezone.utc)
        number = self._journal.next_number()
        request = exchange.request()
        try:
            refusal = self._guard.refusal(scope, shared=True)
            immediate = refusal or self._guard.preflight(scope)
            if immediate is not None:
                await exchange.drain()
                outcome, fault = Outcome(immediate), None
            else:
                outcome, fault = await self._outcome(request, exchange)
        except ConnectionResetError:
            return  # the peer left before its request was complete
        except StorageError as error:
            _log.error("The database cannot be written, so a request is refused: %s", error)
            outcome, fault = Outcome(answers.of_status(503)), None
        except Exception:  # noqa: BLE001 - whatever happens, the peer gets an answer
            _log.exception("%s %s could not be answered", request.method, request.path)
            outcome, fault = Outcome(answers.of_status(500)), None
        kind = fault.kind if fault is not None else ""
        applied = " and ".join(filter(None, ["latency" if exchange.delayed else "", kind]))
        # Logged before the answer is sent, so that a client with the answer finds its request.
        self._note(number, started, exchange.request(), outcome, applied)
        if kind in ("reset_before", "reset_after"):
            await exchange.reset()
        elif kind == "truncate":
            await exchange.truncate(outcome.answer)
        else:
            await exchange.send(outcome.answer)

    async def _outcome(self, request: Request, exchange: _Exchange) -> tuple[Outcome, Fault | None]:
        """Return the outcome, and the fault that applies to its answer."""
        service = self._service
        if request.path.startswith(CONNECT_PATHS):
            return await self._connect(exchange), None
        refused = service.route(request.method, request.path)
        if refused is not None:
            return Outcome(refused), None
        fault, answer = await self._fault(request, exchange)
        if fault is not None and fault.kind == "reset_before":
            return Outcome(DROPPED, by_fault=True), fault
        if answer is not None:
            await exchange.drain()
            return Outcome(answer, by_fault=True), fault
        return await self._handle(request, exchange, fault), fault

    async def _connect(self, exchange: _Exchange) -> Outcome:
        if await exchange.body(MAX_CONNECT_BYTES) is None:
            return Outcome(answers.too_large(await exchange.drain()))
        return await asyncio.to_thread(self._service.connect, exchange.request())

    async def _fault(
        self, request: Request, exchange: _Exchange
    ) -> tuple[Fault | None, Answer | None]:
        """Wait for `latency` faults; return the fault that then applies, and its own answer."""
        tables: frozenset[str] = frozenset()
        if self._faults.by_table:
            tables = tables_of(await exchange.body(self._service.max_body_bytes) or b"")
        decision = self._faults.decide(request.path, tables)
        if decision.delay_seconds:
            exchange.delayed = True
            await self._sleep(decision.delay_seconds)
        fault = decision.fault
        return fault, fault.answer(request.path) if fault is not None else None

    async def _handle(self, request: Request, exchange: _Exchange, fault: Fault | None) -> Outcome:
        service = self._service
        refused = service.media(request)
        if refused is not None:
            await exchange.drain()
            return Outcome(refused)
        if await exchange.body(service.max_body_bytes) is None:
            return Outcome(answers.too_large(await exchange.drain()))
        outcome = await asyncio.to_thread(service.handle, exchange.request())
        if fault is not None and fault.kind == "queue" and outcome.answer.accepted:
            return replace(outcome, answer=answers.BATCH_QUEUED)
        return outcome

    def _note(
        self, number: int, started: datetime, request: Request, outcome: Outcome, fault: str
    ) -> None:
        status = outcome.answer.status
        accepted = outcome.answer.accepted and not outcome.by_fault
        reason = outcome.answer.reason[:2000]
        if outcome.by_fault:
            reason = reason or BY_FAULT
        self._journal.note(
            Entry(
                number=number,
                received_at=started,
                method=request.method,
                path=request.path,
                tables=outcome.tables,
                records=outcome.records,
                rejected=outcome.rejected,
                size_bytes=len(request.body),
                status=status,
                accepted=accepted,
                reason=reason,
                seconds=(datetime.now(timezone.utc) - started).total_seconds(),
                notes=outcome.notes,
                fault=fault,
                answer=outcome.answer.body[:MAX_ANSWER_CHARACTERS].decode("utf-8", "replace"),
                places=outcome.answer.places,
                stored=outcome.stored,
            )
        )
        if request.method == "POST" and request.path.startswith("/v2/"):
            headers = {
                name: value for name, value in request.headers.items() if name not in UNKEPT_HEADERS
            }
            self._journal.keep(
                Kept(number, started, request.method, request.path, headers, request.body, status),
                accepted=accepted,
            )


class _Exchange:
    """One request being read and answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self.delayed = False
        """Whether a fault delayed the request."""
        self._headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }

    def request(self) -> Request:
        """Return the request with what was read of its body."""
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        body = self._chunks[0] if self._chunks else b""
        return Request(self._scope["method"], self._scope["path"], self._headers, body)

    async def body(self, max_bytes: int) -> bytes | None:
        """Read and return the body; None as soon as it is known to be over `max_bytes`."""
        if self._content_length() > max_bytes:
            return None
        while not self._ended and self._size <= max_bytes:
            self._chunks.append(await self._next())
        if self._size > max_bytes:
            self._chunks = []
            return None
        return self.request().body

    async def drain(self) -> int:
        """Discard the rest of the body, so that the peer reads the answer; return the body's size.

        A peer that asked first (`Expect: 100-continue`) gets only the answer.
        """
        if self._content_length() <= MAX_DRAINED_BYTES and not self._awaits_continue():
            while not self._ended and self._size <= MAX_DRAINED_BYTES:
                await self._next()
        return max(self._size, self._content_length())

    async def send(self, answer: Answer) -> None:
        """Write the answer."""
        await self._start(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def truncate(self, answer: Answer) -> None:
        """Write the head and half the body of the answer, and end the connection."""
        await self._start(answer)
        half = answer.body[: len(answer.body) // 2]
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        transport = self._transport()
        if transport is not None:
            transport.close()
            await self._disconnected()

    async def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        transport = self._transport()
        if transport is None:
            return
        peer = transport.get_extra_info("socket")
        if peer is not None:
            with suppress(OSError):  # the client has already closed it
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await self._disconnected()

    async def _disconnected(self) -> None:
        """Wait until the server has noticed that the connection is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _awaits_continue(self) -> bool:
        expects = self._headers.get("expect", "").lower() == "100-continue"
        return expects and not self._size

    def _content_length(self) -> int:
        length = self._headers.get("content-length", "")
        return int(length) if length.isdigit() else 0

    async def _next(self) -> bytes:
        message: MutableMapping[str, Any] = await self._receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        self._ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        self._size += len(chunk)
        return chunk

    async def _start(self, answer: Answer) -> None:
        headers = {
            "content-type": answer.media_type,
            "content-length": str(len(answer.body)),
            **{name.lower(): value for name, value in answer.headers.items()},
        }
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (name.encode("latin-1"), value.encode("latin-1", "replace"))
                    for name, value in headers.items()
                ],
            }
        )

    def _transport(self) -> asyncio.Transport | None:
        transport: asyncio.Transport | None = self._scope.get(TRANSPORT)
        return transport
