"""HTTP answers read to their end, on top of `http.client`, `urllib3` and `requests`.

Law: an answer is complete, or an error: its status line, its headers up to the blank line, and its
body. `http.client` takes the end of a connection for the end of the headers or of the last chunk.
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

from target_stitch_import.delivery.verdict import End

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_CODING = "gzip"
"""The one that is asked for, as its end can be told."""
_READ_BYTES = 64_000
_GZIP = zlib.MAX_WBITS + 16


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

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = _WholeLines(self.fp.detach())

    def begin(self) -> None:
        """Read status line and headers of the answer, past those of interim answers."""
        super().begin()
        while self.status < HTTPStatus.OK and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]  # as before the first one
            super().begin()


class WholeAnswers(requests.adapters.HTTPAdapter):
    """Has every connection, through whatever proxy, read its answers as `_WholeAnswer`."""

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
        pool.ConnectionCls = _reading_whole_answers(pool.ConnectionCls)
        return pool


@functools.cache
def _reading_whole_answers(connection: type[Any]) -> type[Any]:
    if getattr(connection, "response_class", None) is _WholeAnswer:
        return connection
    return type(connection.__name__, (connection,), {"response_class": _WholeAnswer})


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an answer, decoded of its content coding."""

    content: bytes
    end: End


def read_body(response: urllib3.BaseHTTPResponse, max_bytes: int, give_up_at: float) -> Body:
    """Read an answer's body: all of it, but not much more than `max_bytes`, and not for ever.

    Args:
        response: An answer that is not read yet.
        max_bytes: Where there are more, some more are returned, and the rest is left.
        give_up_at: On the clock of `time.monotonic`.

    Raises:
        requests.ReadTimeout: The answer did not end in time.
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
        if time.monotonic() > give_up_at:
            raise requests.ReadTimeout("the answer did not end")
    content, is_too_long = bytes(read), len(read) > max_bytes
    if content and response.headers.get("Content-Encoding", "").strip().lower() == CONTENT_CODING:
        content = _unzipped(content, max_bytes, is_cut=is_too_long)
        is_too_long = is_too_long or len(content) > max_bytes
    if is_too_long:
        return Body(content, End.NOT_READ)
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
            raise urllib3.exceptions.DecodeError("the answer goes on after its gzip")
    return text
