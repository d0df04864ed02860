"""`stitch-import report`: a page that stands alone, in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from target_stitch_import.report.page import page, read
from tests.support.browser import Browser, chromium
from tests.support.programs import missing
from tests.support.singer import lines, record, schema, state
from tests.support.target import Outcome, Target

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

EVIL = '"><img src=x onerror="window.owned=1"><script>window.owned=1</script></title></style>'


def report(*arguments: str) -> Outcome:
    """Run `stitch-import report`."""
    done = subprocess.run(
        [sys.executable, "-m", "target_stitch_import.toolbox", "report", *arguments],
        capture_output=True,
        check=False,
        timeout=60,
    )
    log = done.stderr.decode()
    assert "Traceback" not in log
    assert "Internal error" not in log
    return Outcome(done.returncode, done.stdout.decode().splitlines(), log)


@pytest.fixture
def summary(target: Target, api: ImportApi) -> Path:
    """The summary of a run with a repeated request and a stream of an evil name."""
    api.set_faults([{"kind": "status", "status": 503}, {"kind": "latency", "seconds": 0.4}])
    path = target.folder / "summary.json"
    rows = [*map(record, range(300)), record(1, EVIL), state({"a": EVIL})]
    assert (
        target.run(
            lines([schema(), schema(EVIL), *rows]), summary_path=str(path), batch_size_rows=50
        ).status
        == 0
    )
    return path


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it(summary: Path, tmp_path: Path, *, dark: bool) -> None:
    """Six plots that are drawn, names as text, no complaint, and nothing fetched."""
    program = chromium()
    if program is None:
        missing("Chromium")
    path = tmp_path / "run.html"
    outcome = report(str(summary), "--output", str(path))
    assert (outcome.status, outcome.states, outcome.log) == (0, [], "")
    with Browser(program, dark=dark) as browser:
        browser.size(420, 900)
        browser.open(path.as_uri())
        assert browser.complaints() == []
        assert browser.addresses() == {path.as_uri()}
        assert browser.run("window.owned === undefined")
        assert browser.run("document.querySelectorAll('img, script').length") == 0
        assert browser.run("document.documentElement.scrollWidth <= 420")
        heights = "[...document.querySelectorAll('.curve')].map((c) => c.getBBox().height)"
        assert len(drawn := browser.run(heights)) == 6
        assert min(drawn) > 10
        text = browser.run("document.body.innerText")
        assert EVIL in text
        assert re.search(r"301\nmessages acknowledged\n", text)
        light = browser.run("getComputedStyle(document.body).backgroundColor.includes('24')")
        assert light is not dark


def test_a_state_that_is_no_utf8_is_shown_as_far_as_it_goes(summary: Path) -> None:
    text = re.sub(
        rb'("last_state": )\{.*?\}', b'\\1"x\xffy"', summary.read_bytes(), flags=re.DOTALL
    )
    assert b"\xff" in text
    assert "x\N{REPLACEMENT CHARACTER}y" in page(read(text, "summary.json"))


def test_it_goes_to_stdout(summary: Path) -> None:
    outcome = report(str(summary))
    assert outcome.status == 0
    assert outcome.states[0] == "<!doctype html>"
    assert outcome.states[-1] == "</html>"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no summary of a run: "),
        ("[]", "is no summary of a run: Expected `object`, got `array`"),
        ('{"program": "x"}', "is no summary of a run: Object missing required field"),
        ("[" * 100_000, "is no summary of a run: "),
    ],
    ids=["empty", "a list", "another object", "too deep"],
)
def test_what_is_no_summary_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "no.json"
    path.write_text(text)
    outcome = report(str(path))
    assert (outcome.status, outcome.states) == (65, [])
    assert words in outcome.log


def test_files_that_cannot_be(summary: Path, tmp_path: Path) -> None:
    missing = report(str(tmp_path / "missing.json"))
    assert (missing.status, "missing.json" in missing.log) == (78, True)
    nowhere = report(str(summary), "--output", str(tmp_path / "no" / "run.html"))
    assert (nowhere.status, "cannot be written: No such file" in nowhere.log) == (74, True)


def plain(**changes: Any) -> str:
    """Return the page of a made-up run, as it would be without the changes."""
    series: dict[str, list[float]] = {
        name: [] for name in ("seconds", "acknowledged", "bytes", "retries")
    }
    told: dict[str, Any] = {
        "program": "target-stitch-import",
        "version": "1",
        "started_at": "2024-01-01T00:00:00.000Z",
        "ended_at": "2024-01-01T01:00:00.000Z",
        "error": None,
        "last_state": None,
        "latency_seconds": {},
        "streams": {},
        "series": series | {"in_flight": [], "held_bytes": []},
    }
    names = """seconds exit_status read acknowledged set_aside batches bytes messages_per_second
        bytes_per_second requests bytes_sent retries possible_duplicates throttle_changes
        seconds_without_room"""
    told = dict.fromkeys(names.split(), 0) | told | changes
    return page(read(json.dumps(told).encode(), "summary.json"))


def drawings(text: str) -> list[ET.Element]:
    """Return the page's drawings, which are well-formed by that."""
    return [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", text)]  # noqa: S314


@pytest.mark.parametrize(
    ("seconds", "acknowledged", "top"),
    [
        ([], [], "0"),
        ([0.0], [0], "0"),
        ([0.5], [7], "7"),
        ([60.0, 120.0], [10, 10], "10"),
        ([1.0, 1.0, 2.0], [0, 0, 3_000_000_000], "3 G"),
    ],
    ids=["nothing", "an instant", "one sample", "a stall", "a lot"],
)
def test_any_series_can_be_drawn(seconds: list[float], acknowledged: list[int], top: str) -> None:
    same = {name: [0] * len(seconds) for name in ("bytes", "retries", "in_flight", "held_bytes")}
    series = {"seconds": seconds, "acknowledged": acknowledged} | same
    drawn = drawings(plain(series=series))
    assert len(drawn) == 6
    assert drawn[0].attrib["aria-label"] == f"Messages acknowledged, up to {top}"
    assert not [
        text for each in drawn for text in each.itertext() if "nan" in text or "inf" in text
    ]


def test_a_stall_shows_in_the_rate() -> None:
    """A hundred a second for a while, nothing for as long, then again."""
    seconds = [float(second) for second in range(1, 301)]
    acknowledged = [100 * min(n, 100) + 100 * max(0, n - 200) for n in range(1, 301)]
    same = {name: [0] * 300 for name in ("bytes", "retries", "in_flight", "held_bytes")}
    text = plain(series={"seconds": seconds, "acknowledged": acknowledged} | same)
    (curve,) = (
        path.attrib["d"] for path in drawings(text)[1] if path.attrib.get("class") == "curve"
    )
    heights = [float(point.split(",")[1]) for point in curve[1:].split("L")]
    assert len(heights) < 60
    assert max(heights) == heights[len(heights) // 2] == heights[0]
    assert min(heights) == heights[5] == heights[-5] < max(heights) - 50


def test_a_failed_run_says_why() -> None:
    text = plain(exit_status=65, error="Line 3 <b>")
    assert "<title>Run of 2024-01-01T00:00:00.000Z, exit status 65</title>" in text
    assert '<p class="error">Line 3 &lt;b&gt;</p>' in text


def test_names_cannot_turn_the_writing_round() -> None:
    text = plain(streams={"a\u202eb\x00": {"read": 1}}, last_state={"x": "y" * 5_000})
    assert "<td>a\\u202eb\\x00</td>" in text
    assert "yyy...</code>" in text
