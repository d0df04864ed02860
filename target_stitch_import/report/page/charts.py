"""Charts of a run over time, with the times when the service was unavailable as shaded bands.

Curves are SVG that stretches with the page; all text is HTML, so that it stays legible on a phone.
"""

from __future__ import annotations

import math
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from target_stitch_import.report.page.time_axis import moment, ticks
from target_stitch_import.report.words import duration, rate, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from target_stitch_import.report.page.time_axis import Tick
    from target_stitch_import.report.summary import Summary

_WIDTH, _HEIGHT = 1_000, 100
_MAX_RATES = 50
"""The maximum number of periods of rates: in shorter periods, each batch would be a peak."""
_LASTING_SHARE = 0.5
"""A condition counts for the time between two samples if it held for more than this share."""
_EDGE_PERCENT = 8

_Points: TypeAlias = "Sequence[tuple[float, float]]"


class _Chart(Struct, frozen=True):
    """One chart; `points` are pairs of seconds and value.

    With `steps`, a value holds until the next point; otherwise, lines connect the points.
    """

    title: str
    points: _Points
    label: Callable[[float], str]
    steps: bool = False

    @property
    def highest(self) -> float:
        """The highest value."""
        return max(value for _, value in self.points)


class _Band(Struct, frozen=True):
    """A period in which a condition held, in seconds since the run began."""

    kind: str
    begin: float
    end: float


def charts(summary: Summary) -> str:
    """Return the section of charts with a key for its bands; empty if there is nothing to show."""
    end = max(summary.series.seconds, default=0.0)
    drawn = [chart for chart in _charts(summary) if end > 0 and chart.highest > 0]
    if not drawn:
        return ""
    series, start = summary.series, moment(summary.started_at)
    bands = [
        *_bands("outage", series.seconds, series.unavailable_seconds),
        *_bands("wait", series.seconds, series.seconds_without_room),
    ]
    shades = {
        "outage": "The Import API was unavailable: "
        f"{duration(summary.unavailable_seconds)} in total",
        "wait": "Reading paused because the buffer was full: "
        f"{duration(summary.seconds_without_room)} in total",
    }
    seen = {band.kind for band in bands}
    key = "".join(
        f'<li><span class="swatch band {kind}"></span>{words}</li>'
        for kind, words in shades.items()
        if kind in seen
    )
    axis = ticks(start, end)
    figures = "".join(_figure(chart, end, bands, axis) for chart in drawn)
    times = ' <span class="quiet">Times are UTC.</span>' if axis else ""
    return (
        f'<section aria-labelledby="over-time"><h2 id="over-time">Over time{times}</h2>'
        + (f'<ul class="key">{key}</ul>' if key else "")
        + f'<div class="charts">{figures}</div></section>'
    )


def _charts(summary: Summary) -> Iterator[_Chart]:
    series = summary.series

    def over_time(values: Sequence[float]) -> _Points:
        return [(0.0, 0.0), *zip(series.seconds, values, strict=False)]

    # Summaries of earlier versions have no activations.
    records = over_time(
        [
            messages - activations
            for messages, activations in zip_longest(
                series.acknowledged, series.activations[: len(series.acknowledged)], fillvalue=0
            )
        ]
    )
    yield _Chart("Records a second", _rates(records), _count)
    yield _Chart("Bytes a second", _rates(over_time(series.bytes)), _size)
    yield _Chart("Records acknowledged", records, _count)
    yield _Chart("Bytes buffered and in flight", over_time(series.held_bytes), _size)
    yield _Chart("Requests in flight", over_time(series.in_flight), _count, steps=True)
    yield _Chart("Requests retried", over_time(series.retries), _count, steps=True)


def _rates(totals: _Points) -> _Points:
    """Return rates per second, averaged over periods of one or more samples."""
    ends = totals[:: len(totals) // _MAX_RATES + 1]
    ends = [*ends, totals[-1]] if ends[-1] != totals[-1] else ends
    return [
        ends[0],
        *(
            (now, (total - before) / (now - earlier))
            for (earlier, before), (now, total) in pairwise(ends)
            if now > earlier
        ),
    ]


def _bands(kind: str, seconds: Sequence[float], lasted: Sequence[float]) -> list[_Band]:
    """Return when a condition held; `lasted` is its total time so far at each sample."""
    bands: list[_Band] = []
    samples = zip(seconds, lasted, strict=False)
    for (begin, before), (end, after) in pairwise([(0.0, 0.0), *samples]):
        if after - before <= _LASTING_SHARE * (end - begin):
            continue
        if bands and bands[-1].end == begin:
            begin = bands.pop().begin  # noqa: PLW2901 - merged with the band before
        bands.append(_Band(kind, begin, end))
    return bands


def _figure(chart: _Chart, end: float, bands: Sequence[_Band], axis: Sequence[Tick]) -> str:
    top = _ceiling(chart.highest)

    def across(seconds: float) -> float:
        return round(100 * min(seconds / end, 1.0), 2)

    levels = "".join(
        f'<span class="level" style="bottom:{height}%">{chart.label(value)}</span>'
        for height, value in ((0, 0.0), (50, top / 2), (100, top))
    )
    shades = "".join(
        f'<span class="band {band.kind}" style="left:{across(band.begin)}%;'
        f'width:{max(across(band.end) - across(band.begin), 0.4):.2f}%"></span>'
        for band in bands
    )
    grid = "".join(f'<path class="grid" d="M0 {y}H{_WIDTH}"/>' for y in (0, _HEIGHT / 2, _HEIGHT))
    grid += "".join(
        f'<path class="grid" d="M{_WIDTH / 100 * across(tick.seconds):.1f} 0V{_HEIGHT}"/>'
        for tick in axis
    )
    curve = _curve(chart, end, top)
    times = "".join(
        f'<span class="time {_side(across(tick.seconds))}" style="left:{across(tick.seconds)}%">'
        f"{tick.label}</span>"
        for tick in axis
    )
    return (
        f'<figure class="card"><figcaption>{chart.title}'
        f'<span class="quiet">at most {chart.label(chart.highest)}</span></figcaption>'
        f'<div class="chart" role="img" aria-label="{_description(chart, bands)}">'
        f'<div class="levels">{levels}</div><div class="field">{shades}'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'{grid}<path class="area" d="{curve}V{_HEIGHT}H0Z"/>'
        f'<path class="curve" d="{curve}"/></svg></div><div class="times">{times}</div>'
        "</div></figure>"
    )


def _curve(chart: _Chart, end: float, top: float) -> str:
    def at(seconds: float, value: float) -> tuple[float, float]:
        return round(_WIDTH * seconds / end, 1), round(_HEIGHT - _HEIGHT * value / top, 2)

    x, y = at(*chart.points[0])
    curve = f"M{x} {y}"
    for point in chart.points[1:]:
        x, y = at(*point)
        curve += f"H{x}V{y}" if chart.steps else f"L{x} {y}"
    return curve


def _description(chart: _Chart, bands: Sequence[_Band]) -> str:
    """Return a text description of a chart, for screen readers."""
    outages = sum(band.kind == "outage" for band in bands)
    times = "once" if outages == 1 else f"{outages} times"
    unavailable = f"; the Import API was unavailable {times}" if outages else ""
    last = chart.points[-1][1]
    return (
        f"{chart.title} over time: at most {chart.label(chart.highest)}, at the end "
        f"{chart.label(last)}{unavailable}"
    )


def _side(percent: float) -> str:
    if percent < _EDGE_PERCENT:
        return "first"
    return "last" if percent > 100 - _EDGE_PERCENT else ""


def _ceiling(value: float) -> float:
    """Round up to 1, 2, 4, 6 or 8 times a power of ten, so that half of it is round, too."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((each * power for each in (1, 2, 4, 6, 8) if each * power >= value), 10 * power)


def _count(number: float) -> str:
    for power, letters in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if number >= power * 0.9995:
            return f"{number / power:.3g} {letters}"
    return rate(number).removesuffix(".0")


def _size(number: float) -> str:
    return size(number).replace(".0 ", " ")
