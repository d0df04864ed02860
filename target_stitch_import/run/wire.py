"""Reads HTTP/1.1 responses from a connection to their end.

Invariant: a response is complete, or an error: its status line, its headers up to the blank line,
and its body up to the last byte that the headers announce. Once connected, every part of an
exchange ends by its deadline, whichever side is slow.

The standard library's reader accepts the end of the connection as the end of the headers or of the
last chunk, and takes longer than everything else that is done for a small batch.
"""

from __future__ import annotations

import http.client
import re
import time
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from target_stitch_import.delivery.answer import End

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTENT_CODING = "gzip"
"""The coding that requests accept: the end of a gzip stream can be recognised."""
MAX_LINE_BYTES = 65_536
MAX_HEADERS = 100
READ_BYTES = 65_536
_GZIP = zlib.MAX_WBITS + 16
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_BODILESS = frozenset({HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, 304})
_UNUSABLE_AFTER = frozenset({HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.RESET_CONTENT})
_NO_CODING = frozenset({"", "identity"})


class AnswerError(http.client.HTTPException):
    """A response violates HTTP/1.1: its end is unknown, or its content cannot be decoded."""


class Deadline:
    """The deadline of the current exchange of one connection."""

    def __init__(self) -> None:
        self._give_up_at = float("inf")

    def begin(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now."""
        self._give_up_at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, more than 0.

        Raises:
            TimeoutError: The deadline has passed.
        """
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class WholeAnswer(Struct):
    """A response that was read to its end; the names in `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    """The body, with its content coding decoded."""
    end: End
    keeps_connection: bool
    """Whether the connection may be used for another request."""
    # Attributes that the pool of `urllib3` reads and writes.
    version_string: str = "HTTP/1.1"
    length_remaining: int = 0
    retries: Any = None
    _connection: Any = None
    _pool: Any = None


class _Incoming:
    """A buffered reader of a connection; `receive` returns the next bytes, none at its end."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._waiting = bytearray()

    def more(self) -> bool:
        """Wait for more bytes; return whether any arrived before the end of the connection."""
        received = self._receive()
        self._waiting += received
        return bool(received)

    def line(self) -> bytes:
        """Return the next line, without its line break.

        Raises:
            http.client.HTTPException: The connection ends first, or the line is too long.
        """
        while (end := self._waiting.find(b"\n")) < 0:
            if len(self._waiting) > MAX_LINE_BYTES:
                raise http.client.LineTooLong("header line")
            if not self.more():
                raise http.client.IncompleteRead(bytes(self._waiting))
        line = bytes(self._waiting[:end])
        del self._waiting[: end + 1]
        return line.removesuffix(b"\r")

    def some(self, max_bytes: int) -> bytes:
        """Return the next bytes, at most `max_bytes`; empty at the end of the connection."""
        if not self._waiting:
            self.more()
        some = bytes(self._waiting[:max_bytes])
        del self._waiting[:max_bytes]
        return some

    @property
    def is_empty(self) -> bool:
        """Return whether all received bytes were taken."""
        return not self._waiting


def read_answer(receive: Callable[[], bytes], max_bytes: int) -> WholeAnswer:
    """Read one response, and skip interim (1xx) responses before it.

    Args:
        receive: Waits for the next bytes, and returns none at the end of the connection.
        max_bytes: A longer body is read only a little beyond this size.

    Raises:
        http.client.HTTPException, OSError: The response is not complete, or not HTTP.
    """
    incoming = _Incoming(receive)
    if not incoming.more():
        raise http.client.RemoteDisconnected("Remote end closed connection without response")
    is_1_1, status = _status_of(incoming.line())
    headers = _headers(incoming)
    while status < HTTPStatus.OK and status != HTTPStatus.SWITCHING_PROTOCOLS:
        is_1_1, status = _status_of(incoming.line())
        headers = _headers(incoming)
    chunks, end = _framed(incoming, status, headers)
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            end = End.TRUNCATED
            break
    content = bytes(body)
    if content and headers.get("content-encoding", "").strip().lower() == CONTENT_CODING:
        content = _unzipped(content, max_bytes, is_cut=end is End.TRUNCATED)
        if len(content) > max_bytes:
            end = End.TRUNCATED
    options = {each.strip().lower() for each in headers.get("connection", "").split(",")}
    keeps = "close" not in options if is_1_1 else "keep-alive" in options
    # Bytes after the response would be taken for the response to the next request.
    keeps = keeps and end is End.FRAMED and incoming.is_empty and status not in _UNUSABLE_AFTER
    if status in _BODILESS and keeps:  # a body may follow nevertheless, if the headers announce one
        keeps = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    return WholeAnswer(status, headers, content, end, keeps)


def _status_of(line: bytes) -> tuple[bool, int]:
    """Return whether the version is at least HTTP/1.1, and the status."""
    found = _STATUS_LINE.fullmatch(line)
    if not found:
        raise http.client.BadStatusLine(line.decode("latin-1"))
    return found[1] != b"0", int(found[2])


def _headers(incoming: _Incoming) -> dict[str, str]:
    """Return headers or trailers up to the blank line; values of the same name are joined."""
    headers: dict[str, str] = {}
    name = ""
    for _ in range(MAX_HEADERS + 1):
        line = incoming.line()
        if not line:
            return headers
        text = line.decode("latin-1")
        if text[0] in " \t":  # a continuation of the line before
            if name:
                headers[name] += " " + text.strip()
            continue
        name, _, value = text.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise AnswerError(f"the response has more than {MAX_HEADERS} headers")


def _framed(
    incoming: _Incoming, status: int, headers: dict[str, str]
) -> tuple[Iterator[bytes], End]:
    """Return the pieces of a body, and the kind of its end if all pieces are read."""
    if status in _BODILESS:
        return iter(()), End.FRAMED
    if codings := _codings(headers.get("transfer-encoding", "")):
        if codings == {"chunked"}:
            return _chunks(incoming), End.FRAMED
        return iter(lambda: incoming.some(READ_BYTES), b""), End.CLOSED
    if "content-length" in headers:
        return _sized(incoming, _length(headers["content-length"])), End.FRAMED
    # A 205 has no body, but unlike a 204 it may be ended by the end of the connection.
    end = End.FRAMED if status == HTTPStatus.RESET_CONTENT else End.CLOSED
    return iter(lambda: incoming.some(READ_BYTES), b""), end


def _codings(header: str) -> set[str]:
    """Return the transfer codings of a body; some servers repeat `chunked`, or send `identity`."""
    return {each.strip().lower() for each in header.split(",")} - _NO_CODING if header else set()


def _length(header: str) -> int:
    lengths = {each.strip() for each in header.split(",")}
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise AnswerError("the length of the response cannot be read")
    return int(length)


def _sized(incoming: _Incoming, length: int) -> Iterator[bytes]:
    while length:
        some = incoming.some(length)
        if not some:
            raise http.client.IncompleteRead(b"", length)
        length -= len(some)
        yield some


def _chunks(incoming: _Incoming) -> Iterator[bytes]:
    while True:
        line = incoming.line()
        found = _CHUNK_SIZE.fullmatch(line)
        if not found:
            raise AnswerError("the size of a chunk of the response cannot be read")
        size = int(found[1], 16)
        if not size:
            break
        yield from _sized(incoming, size)
        if incoming.line():
            raise AnswerError("a chunk of the response is longer than its size")
    _headers(incoming)  # the trailers are read, but not used


def _unzipped(content: bytes, max_bytes: int, *, is_cut: bool) -> bytes:
    """Return the decompressed content, at most `max_bytes` + 1."""
    decoder = zlib.decompressobj(_GZIP)
    try:
        text = decoder.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise AnswerError(str(error)) from None
    if len(text) <= max_bytes and not is_cut:
        if not decoder.eof:
            raise http.client.IncompleteRead(content)
        if decoder.unused_data:
            raise AnswerError("the response has data after its gzip stream")
    return text
