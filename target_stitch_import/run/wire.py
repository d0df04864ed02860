"""HTTP answers read to their end, on top of `http.client`, `urllib3` and `requests`.

Law: an answer is complete, or an error: its status line, its headers up to the blank line, and its
body. `http.client` takes the end of a connection for the end of the headers or of the last chunk.
An exchange ends in its time, whichever side is slow, and in any part of it.
"""

from __future__ import annotations

import functools
import http.client
import io
import time
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import urllib3

from target_stitch_import.delivery.answer import End

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

CONTENT_CODING = "gzip"
"""The one that is asked for, as its end can be told."""
_READ_BYTES = 64_000
_GZIP = zlib.MAX_WBITS + 16


class Deadline:
    """The time that one request and its answer may take; of one connection at a time."""

    def __init__(self) -> None:
        self._give_up_at = float("inf")

    def begin(self, seconds: float) -> None:
        """Let the time run from now on."""
        self._give_up_at = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left.

        Raises:
            TimeoutError: None is.
        """
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class _InTime(io.RawIOBase):
    """Reads from a socket for as long as the exchange may take, however little comes at a time."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, deadline: Deadline) -> None:
        self._raw = raw
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        """Tell that it can be read from."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read what comes next.

        Raises:
            TimeoutError: The time is up.
        """
        self._connection.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


class _WholeLines(io.BufferedReader):
    """Reads from a connection; a line that has no end is an error."""

    _has_begun = False

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line, or `size` bytes of a longer one.

        Raises:
            http.client.IncompleteRead: The connection ended first.
        """
        line = super().readline(size)
        if line.endswith(b"\n") or len(line) == size:
            self._has_begun = True
            return line
        if not line and not self._has_begun:
            return line  # no answer at all, which `http.client` tells
        raise http.client.IncompleteRead(line)


class _WholeAnswer(http.client.HTTPResponse):
    """An answer that is cut off in its status line, headers or chunks is an error."""

    def __init__(
        self, deadline: Deadline, connection: socket.socket, *args: Any, **options: Any
    ) -> None:
        super().__init__(connection, *args, **options)
        self.fp = _WholeLines(_InTime(self.fp.detach(), connection, deadline))

    def begin(self) -> None:
        """Read status line and headers of the answer, past those of interim answers."""
        super().begin()
        while self.status < HTTPStatus.OK and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]  # as before the first one
            super().begin()


class _SendingInTime:
    """Mixed into a connection: what is sent is sent within the time of the exchange."""

    deadline: Deadline

    def send(self, data: Any) -> None:
        """Send `data`.

        Raises:
            TimeoutError: The time is up.
        """
        # The timeout of a socket, plain or of TLS, is for all that is sent by one call. Pieces
        # would each wait for the interpreter's lock.
        if open_socket := getattr(self, "sock", None):
            open_socket.settimeout(self.deadline.left())
        connection: Any = super()
        connection.send(data)


class WholeAnswers(requests.adapters.HTTPAdapter):
    """Has every connection, through whatever proxy, read whole answers, and in time."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__()

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,  # noqa: FBT001 - the parent's
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> urllib3.HTTPConnectionPool:
        """Return the pool for a request."""
        pool: urllib3.HTTPConnectionPool
        pool = super().get_connection_with_tls_context(request, verify, proxies, cert)  # type: ignore[assignment]
        kind: type[Any] = pool.ConnectionCls
        if not issubclass(kind, _SendingInTime):
            members = {
                "deadline": self._deadline,
                "response_class": staticmethod(functools.partial(_WholeAnswer, self._deadline)),
            }
            pool.ConnectionCls = type(kind.__name__, (_SendingInTime, kind), members)
        return pool


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an answer, decoded of its content coding."""

    content: bytes
    end: End


def read_body(response: urllib3.BaseHTTPResponse, max_bytes: int) -> Body:
    """Read an answer's body: all of it, but not much more than `max_bytes`.

    Args:
        response: An answer that is not read yet.
        max_bytes: Where there are more, some more are returned, and the rest is left.

    Raises:
        urllib3.exceptions.HTTPError, http.client.HTTPException, OSError: It is not complete.
    """
    # As `http.client` sees it: any other transfer coding is read up to the connection's end.
    is_chunked = response.headers.get("Transfer-Encoding", "").lower() == "chunked"
    # A 205 has no body, but other than a 204 it may leave that to the connection's end.
    is_bodiless = response.status == HTTPStatus.RESET_CONTENT
    is_framed = is_chunked or is_bodiless or response.length_remaining is not None
    read = bytearray()
    while len(read) <= max_bytes:
        chunk = response.read1(_READ_BYTES, decode_content=False)
        if not chunk:
            break
        read += chunk
    content, is_too_long = bytes(read), len(read) > max_bytes
    if content and response.headers.get("Content-Encoding", "").strip().lower() == CONTENT_CODING:
        content = _unzipped(content, max_bytes, is_cut=is_too_long)
        is_too_long = is_too_long or len(content) > max_bytes
    if is_too_long:
        return Body(content, End.TRUNCATED)
    return Body(content, End.FRAMED if is_framed else End.CLOSED)


def _unzipped(content: bytes, max_bytes: int, *, is_cut: bool) -> bytes:
    """Return the text of a gzip member, of a longer one `max_bytes` and one more."""
    decoder = zlib.decompressobj(_GZIP)
    try:
        text = decoder.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise urllib3.exceptions.DecodeError(str(error)) from None
    if len(text) <= max_bytes and not is_cut:
        if not decoder.eof:
            raise http.client.IncompleteRead(content)
        if decoder.unused_data:
            raise urllib3.exceptions.DecodeError("the response has data after its gzip stream")
    return text
