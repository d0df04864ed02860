"""Lines of text: put together from chunks, and what can be told of one without parsing it.

Law: however the same bytes are cut into chunks, the same lines come out.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES = 64_000_000
"""A longer line is no Singer message of use: a record may reach 20 MB, a state is far smaller."""

LONG_LINE_BYTES = 512
"""From here on Python keeps objects in memory of the system's, which takes longer to get."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Line: TypeAlias = "bytes | memoryview"
_Decoded = TypeVar("_Decoded")
_RAW = msgspec.json.Decoder(Raw)


class WholeLines:
    """Puts chunks of bytes together to whole lines; a byte-order mark before them is left out."""

    def __init__(self) -> None:
        self._is_first = True
        self._partial: list[bytes] = []
        self._partial_bytes = 0

    def feed(self, chunk: bytes) -> list[Line]:
        """Return the lines that `chunk` completes, without their line breaks."""
        lines, rest = _cut(chunk)
        if lines and self._partial:
            lines[0] = b"".join((*self._partial, lines[0]))
            self._partial, self._partial_bytes = [], 0
        if lines and self._is_first:
            self._is_first = False
            lines[0] = bytes(lines[0]).removeprefix(BYTE_ORDER_MARK)
        if rest:
            self._partial.append(rest)
            self._partial_bytes += len(rest)
        return lines

    def close(self) -> bytes:
        """Return a last line that has no line break; nothing where there is none."""
        last, self._partial, self._partial_bytes = b"".join(self._partial), [], 0
        return last.removeprefix(BYTE_ORDER_MARK) if self._is_first else last

    @property
    def is_too_long(self) -> bool:
        """Tell whether the line that waits for its end has grown past `MAX_LINE_BYTES`."""
        return self._partial_bytes > MAX_LINE_BYTES


def _cut(chunk: bytes) -> tuple[list[Line], bytes]:
    """Return the lines of `chunk`, and what stands behind its last line break.

    Long lines are views into it: to copy one costs as much as to find the record in it.
    """
    lines: list[Line] = []
    if chunk.count(b"\n", 0, 8 * LONG_LINE_BYTES) >= 8:  # the others will be like them
        lines += chunk.split(b"\n")
        return lines, bytes(lines.pop())
    view, start = memoryview(chunk), 0
    while (end := chunk.find(b"\n", start)) >= 0:
        lines.append(view[start:end])
        start = end + 1
    return lines, chunk[start:]


def is_utf8(text: bytes) -> bool:
    """Tell whether `text` is UTF-8: the decoder leaves that open inside records."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def are_utf8(lines: list[Line], chunk: bytes) -> bool:
    """Tell whether all `lines`, which are those that `chunk` completed, are UTF-8."""
    # But for the first one, they are parts of it.
    if chunk.isascii() and bytes(lines[0]).isascii():
        return True
    return is_utf8(b"\n".join(lines))


def decoded(texts: list[Line], decode: Callable[[Line], _Decoded]) -> list[_Decoded] | None:
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


_EMPTY = re.compile(rb"\{\s*\}")
_BEFORE_NAME = re.compile(rb'\s*"')
_BEFORE_VALUE = re.compile(rb"\s*:")
_MARK = re.compile(rb'["{}\[\],]')
_INNER_MARK = re.compile(rb'"|[{\[]+|[}\]]+')
# A pattern's repeats take memory for each of them, hence their limits.
_IN_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*){0,1000}', re.DOTALL)
_STRINGS = re.compile(rb'(?:"[^"\\]*"[^"{}\[\]]*){1,1000}')
"""As strings are found inside of brackets: without escapes, one behind the other."""


def outline(text: bytes) -> dict[str, bytes] | None:
    """Return the members of a JSON object as text, or None where `text` is no object.

    It finds the members of objects that no JSON parser takes, with NaN in them or nested without
    end, by counting brackets alone; what stands inside the members is not looked at.
    """
    text = text.strip()
    if not text.startswith(b"{"):
        return None
    if _EMPTY.fullmatch(text):
        return {}
    members: dict[str, bytes] = {}
    position = 0  # of what stands before a name
    while text[position : position + 1] != b"}":
        quote = _BEFORE_NAME.match(text, position + 1)
        end = _string_end(text, quote.end()) if quote else None
        colon = _BEFORE_VALUE.match(text, end) if end else None
        stop = _value_end(text, colon.end()) if colon else None
        if quote is None or colon is None or stop is None:
            return None
        members[plain_text(text[quote.end() - 1 : end])] = text[colon.end() : stop].strip()
        position = stop
    return members if position == len(text) - 1 else None


def _string_end(text: bytes, position: int) -> int | None:
    """Return where the string ends that has its first character at `position`, if it does."""
    while position < len(text):
        found = _IN_STRING.match(text, position)
        position = found.end() if found else position
        if text[position : position + 1] == b'"':
            return position + 1
        if position >= len(text) - 1:  # else there are more escapes than one pattern takes
            return None
    return None


def _value_end(text: bytes, position: int) -> int | None:
    """Return where the comma or brace behind the value at `position` is, if there is one."""
    depth = 0
    while found := (_INNER_MARK if depth else _MARK).search(text, position):
        start, mark = found.start(), found[0]
        if mark == b'"':
            strings = _STRINGS.match(text, start) if depth else None
            end = strings.end() if strings else _string_end(text, start + 1)
            if end is None:
                return None
            position = end
        elif mark[0] in b"[{":
            depth += len(mark)
            position = start + len(mark)
        elif depth:
            closed = min(depth, len(mark))
            depth -= closed
            position = start + closed
        else:
            return None if mark == b"]" else start
    return None
