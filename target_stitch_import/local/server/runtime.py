"""Puts a local Import API together and runs it: application, socket, server thread.

Everything heavy is imported here, so that importing the package stays cheap.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette

from target_stitch_import.local.api.accounts import Accounts
from target_stitch_import.local.api.faults import FaultList
from target_stitch_import.local.api.journal import Journal
from target_stitch_import.local.api.service import Service
from target_stitch_import.local.options import OptionsError
from target_stitch_import.local.server.control import Control, response
from target_stitch_import.local.server.guard import NOT_LOCAL, Guard, is_loopback
from target_stitch_import.local.server.http import ImportApp, Protocol
from target_stitch_import.local.server.page import About, Page, is_page
from target_stitch_import.local.server.tls import certificate
from target_stitch_import.local.server.views import Views
from target_stitch_import.local.warehouse.profiles import profiles
from target_stitch_import.local.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from target_stitch_import.local.options import Options
    from target_stitch_import.local.server.http import Sleep


class LocalApi:
    """One running local Import API."""

    def __init__(self, options: Options, sleep: Sleep = asyncio.sleep) -> None:
        """`sleep` is called by the fault `latency`."""
        profile = profiles().get(options.destination)
        if profile is None:
            raise OptionsError(f"destination: must be one of {', '.join(profiles())}")
        flatten = (options.nested or profile.nested) == "flatten"
        self._options = options
        accounts = Accounts.load(options.accounts, options.region)
        pair = certificate(options)
        self._scheme = "http" if pair is None else "https"
        # The socket first: a port in use is reported before the database is created.
        self._socket = _listen(options.host, options.port)
        try:
            self.warehouse = Warehouse(options.database, profile, flatten=flatten)
        except BaseException:
            self._socket.close()
            raise
        self.faults = FaultList()
        self.journal = Journal(options.kept_bytes)
        self.service = Service(accounts, self.warehouse, options.strictness, options.max_body_bytes)
        self._server = _Server(
            uvicorn.Config(
                self._application(sleep),
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=2,
                ssl_certfile=pair and str(pair[0]),
                ssl_keyfile=pair and str(pair[1]),
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL it listens on."""
        host, port = self._socket.getsockname()[:2]
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def start(self) -> None:
        """Serve in a thread; when this returns, requests are answered."""
        self._thread = threading.Thread(target=self.run, name="local-import-api", daemon=True)
        self._thread.start()
        self._server.ready.wait()

    def run(self) -> None:
        """Serve until `request_stop`."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._server.ready.set()

    def request_stop(self) -> None:
        """Ask the server to finish; returns at once."""
        self._server.should_exit = True

    def close(self) -> None:
        """Finish the requests being answered, then close socket and database."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join()
        self._socket.close()
        self.warehouse.close()

    def reset(self) -> None:
        """Restore the initial state: no tables, faults or requests, and the accounts as given."""
        self.warehouse.reset()
        self.faults.put([])
        self.journal.reset()
        self.service.accounts = Accounts.load(self._options.accounts, self._options.region)

    def _about(self) -> About:
        options = self._options
        title = profiles()[options.destination].title
        return About(
            self.url,
            self.service.accounts.region,
            f"{title} rules",
            str(options.database) if options.database is not None else "in memory",
            "any is accepted" if self.service.accounts.is_open else "of the accounts file",
        )

    def _application(self, sleep: Sleep) -> ASGIApp:
        guard = Guard(self._options)
        imports = ImportApp(self.service, self.faults, self.journal, guard, sleep)
        control = Control(self.faults, self.journal, self.warehouse, self.reset)
        page = Page(self._about(), Views(self.journal, self.faults, self.warehouse))
        local = Starlette(routes=[*control.routes(), *page.routes()])
        public_page = self._options.public_page

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            path: str = scope["path"]
            if not is_page(path) and not path.startswith("/_local/"):
                await imports(scope, receive, send)
                return
            refusal = guard.refusal(scope, shared=False)
            if not is_loopback(scope) and not (public_page and is_page(path)):
                refusal = NOT_LOCAL
            await (local if refusal is None else response(refusal))(scope, receive, send)

        return application


class AddressError(OSError):
    """The service cannot listen where it should; the text says what to do."""


class _Server(uvicorn.Server):
    """A uvicorn server that signals when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving."""
        await super().startup(sockets=sockets)
        self.ready.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, since asyncio sets TCP_NODELAY only on sockets that say TCP: without
    # it each answer waits 40 ms for the peer's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise AddressError(_address_words(host, port, error)) from None
    return listener


def _address_words(host: str, port: int, error: OSError) -> str:
    """Return why a socket cannot listen on an address, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use, perhaps by another `stitch-import serve`; `lsof -i "
            f":{port}` shows by which process. Stop it, or give another --port (0 picks a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs root privileges: give a --port above 1023, or 0 for a free one"
    return (
        f"cannot listen on host {host}: {error.strerror}. Give an address of this machine as "
        "--host, such as 127.0.0.1"
    )
