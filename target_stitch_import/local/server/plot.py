"""Computes the plot of records per second as SVG paths; no drawing library, no script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POINTS = 60
WIDTH, HEIGHT = 600, 100  # stretched to the available space


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that can be drawn, a multiple of POINTS seconds."""

    seconds: int
    words: str


WINDOWS = (Window(60, "one minute"), Window(300, "5 minutes"), Window(900, "15 minutes"))


@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal grid line and the value it marks."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """The area and its upper line as SVG paths, the grid lines bottom up, and the highest rate."""

    area: str
    line: str
    lines: Sequence[Line]
    words: str
    peak: int
    width: int = WIDTH
    height: int = HEIGHT


def plot(per_second: Mapping[int, int], now: int) -> Plot:
    """Plot records by second up to `now`, in epoch seconds, over a window with all activity."""
    since = now - min(per_second, default=now)
    window = next((each for each in WINDOWS if each.seconds >= since), WINDOWS[-1])
    step = window.seconds // POINTS
    start = now - window.seconds + 1
    sums = [0] * POINTS
    for second, records in per_second.items():
        if start <= second <= now:
            sums[(second - start) // step] += records
    values = [total / step for total in sums]
    ceiling = _ceiling(max(values))
    across = WIDTH / (POINTS - 1)

    def y(value: float) -> float:
        return round(HEIGHT - HEIGHT * value / ceiling, 1)

    points = [f"{round(at * across, 1)},{y(value)}" for at, value in enumerate(values)]
    line = "M" + "L".join(points)
    return Plot(
        area=f"{line}L{WIDTH},{HEIGHT}L0,{HEIGHT}Z",
        line=line,
        lines=[Line(y(part * ceiling), f"{round(part * ceiling):,}") for part in (0, 0.5, 1)],
        words=window.words,
        peak=round(max(values)),
    )


def _ceiling(value: float) -> int:
    """Round up to 2, 4, 6, 8 or 10 times a power of ten, so that half of it is round too."""
    power = 10
    while power < value:
        power *= 10
    return next(part for part in range(power // 5, power + 1, power // 5) if part >= value)
