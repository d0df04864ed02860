"""Lines of text: put together from chunks, and what can be told of one without parsing it.

Law: however the same bytes are cut into chunks, the same lines come out.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES = 64_000_000
"""A longer line is no Singer message of use: a record may reach 20 MB, a state is far smaller."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_Decoded = TypeVar("_Decoded")
_RAW = msgspec.json.Decoder(Raw)


class WholeLines:
    """Puts chunks of bytes together to whole lines."""

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._partial_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that `chunk` completes, without their line breaks."""
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines and self._partial:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial, self._partial_bytes = [], 0
        if rest:
            self._partial.append(rest)
            self._partial_bytes += len(rest)
        return lines

    def close(self) -> bytes:
        """Return a last line that has no line break; nothing where there is none."""
        last, self._partial, self._partial_bytes = b"".join(self._partial), [], 0
        return last

    @property
    def is_too_long(self) -> bool:
        """Tell whether the line that waits for its end has grown past `MAX_LINE_BYTES`."""
        return self._partial_bytes > MAX_LINE_BYTES


def is_utf8(text: bytes) -> bool:
    """Tell whether `text` is UTF-8: the decoder leaves that open inside records."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def are_utf8(texts: list[bytes]) -> bool:
    """Tell whether all of `texts` are UTF-8."""
    return all(map(bytes.isascii, texts)) or is_utf8(b"\n".join(texts))


def decoded(texts: list[bytes], decode: Callable[[bytes], _Decoded]) -> list[_Decoded] | None:
    """Return what lines that hold one JSON value each are decoded to, or None."""
    try:
        return list(map(decode, texts))
    except (msgspec.MsgspecError, RecursionError):
        return None


def record_defect(record: bytes) -> str | None:
    """Return why the text of a record is no JSON that can be sent, or None."""
    try:
        _RAW.decode(record)
    except RecursionError:
        return "it is nested too deeply"
    except msgspec.MsgspecError:
        if re.search(rb"[:\[,]\s*-?(?:NaN|Infinity)\s*[,\]}]", record):
            return "it holds NaN or Infinity, which JSON has no number for"
        return "it is not JSON"
    return None


def plain_text(value: bytes) -> str:
    """Return the text that a JSON string stands for; of any other value the name of its type."""
    try:
        decoded = json.loads(value.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ""
    return decoded if isinstance(decoded, str) else str(type(decoded).__name__)


_TOKEN = re.compile(
    rb'\s*(?:(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")|(?P<mark>[{}\[\],:])|(?P<other>[^\s{}\[\],:"]+))'
)


def outline(text: bytes) -> dict[str, bytes] | None:  # noqa: C901 - one state machine
    """Return the members of a JSON object as text, or None where `text` is no object.

    It finds the members of objects that no JSON parser takes, with NaN in them or nested without
    end, by counting brackets alone; what stands inside the members is not looked at.
    """
    members: dict[str, bytes] = {}
    name = ""
    depth = start = position = 0
    text = text.strip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        mark = token["mark"]
        position = token.end()
        if depth == 1 and mark in (b",", b"}"):
            if start:
                members[name] = text[start : token.start("mark")].strip()
            elif name or members or mark == b",":
                return None
            name, start = "", 0
        elif depth == 1 and not start:
            if mark == b":":
                start = position
            elif name or not token["string"]:
                return None
            else:
                name = plain_text(token["string"])
        elif depth == 0 and mark != b"{":
            return None
        depth += (mark in (b"{", b"[")) - (mark in (b"}", b"]"))
        if depth == 0:
            return members if position == len(text) else None
    return None
