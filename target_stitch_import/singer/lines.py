"""Splits chunks of bytes into whole lines, checks that they are UTF-8, and decodes them.

Invariant: however the same bytes are cut into chunks, the same lines come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES = 64_000_000
"""No valid Singer message is longer: a record may have 20 MB, and a state is far smaller."""

LONG_LINE_BYTES = 512
"""Larger objects bypass Python's small-object allocator and are slower to copy."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Line: TypeAlias = "bytes | memoryview"
_Decoded = TypeVar("_Decoded")


class WholeLines:
    """Assembles chunks of bytes into whole lines; drops a byte-order mark before the first one."""

    def __init__(self) -> None:
        self._is_first = True
        self._is_partial_blank = True
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
        self._keep(rest)
        return lines

    def skip(self, chunk: bytes) -> int:
        """Consume a chunk of white space while `is_blank`; return how many lines it completes.

        Splitting gigabytes of line breaks into lines would take minutes.
        """
        count = chunk.count(b"\n")
        if count:
            self._is_first = False
            self._partial, self._partial_bytes = [], 0
        self._keep(chunk[chunk.rfind(b"\n") + 1 :])
        return count

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._is_partial_blank = self.is_blank and rest.isspace()
            self._partial.append(rest)
            self._partial_bytes += len(rest)

    def close(self) -> bytes:
        """Return the last line if it has no line break, else empty bytes."""
        last, self._partial, self._partial_bytes = b"".join(self._partial), [], 0
        return last.removeprefix(BYTE_ORDER_MARK) if self._is_first else last

    @property
    def is_blank(self) -> bool:
        """Return whether the incomplete last line, if any, is only white space."""
        return self._is_partial_blank or not self._partial

    @property
    def is_too_long(self) -> bool:
        """Return whether the incomplete last line is longer than `MAX_LINE_BYTES`."""
        return self._partial_bytes > MAX_LINE_BYTES


def _cut(chunk: bytes) -> tuple[list[Line], bytes]:
    """Return the lines of `chunk`, and what follows its last line break.

    Long lines are views of the chunk: copying one costs as much as finding the record in it.
    """
    lines: list[Line] = []
    if chunk.count(b"\n", 0, 8 * LONG_LINE_BYTES) >= 8:  # assume short lines in the rest, too
        lines += chunk.split(b"\n")
        return lines, bytes(lines.pop())
    view, start = memoryview(chunk), 0
    while (end := chunk.find(b"\n", start)) >= 0:
        lines.append(view[start:end])
        start = end + 1
    return lines, chunk[start:]


def is_utf8(text: bytes) -> bool:
    """Return whether `text` is UTF-8; the JSON decoder does not check it inside records."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def are_utf8(lines: list[Line], chunk: bytes) -> bool:
    """Return whether all `lines` are UTF-8; they are the lines that `chunk` completed."""
    # All lines except the first are parts of the chunk.
    if chunk.isascii() and bytes(lines[0]).isascii():
        return True
    return is_utf8(b"\n".join(lines))


def decoded(texts: list[Line], decode: Callable[[Line], _Decoded]) -> list[_Decoded] | None:
    """Return the decoded lines, or None if `decode` fails on any of them."""
    try:
        return list(map(decode, texts))
    except (msgspec.MsgspecError, RecursionError):
        return None
