"""A service that delays its answers, for tests of what happens while a request is in flight."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 20


class HeldService:
    """Reads requests, and acknowledges them after `release`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._arrived = threading.Semaphore(0)
        self._released = threading.Event()

    def wait_for_request(self) -> None:
        """Wait until one more request has been read completely."""
        assert self._arrived.acquire(timeout=PATIENCE_SECONDS), "no request came"

    def release(self) -> None:
        """Answer waiting and future requests immediately."""
        self._released.set()

    def hold(self) -> None:
        """Note that a request was read, and return when it may be answered."""
        self._arrived.release()
        self._released.wait()


@contextmanager
def held_service() -> Iterator[HeldService]:
    """Run a service that answers requests only after `release`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            service.hold()
            self.send_response(201)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        service = HeldService(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield service
        finally:
            service.release()
            server.shutdown()
