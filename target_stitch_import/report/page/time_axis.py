"""The time axis of a chart: ticks at round clock times."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from msgspec import Struct

_MAX_TICKS = 6
_DAY = 86_400
_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY),
)


class Tick(Struct, frozen=True):
    """A tick: its seconds since the run began, and its label, a clock time."""

    seconds: float
    label: str


def moment(text: str) -> datetime | None:
    """Parse an RFC 3339 date-time, and return it in UTC; None if it is not one."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.astimezone(timezone.utc) if found.tzinfo else None


def ticks(start: datetime | None, seconds: float) -> list[Tick]:
    """Return a few ticks at round times within `seconds` of `start`."""
    if start is None or not 0 < seconds < _MAX_TICKS * _STEPS[-1]:
        return []
    step = next(step for step in _STEPS if seconds / step <= _MAX_TICKS)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    since_midnight = (start - midnight).total_seconds()
    first = math.ceil(since_midnight / step)
    last = math.floor((since_midnight + seconds) / step)
    try:
        return [
            Tick(
                max(number * step - since_midnight, 0.0),
                _label(midnight + timedelta(seconds=number * step), step),
            )
            for number in range(first, last + 1)
        ]
    except OverflowError:  # beyond the year 9999
        return []


def _label(time: datetime, step: float) -> str:
    if step >= _DAY or (step >= 3_600 and not time.hour):
        return f"{time:%d %b}"
    if step >= 60:
        return f"{time:%H:%M}"
    if step >= 1:
        return f"{time:%H:%M:%S}"
    return f"{time:%H:%M:%S.%f}"[: -5 if step >= 0.1 else -4]
