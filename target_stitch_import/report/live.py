"""Progress of a run while it runs: a live line on a terminal, or a log line every 30 seconds.

Invariant: the most important part comes first, because a narrow terminal shows only that. No work
is done per record.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

from target_stitch_import.errors import quoted
from target_stitch_import.report.terminal import Line, LinePart
from target_stitch_import.report.words import ACKNOWLEDGED, elapsed, rate, size

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from target_stitch_import.report.stats import Outage, Sample
    from target_stitch_import.report.terminal import Terminal

LIVE_SECONDS = 0.25
LOG_SECONDS = 30.0
_LIVE_WINDOW_SECONDS = 5.0
"""A live rate is the average over the last few seconds, so that it is steady enough to read."""
_CLOCK_FROM_SECONDS = 90
"""From here on, a wait is shown as minutes and seconds."""
WAITING = LinePart("waiting for a tap on stdin")


class Progress:
    """Shows the progress; `due_seconds` is when `update` is next due, since the run began.

    Args:
        show: Shows a line to the user.
        interval_seconds: The time between two lines.
        window_seconds: The time over which rates are averaged.
        close: Called when the run is over, before its summary is reported.
        done: The word for delivered records.
    """

    def __init__(
        self,
        show: Callable[[Line], None],
        interval_seconds: float,
        window_seconds: float,
        close: Callable[[], None] = lambda: None,
        done: str = ACKNOWLEDGED,
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
        self._past: deque[Sample] = deque()

    @classmethod
    def live(cls, terminal: Terminal, done: str) -> Progress:
        """Return a live line on a terminal."""
        close = lambda: terminal.draw(None)  # noqa: E731 - short
        return cls(terminal.draw, LIVE_SECONDS, _LIVE_WINDOW_SECONDS, close, done)

    @classmethod
    def logged(cls, logger: logging.Logger, done: str) -> Progress:
        """Return progress lines in a log."""
        show = lambda line: logger.info("%s", line)  # noqa: E731 - short
        return cls(show, LOG_SECONDS, LOG_SECONDS, done=done)

    def delivered(self, stream: str, messages: int) -> None:
        """Count messages that were acknowledged."""
        self._recent[stream] += messages
        self._streams.add(stream)

    def update(
        self, sample: Sample, state_age_seconds: float | None, urgent: LinePart | None = None
    ) -> None:
        """Show the current progress, `urgent` first.

        `state_age_seconds` is None if no state has been written yet.
        """
        if sample.seconds >= self._busiest_until and self._recent:
            self._busiest = max(self._recent, key=self._recent.__getitem__)
            self._busiest_until = sample.seconds + self._window_seconds
            self._recent.clear()
        since = self._past[0] if self._past else None
        self._past.append(sample)
        while sample.seconds - self._past[0].seconds >= self._window_seconds:
            self._past.popleft()
        parts = [
            urgent,
            _state(state_age_seconds),
            *_figures(sample, since, self._done),
            _streams(len(self._streams), self._busiest),
        ]
        self._show(Line(tuple(part for part in parts if part)))
        self.due_seconds = sample.seconds + self._interval_seconds


def outage_part(outage: Outage, now: float) -> LinePart:
    """Return the part of the line about an unavailable service, with the time of the next try."""
    if outage.status is not None:
        words, brief = f"service answers {outage.status}", f"{outage.status}"
    elif outage.failure and outage.failure.brief:
        words = brief = outage.failure.brief
    else:
        words, brief = "service does not respond", "no response"
    if outage.next_try is None:
        return LinePart(f"{words}, trying again", f"{brief}, trying again")
    seconds = max(math.ceil(outage.next_try - now), 1)
    when = f"{seconds} s" if seconds < _CLOCK_FROM_SECONDS else elapsed(seconds)
    return LinePart(f"{words}, next try in {when}", f"{brief}, retry in {when}")


def _state(age_seconds: float | None) -> LinePart:
    if age_seconds is None:
        return LinePart("no state yet")
    return LinePart(f"state {elapsed(age_seconds)} ago", f"state {elapsed(age_seconds)}")


def _figures(now: Sample, since: Sample | None, done: str) -> list[LinePart | None]:
    """Return the counts and rates; rates are since `since`, or since the beginning."""
    seconds = now.seconds - (since.seconds if since else 0.0)
    records = now.records - (since.records if since else 0)
    acknowledged_bytes = now.bytes - (since.bytes if since else 0)
    byte_rate = acknowledged_bytes / seconds if seconds else 0.0
    return [
        LinePart(f"{now.records:,} {done} in {elapsed(now.seconds)}", f"{now.records:,} {done}"),
        LinePart(f"{now.records_set_aside:,} set aside") if now.records_set_aside else None,
        LinePart(f"{rate(records / seconds if seconds else 0.0)}/s"),
        LinePart(f"{size(byte_rate)}/s"),
        LinePart(f"{now.in_flight} in flight"),
        LinePart(f"{now.retries:,} retried") if now.retries else None,
    ]


def _streams(count: int, busiest: str) -> LinePart | None:
    if count > 1:
        return LinePart(f"{count:,} streams, most of {quoted(busiest)}")
    return LinePart(f"stream {quoted(busiest)}") if count else None
