"""A log handler for a terminal, with a live line below the log that is rewritten in place.

Invariant: the live line is the terminal's last line, log lines never mix with it, and it never
blocks the run.
"""

from __future__ import annotations

import logging
import os
import select
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    _Handler = logging.StreamHandler[TextIO]
else:
    _Handler = logging.StreamHandler  # generic only since Python 3.11

_CLEAR = "\r\x1b[J"
"""Clears the row and everything below it: when a terminal becomes narrower, the line wraps to
several rows, and the cursor stays at its beginning."""
_USUAL_COLUMNS = 80
NARROW_COLUMNS = 60
"""With fewer columns than this, the brief form of each part is shown."""
_BETWEEN = " | "
_MARK = "…"


def wants_live_line(stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    """Return whether `stream` is a terminal that can rewrite a line."""
    if stream is None or environment.get("TERM") in {None, "", "dumb"}:
        return False
    try:
        return stream.isatty()
    except ValueError:  # the stream is closed
        return False


class LinePart(Struct, frozen=True):
    """One part of the live line, and its brief form for narrow terminals, if it has one."""

    text: str
    brief: str = ""


class Line(Struct, frozen=True):
    """The content of the live line, the most important part first; `str` returns all of it."""

    parts: tuple[LinePart, ...]

    def __str__(self) -> str:
        return _BETWEEN.join(part.text for part in self.parts)

    def within(self, columns: int) -> str:
        """Return what fits into `columns`: parts are dropped from the right, and `…` marks it."""
        is_narrow = columns < NARROW_COLUMNS
        parts = [part.brief if is_narrow and part.brief else part.text for part in self.parts]
        text = ""
        for kept in range(len(parts), 0, -1):
            text = _BETWEEN.join(parts[:kept]) + (f" {_MARK}" if kept < len(parts) else "")
            if width(text) <= columns:
                break
        return fitting(text, columns)


class Terminal(_Handler):
    """Logs to a terminal and draws the live line below the log; may be used by any thread."""

    _line: Line | None = None

    def draw(self, line: Line | None) -> None:
        """Replace the live line; None removes it."""
        # A logging thread may hold the lock while its terminal is stopped; only the final clear
        # waits for it.
        if not (self.lock and self.lock.acquire(blocking=line is None)):
            return
        try:
            if (line or self._line) and self._takes_more():
                self._line = line
                self._write(_CLEAR + self._shown)
        finally:
            self.release()

    def show(self, lines: Sequence[str]) -> None:
        """Write lines without the prefix of log lines."""
        self.acquire()
        try:
            self._write(_CLEAR * bool(self._line) + "".join(f"{line}\n" for line in lines))
            self._write(self._shown)
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Log above the live line. The caller holds the lock."""
        if self._line:
            self._write(_CLEAR)
        super().emit(record)
        if self._line:
            self._write(self._shown)

    @property
    def columns(self) -> int:
        """The current number of columns."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_COLUMNS
        except (OSError, ValueError):
            return _USUAL_COLUMNS

    @property
    def _shown(self) -> str:
        # The last column stays free, because writing there makes some terminals begin a new row.
        # The carriage return lets a tap on the same terminal begin its lines at the margin.
        return f"{self._line.within(self.columns - 1)}\r" if self._line else ""

    def _takes_more(self) -> bool:
        """Return whether a write would not block: a stopped terminal must not stop the run."""
        try:
            return bool(select.select([], [self.stream], [], 0)[1])
        except (OSError, ValueError):  # not a terminal, or closed
            return True

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal is closed
            self.stream.write(text)
            self.stream.flush()


def width(text: str) -> int:
    """Return the width of `text` in columns: some characters take two, some none."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def fitting(text: str, columns: int) -> str:
    """Return `text` truncated to `columns`, with `…` at its end if it was truncated."""
    if width(text) <= columns:
        return text
    used, kept = len(_MARK), 0
    for character in text:
        used += _columns_of(character)
        if used > columns:
            break
        kept += 1
    return text[:kept] + _MARK * (columns > 0)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
