"""A log on a terminal, with one line below it that is rewritten in place.

Invariant: the live line is the terminal's last, nothing of ours is ever written into it, and it never
holds up the run.
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
    _Handler = logging.StreamHandler  # says of what from Python 3.11 on

_CLEAR = "\r\x1b[J"
"""Clears the row and all below it: a terminal that was made narrower folds the line into several,
and the cursor stays at its beginning."""
_USUAL_COLUMNS = 80
NARROW_COLUMNS = 60
"""On fewer columns than this, the parts of a line are said briefly."""
_BETWEEN = " | "
_MARK = "…"


def wants_live_line(stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    """Return whether `stream` is a terminal that can rewrite a line."""
    if stream is None or environment.get("TERM") in {None, "", "dumb"}:
        return False
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


class LinePart(Struct, frozen=True):
    """One thing that a line says, and how it is said where there is little room."""

    words: str
    brief: str = ""


class Line(Struct, frozen=True):
    """What the live line says, the most important part first; `str` is all of it."""

    parts: tuple[LinePart, ...]

    def __str__(self) -> str:
        return _BETWEEN.join(part.words for part in self.parts)

    def within(self, columns: int) -> str:
        """Return what fits into `columns`: parts go from the right, and a mark says so."""
        is_narrow = columns < NARROW_COLUMNS
        parts = [part.brief if is_narrow and part.brief else part.words for part in self.parts]
        text = ""
        for kept in range(len(parts), 0, -1):
            text = _BETWEEN.join(parts[:kept]) + (f" {_MARK}" if kept < len(parts) else "")
            if width(text) <= columns:
                break
        return fitting(text, columns)


class Terminal(_Handler):
    """Logs to a terminal and draws the line below; from any thread."""

    _line: Line | None = None

    def draw(self, line: Line | None) -> None:
        """Put `line` in place of the one that is there; None takes it away."""
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
        """Write lines as they are, without what a log puts before them."""
        self.acquire()
        try:
            self._write(_CLEAR * bool(self._line) + "".join(f"{line}\n" for line in lines))
            self._write(self._shown)
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Log above the line. Its caller holds the lock."""
        if self._line:
            self._write(_CLEAR)
        super().emit(record)
        if self._line:
            self._write(self._shown)

    @property
    def columns(self) -> int:
        """How many columns it has now."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_COLUMNS
        except (OSError, ValueError):
            return _USUAL_COLUMNS

    @property
    def _shown(self) -> str:
        # The last column stays free: writing there makes some terminals begin a new row. Back to
        # the margin: a tap on the same terminal then begins its lines there, as it should.
        return f"{self._line.within(self.columns - 1)}\r" if self._line else ""

    def _takes_more(self) -> bool:
        """Return whether a write comes back: a terminal that was halted must not halt the run."""
        try:
            return bool(select.select([], [self.stream], [], 0)[1])
        except (OSError, ValueError):  # it is not a terminal, or gone
            return True

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a terminal that is gone needs no line
            self.stream.write(text)
            self.stream.flush()


def width(text: str) -> int:
    """Return how many columns `text` takes up: some characters take two, some none."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def fitting(text: str, columns: int) -> str:
    """Return `text` cut to `columns`; a mark says that something is missing."""
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
