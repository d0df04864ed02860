"""How a run is getting on, told while it runs: a live line on a terminal, else a line now and then.

Law: the live line is the terminal's last, nothing of ours is ever written into it, and it never
holds up the run.
"""

from __future__ import annotations

import logging
import os
import select
import unicodedata
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from target_stitch_import.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from target_stitch_import.report.stats import Vitals

    _Handler = logging.StreamHandler[TextIO]
else:
    _Handler = logging.StreamHandler  # says of what from Python 3.11 on

LIVE_SECONDS = 0.25
LOG_SECONDS = 30.0
_LIVE_WINDOW_SECONDS = 5.0
"""A live rate is that of the last few seconds: steady enough to read."""
_CLEAR = "\r\x1b[K"
_USUAL_COLUMNS = 80


def wants_live_line(stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    """Tell whether `stream` is a terminal that can rewrite a line."""
    if stream is None or environment.get("TERM") in {None, "", "dumb"}:
        return False
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


class Terminal(_Handler):
    """A log on a terminal, with one line below it that is rewritten in place; from any thread."""

    _line = ""

    def draw(self, text: str) -> None:
        """Put `text` in place of the line; without any, there is no line any more."""
        # Whoever logs holds the lock, perhaps to a terminal that was halted. At the end the summary
        # is to be logged there, and would wait just the same.
        if not (self.lock and self.lock.acquire(blocking=not text)):
            return
        try:
            if (text or self._line) and self._takes_more():
                self._line = fitting(text, self._columns() - 1)
                self._write(_CLEAR + self._shown)
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
    def _shown(self) -> str:
        # Back to the margin: a tap on the same terminal then begins its lines there, as it should.
        return f"{self._line}\r" if self._line else ""

    def _takes_more(self) -> bool:
        """Tell whether a write comes back: a terminal that was halted must not halt the run."""
        try:
            return bool(select.select([], [self.stream], [], 0)[1])
        except (OSError, ValueError):  # it is no terminal, or gone
            return True

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a terminal that is gone needs no line
            self.stream.write(text)
            self.stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_COLUMNS
        except (OSError, ValueError):
            return _USUAL_COLUMNS


def fitting(text: str, columns: int) -> str:
    """Return as much of `text` as takes up `columns`: some characters take two, some none."""
    used = 0
    for at, character in enumerate(text):
        if not unicodedata.combining(character):
            used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns:
            return text[:at]
    return text


class Progress:
    """Tells how the run is getting on; `due_seconds` is when it wants to, since the run began.

    Args:
        show: Puts a line before people's eyes.
        done: What became of the messages that count.
        window_seconds: The time that rates are taken over.
        close: Called once the run is over, before its summary is told.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        interval_seconds: float,
        window_seconds: float,
        close: Callable[[], None] = lambda: None,
        done: str = "acknowledged",
    ) -> None:
        self.due_seconds = interval_seconds
        self.close = close
        self._show = show
        self._done = done
        self._interval_seconds = interval_seconds
        self._window_seconds = window_seconds
        self._recent: Counter[str] = Counter()
        self._streams: set[str] = set()
        self._busiest = ""
        self._busiest_until = 0.0
        self._past: deque[Vitals] = deque()

    @classmethod
    def live(cls, terminal: Terminal, done: str = "acknowledged") -> Progress:
        """Return the one for a terminal."""
        close = lambda: terminal.draw("")  # noqa: E731 - short
        return cls(terminal.draw, LIVE_SECONDS, _LIVE_WINDOW_SECONDS, close, done)

    @classmethod
    def logged(cls, logger: logging.Logger, done: str = "acknowledged") -> Progress:
        """Return the one for a log."""
        show = lambda text: logger.info("%s", text)  # noqa: E731 - short
        return cls(show, LOG_SECONDS, LOG_SECONDS, done=done)

    def delivered(self, stream: str, messages: int) -> None:
        """Count messages that were acknowledged."""
        self._recent[stream] += messages
        self._streams.add(stream)

    def tell(self, vitals: Vitals, state_age_seconds: float | None) -> None:
        """Show how it is now; `state_age_seconds` is None where no state was written yet."""
        if vitals.seconds >= self._busiest_until and self._recent:
            self._busiest = max(self._recent, key=self._recent.__getitem__)
            self._busiest_until = vitals.seconds + self._window_seconds
            self._recent.clear()
        since = self._past[0] if self._past else None
        self._past.append(vitals)
        while vitals.seconds - self._past[0].seconds >= self._window_seconds:
            self._past.popleft()
        streams = len(self._streams)
        self._show(line(vitals, since, streams, self._busiest, state_age_seconds, done=self._done))
        self.due_seconds = vitals.seconds + self._interval_seconds


def line(  # noqa: PLR0913 - what is told of a run
    now: Vitals,
    since: Vitals | None,
    streams: int,
    busiest: str,
    state_age_seconds: float | None,
    *,
    done: str = "acknowledged",
) -> str:
    """Return one line on how a run stands `now`, its rates those since `since` or the beginning."""
    seconds = now.seconds - (since.seconds if since else 0.0)
    rate = (now.acknowledged - (since.acknowledged if since else 0)) / seconds if seconds else 0.0
    byte_rate = (now.bytes - (since.bytes if since else 0)) / seconds if seconds else 0.0
    parts = [
        elapsed(now.seconds),
        f"{now.acknowledged:,} {done}",
        f"{rate:,.0f}/s",
        f"{byte_rate / 1e6:,.1f} MB/s",
        f"{now.in_flight} in flight",
        f"{now.retries:,} repeated",
        "no state yet" if state_age_seconds is None else f"state {elapsed(state_age_seconds)} ago",
    ]
    if streams == 1:
        parts.append(f"stream {quoted(busiest)}")
    elif streams:
        parts.append(f"{streams:,} streams, most of {quoted(busiest)}")
    return " | ".join(parts)


def elapsed(seconds: float) -> str:
    """Return a time as people read it on a clock: `0:05`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
