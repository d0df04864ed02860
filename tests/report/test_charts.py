"""The charts of the report page: only what happened, at round times, with outages shaded."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from target_stitch_import.report.page.time_axis import Tick, moment, ticks
from tests.report.made_up import plain

START = datetime(2024, 1, 31, 23, 59, 50, 500_000, tzinfo=timezone.utc)


def drawings(text: str) -> list[ET.Element]:
    """Return the page's charts, parsed, so they are well-formed."""
    found = re.findall(r'<div class="chart".*?</svg></div><div class="times">.*?</div></div>', text)
    return [ET.fromstring(each) for each in found]  # noqa: S314


def series_of(seconds: list[float], acknowledged: list[int], **more: Any) -> dict[str, Any]:
    same = {name: [0] * len(seconds) for name in ("bytes", "retries", "in_flight", "held_bytes")}
    return {"seconds": seconds, "acknowledged": acknowledged} | same | more


@pytest.mark.parametrize(
    ("seconds", "acknowledged", "said"),
    [
        ([], [], None),
        ([0.0], [0], None),
        ([0.0], [7], None),
        ([5.0, 60.0], [0, 0], None),
        ([0.5], [7], "at most 7, at the end 7"),
        ([60.0, 120.0], [10, 10], "at most 10, at the end 10"),
        ([1.0, 1.0, 2.0], [0, 0, 3_000_000_000], "at most 3 bn, at the end 3 bn"),
        ([1e9], [1], "at most 1, at the end 1"),
    ],
    ids=["no sample", "no time", "an instant", "nothing", "one", "a stall", "a lot", "for years"],
)
def test_only_charts_with_data_are_drawn(
    seconds: list[float], acknowledged: list[int], said: str | None
) -> None:
    text = plain(series=series_of(seconds, acknowledged))
    drawn = {each.attrib["aria-label"].partition(":")[0]: each for each in drawings(text)}
    happened = {"Records a second over time", "Records acknowledged over time"} if said else set()
    assert set(drawn) == happened
    assert ("Over time" in text) is bool(said)
    if said:
        label = drawn["Records acknowledged over time"].attrib["aria-label"]
        assert label == f"Records acknowledged over time: {said}"
    assert not re.search(r"\b(nan|inf)\b", text)


def test_a_stall_shows_in_the_rate() -> None:
    """A hundred per second for a while, nothing for as long, then a hundred again."""
    seconds = [float(second) for second in range(1, 301)]
    acknowledged = [100 * min(n, 100) + 100 * max(0, n - 200) for n in range(1, 301)]
    rates = drawings(plain(series=series_of(seconds, acknowledged)))[0]
    (curve,) = (path.attrib["d"] for path in rates.iter("path") if path.get("class") == "curve")
    heights = [float(point.split(" ")[1]) for point in curve[1:].split("L")]
    assert len(heights) < 60
    assert max(heights) == heights[len(heights) // 2] == heights[0]
    assert min(heights) == heights[5] == heights[-5] < max(heights) - 50


def test_activations_are_not_drawn_as_records() -> None:
    series = series_of([1.0, 2.0], [5, 7], activations=[0, 2])
    label = drawings(plain(series=series))[1].attrib["aria-label"]
    assert label == "Records acknowledged over time: at most 5, at the end 5"


def bands(text: str) -> list[tuple[str, float, float]]:
    """Return the bands of the first chart as kind, left and width in percent."""
    found = re.findall(r'class="band (\w+)" style="left:([\d.]+)%;width:([\d.]+)%"', text)
    return [(kind, float(left), float(width)) for kind, left, width in found]


def test_outages_and_waits_are_shaded() -> None:
    """The service was unavailable from 2 to 4 and from 8 to 9, without room from 3 to 5."""
    series = series_of(
        [float(second) for second in range(1, 11)],
        [1] + [0] * 9,
        unavailable_seconds=[0, 0, 1, 2, 2.1, 2.1, 2.1, 2.1, 3.1, 3.1],
        seconds_without_room=[0, 0, 0, 1, 2, 2, 2, 2, 2, 2],
    )
    text = plain(series=series, unavailable_seconds=3.1, seconds_without_room=2.0)
    first = text.split("</figure>")[0]
    assert bands(first) == [("outage", 20, 20), ("outage", 80, 10), ("wait", 30, 20)]
    assert "The Import API was unavailable: 3.1 s in total</li>" in text
    assert "Reading paused because the buffer was full: 2.0 s in total</li>" in text
    assert (
        drawings(text)[0].attrib["aria-label"].endswith("; the Import API was unavailable 2 times")
    )
    assert 'class="key"' not in plain(series=series_of([1.0], [1]))


@pytest.mark.parametrize(
    ("start", "seconds", "expected"),
    [
        (START, 0.25, [(0.0, "23:59:50.50"), (0.05, "23:59:50.55"), (0.1, "23:59:50.60")]),
        (START, 2.0, [(0.0, "23:59:50.5"), (0.5, "23:59:51.0"), (1.0, "23:59:51.5")]),
        (START, 12.0, [(1.5, "23:59:52"), (3.5, "23:59:54"), (5.5, "23:59:56")]),
        (START, 240.0, [(9.5, "00:00"), (69.5, "00:01"), (129.5, "00:02")]),
        (START, 20_000.0, [(9.5, "01 Feb"), (3_609.5, "01:00"), (7_209.5, "02:00")]),
        (START, 500_000.0, [(9.5, "01 Feb"), (86_409.5, "02 Feb"), (172_809.5, "03 Feb")]),
    ],
)
def test_ticks_are_round_times(
    start: datetime, seconds: float, expected: list[tuple[float, str]]
) -> None:
    found = ticks(start, seconds)
    assert [(round(each.seconds, 6), each.label) for each in found[:3]] == expected
    assert 2 <= len(found) <= 7
    assert all(0 <= each.seconds <= seconds for each in found)


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        (None, 10.0),
        (START, 0.0),
        (START, -1.0),
        (START, 1e12),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc), 1e6),
    ],
)
def test_without_a_time_span_there_are_no_ticks(start: datetime | None, seconds: float) -> None:
    nothing: list[Tick] = []
    assert ticks(start, seconds) == nothing


@pytest.mark.parametrize("text", ["", "yesterday", "2024-01-31T00:00:00", "2024-13-01T00:00:00Z"])
def test_an_invalid_start_time_is_not_a_moment(text: str) -> None:
    assert moment(text) is None
    assert "Over time" in plain(started_at=text, series=series_of([1.0], [1]))
