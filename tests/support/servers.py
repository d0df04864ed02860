"""Servers that send the bytes of a test as responses."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

PATIENCE_SECONDS = 20.0
"""Much longer than a client under test may wait."""


@contextmanager
def server(
    answers: list[bytes], context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[bytes]]]:
    """Answer the first request of each connection with the next of `answers`, byte for byte.

    Yields the URL, and the list of requests seen.
    """
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            for answer in answers:
                try:
                    connection, _ = listener.accept()
                    with (
                        connection
                        if not context
                        else context.wrap_socket(connection, server_side=True) as wire
                    ):
                        wire.settimeout(10)
                        seen.append(receive(wire))
                        wire.sendall(answer)
                except OSError:
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", seen


@contextmanager
def keeping_server(answers: list[bytes]) -> Iterator[tuple[str, list[int]]]:
    """Answer requests in order; only the client closes a connection.

    Yields the URL, and a list of how many requests came over each connection.
    """
    requests: list[int] = []
    waiting = list(answers)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            while waiting:
                wire, _ = listener.accept()
                requests.append(0)
                # A client that leaves an answer unread resets the connection.
                with wire, suppress(ConnectionResetError):
                    wire.settimeout(10)
                    while waiting and wire.recv(1, socket.MSG_PEEK):
                        receive(wire)
                        requests[-1] += 1
                        wire.sendall(waiting.pop(0))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests


@contextmanager
def dripping_server(opening: bytes, drop: bytes, each_seconds: float) -> Iterator[str]:
    """Answer a request with `opening`, then repeat `drop` until the client disconnects.

    Yields the URL, whose server sends a `drop` every `each_seconds`.
    A client that is still connected after `PATIENCE_SECONDS` fails the test.
    """
    left, was_too_long = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            wire, _ = listener.accept()
            with wire, suppress(OSError):
                receive(wire)
                wire.sendall(opening)
                give_up_at = time.monotonic() + PATIENCE_SECONDS
                while not left.wait(each_seconds):
                    if time.monotonic() > give_up_at:
                        was_too_long.set()
                        return
                    wire.sendall(drop)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        left.set()
    assert not was_too_long.is_set(), "the client waits for an end that does not come"


def receive(wire: socket.socket) -> bytes:
    """Read one complete request."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += wire.recv(65_536) or b"\r\n\r\n"
    head, _, body = request.partition(b"\r\n\r\n")
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += wire.recv(65_536)
    return head + b"\r\n\r\n" + body
