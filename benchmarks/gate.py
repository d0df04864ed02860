"""An Import API that discards everything, in its own process: it answers each request with 201.

As cheap as possible, to measure the target and not itself: one thread per connection, and the
kernel drops the body bytes without copying them (`MSG_TRUNC`). Counting messages (`--count`) or
keeping bodies with their arrival times (`--keep`) costs time and is for checks, not for timed runs.

Controls, outside the Import API's paths: `GET /_gate/stats`, `GET /_gate/bodies`,
`POST /_gate/reset`. The first line on stdout says where it listens.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

CHUNK_BYTES: Final = 1 << 20
HEAD_LIMIT_BYTES: Final = 1 << 16
# `MSG_TRUNC` on a TCP socket discards what it receives; elsewhere the bytes are read and dropped.
DISCARD: Final = socket.MSG_TRUNC if sys.platform == "linux" else 0
# Every message has exactly one of these, and no workload has such a field.
# Programs differ in the space after the colon, so only the name is counted.
MARK: Final = b'"sequence":'
ACCEPTED: Final = b'{"status":"OK","message":"Batch Accepted!"}'


@dataclass(slots=True)
class Stats:
    """What arrived since the last reset. `messages` stays 0 unless they are counted."""

    requests: int = 0
    body_bytes: int = 0
    messages: int = 0
    connections: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    largest_body_bytes: int = 0


@dataclass(slots=True)
class Gate:
    """The state that all connections share."""

    latency_seconds: float = 0.0
    count: bool = False
    keep: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    stats: Stats = field(default_factory=Stats)
    bodies: list[tuple[float, bytes]] = field(default_factory=list)

    def reset(self) -> None:
        """Set all counters to zero, except for the requests in flight, and drop the bodies."""
        with self.lock:
            self.stats = Stats(in_flight=self.stats.in_flight)
            self.bodies.clear()


class Connection:
    """One client connection: requests one after another until the client closes it."""

    def __init__(self, sock: socket.socket, gate: Gate) -> None:
        """Prepare to serve `sock` with the shared state of `gate`."""
        self.sock = sock
        self.gate = gate
        self.buffer = bytearray(CHUNK_BYTES)
        self.pending = b""  # received, not yet used: the start of a body or of the next request
        self.has_delivered = False

    def serve(self) -> None:
        """Answer requests until the client closes the connection."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.sock, contextlib.suppress(ConnectionError):
            while self._serve_one():
                pass

    def _serve_one(self) -> bool:
        head = self._read_until(b"\r\n\r\n")
        if head is None:
            return False
        request_line, *header_lines = head.decode("latin-1").split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        headers = {}
        for line in header_lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip().lower()
        if headers.get("expect") == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if path.startswith("/_gate/"):
            return self._control(method, path, headers)
        return self._batch(headers)

    def _batch(self, headers: dict[str, str]) -> bool:
        gate = self.gate
        with gate.lock:
            if not self.has_delivered:
                self.has_delivered = True
                gate.stats.connections += 1
            gate.stats.in_flight += 1
            gate.stats.max_in_flight = max(gate.stats.max_in_flight, gate.stats.in_flight)
        size, body = 0, b""
        try:
            if headers.get("transfer-encoding") == "chunked":
                body = self._read_chunked()
                size = len(body)
            else:
                size = int(headers.get("content-length", "0"))
                if gate.count or gate.keep:
                    body = self._read(size)
                else:
                    self._discard(size)
            arrived_at = time.monotonic()
            if gate.latency_seconds:
                time.sleep(gate.latency_seconds)
        finally:
            with gate.lock:
                gate.stats.in_flight -= 1
        # Before the answer, so that a client with the answer finds its request counted.
        with gate.lock:
            gate.stats.requests += 1
            gate.stats.body_bytes += size
            gate.stats.largest_body_bytes = max(gate.stats.largest_body_bytes, size)
            if gate.count:
                gate.stats.messages += body.count(MARK)
            if gate.keep:
                gate.bodies.append((arrived_at, body))
        self._answer(201, ACCEPTED)
        return headers.get("connection") != "close"

    def _control(self, method: str, path: str, headers: dict[str, str]) -> bool:
        self._read(int(headers.get("content-length", "0")))
        answer: Any = None
        if (method, path) == ("GET", "/_gate/stats"):
            with self.gate.lock:
                answer = asdict(self.gate.stats)
        elif (method, path) == ("GET", "/_gate/bodies"):
            with self.gate.lock:
                answer = [
                    {"arrived_at": at, "body": body.decode()} for at, body in self.gate.bodies
                ]
        elif (method, path) == ("POST", "/_gate/reset"):
            self.gate.reset()
        else:
            self._answer(404, b"null")
            return True
        self._answer(200, json.dumps(answer).encode())
        return True

    def _answer(self, status: int, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status} Gate\r\nContent-Type: application/json;charset=UTF-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.sock.sendall(head.encode() + body)

    def _read_until(self, end: bytes) -> bytes | None:
        """Return the bytes before `end`, or None if the client closed the connection."""
        while end not in self.pending:
            more = self.sock.recv(HEAD_LIMIT_BYTES)
            if not more or len(self.pending) > HEAD_LIMIT_BYTES:
                return None
            self.pending += more
        found, _, self.pending = self.pending.partition(end)
        return found

    def _read(self, size: int) -> bytes:
        body = bytearray(size)
        view = memoryview(body)
        taken = min(size, len(self.pending))
        view[:taken] = self.pending[:taken]
        self.pending = self.pending[taken:]
        while taken < size:
            received = self.sock.recv_into(view[taken:])
            if not received:
                raise ConnectionResetError("closed inside a body")
            taken += received
        return bytes(body)

    def _discard(self, size: int) -> None:
        taken = min(size, len(self.pending))
        self.pending = self.pending[taken:]
        left = size - taken
        while left:
            received = self.sock.recv_into(self.buffer, min(left, CHUNK_BYTES), DISCARD)
            if not received:
                raise ConnectionResetError("closed inside a body")
            left -= received

    def _read_chunked(self) -> bytes:
        parts: list[bytes] = []
        while True:
            line = self._read_until(b"\r\n")
            if line is None:
                raise ConnectionResetError("closed inside a body")
            size = int(line.partition(b";")[0], 16)
            if not size:
                while self._read_until(b"\r\n"):  # trailers, then the blank line
                    pass
                return b"".join(parts)
            parts.append(self._read(size))
            self._read(2)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A discarding Import API for benchmarks.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--count", action="store_true", help="count messages")
    parser.add_argument("--keep", action="store_true", help="keep bodies and arrival times")
    arguments = parser.parse_args()
    gate = Gate(arguments.latency, arguments.count, arguments.keep)
    with socket.create_server(("127.0.0.1", arguments.port), backlog=128) as server:
        sys.stdout.write(f"listening on http://127.0.0.1:{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            sock, _ = server.accept()
            threading.Thread(target=Connection(sock, gate).serve, daemon=True).start()


if __name__ == "__main__":
    main()
