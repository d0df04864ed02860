"""`stitch-import report`: a self-contained page, in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from target_stitch_import.report.page.document import page
from target_stitch_import.report.summary import read_summary
from tests.report.made_up import plain
from tests.support.axe import violations
from tests.support.browser import Browser, chromium
from tests.support.programs import skip_without
from tests.support.singer import lines, record, schema, state
from tests.support.target import Outcome, Target

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

EVIL = '"><img src=x onerror="window.owned=1"><script>window.owned=1</script></title></style>'


def report(*arguments: str, stdin: bytes | None = None, folder: Path | None = None) -> Outcome:
    """Run `stitch-import report`."""
    done = subprocess.run(
        [sys.executable, "-m", "target_stitch_import.toolbox", "report", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
        cwd=folder,
    )
    log = done.stderr.decode()
    assert "Traceback" not in log
    assert "Internal error" not in log
    return Outcome(done.returncode, done.stdout.decode().splitlines(), log)


@pytest.fixture
def summary(target: Target, api: ImportApi) -> Path:
    """The summary of a run with a repeated request and a stream with a malicious name."""
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


WIDTHS = (390, 768, 1280)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_shown_in_a_browser(summary: Path, tmp_path: Path, *, dark: bool) -> None:
    """Charts are drawn, names are text, nothing is fetched, cut off, or reported as an error."""
    program = chromium()
    if program is None:
        skip_without("Chromium")
    path = tmp_path / "run.html"
    assert report(str(summary), "--output", str(path)).status == 0
    with Browser(program, dark=dark) as browser:
        for width in WIDTHS:
            browser.size(width, 900)
            browser.open(path.as_uri())
            assert browser.complaints() == []
            assert browser.addresses() == {path.as_uri()}
            assert browser.run("window.owned === undefined")
            assert browser.run("document.querySelectorAll('img').length") == 0
            assert browser.run(f"document.documentElement.scrollWidth <= {width}")
            heights = "[...document.querySelectorAll('.curve')].map((c) => c.getBBox().height)"
            assert len(drawn := browser.run(heights)) >= 4
            assert min(drawn) > 10
            assert violations(browser) == []
        text = browser.run("document.body.innerText")
        assert EVIL in text
        assert re.search(r"Records delivered\s+301\s+of 301 read\n", text)
        light = browser.run("getComputedStyle(document.body).backgroundColor.includes('24')")
        assert light is not dark


LARGE = {
    "read": 9_703_720_200,
    "acknowledged": 9_703_720_190,
    "set_aside": 10,
    "bytes": 123_456_789_012_345,
    "batches": 12_345_678,
    "retries": 12_345,
    "repaired": {"total_amount": {"nan_to_null": 1_234_567}},
    "set_aside_reasons": {"field `/id`: expected integer, found string": 10},
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("width", [320, *WIDTHS])
def test_large_numbers_and_long_names_fit(tmp_path: Path, width: int) -> None:
    """No box is wider than its container, and no figure is wrapped."""
    program = chromium()
    if program is None:
        skip_without("Chromium")
    streams = {"x" * 300: LARGE, "y_" * 40: LARGE, "z": {"read": 1}}
    path = tmp_path / "run.html"
    members = {name: LARGE[name] for name in ("read", "acknowledged", "set_aside", "bytes")}
    rejected = {"t" * 200: {"column [total__st] is reserved": 358}}
    path.write_text(plain(streams=streams, rejected=rejected, repaired=1_234_567, **members))
    with Browser(program) as browser:
        browser.size(width, 900)
        browser.open(path.as_uri())
        assert browser.run(f"document.documentElement.scrollWidth <= {width}")
        cut = "[...document.querySelectorAll('*')].filter((e) => e.scrollWidth > e.clientWidth + 1"
        cut += " && getComputedStyle(e).display !== 'inline' && !e.closest('svg, .chart'))"
        assert browser.run(f"{cut}.map((e) => e.outerHTML.slice(0, 100))") == []
        figures = "[...document.querySelectorAll('.figure')]"
        heights = browser.run(f"{figures}.map((e) => e.getBoundingClientRect().height)")
        assert len(heights) == 5
        assert max(heights) == min(heights)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("width", WIDTHS)
def test_rows_are_ordered_by_keyboard(tmp_path: Path, width: int) -> None:
    program = chromium()
    if program is None:
        skip_without("Chromium")
    streams = {
        "beta": {"read": 9, "acknowledged": 9},
        "alpha": {"read": 100, "acknowledged": 20, "set_aside": 80},
        "gamma": {"read": 8, "acknowledged": 8, "set_aside": 0},
    }
    path = tmp_path / "run.html"
    path.write_text(plain(streams=streams))
    names = "[...document.querySelectorAll('tbody th')].map((e) => e.textContent).join(' ')"
    orders = "[...document.querySelectorAll('[aria-sort]')].map((e) => e.ariaSort).join(' ')"
    with Browser(program) as browser:
        browser.size(width, 900)
        browser.open(path.as_uri())
        assert browser.complaints() == []
        assert browser.run(names) == "alpha beta gamma"
        for key, shown, order in (
            ("Tab", "alpha beta gamma", ""),
            ("Enter", "alpha beta gamma", "ascending"),
            ("Enter", "gamma beta alpha", "descending"),
            ("Tab", "gamma beta alpha", "descending"),
            ("Tab", "gamma beta alpha", "descending"),
            ("Enter", "alpha beta gamma", "descending"),
            ("Enter", "gamma beta alpha", "ascending"),
        ):
            press(browser, key)
            assert (browser.run(names), browser.run(orders)) == (shown, order), key


def press(browser: Browser, key: str) -> None:
    text = {"text": "\r"} if key == "Enter" else {}
    code = {"Enter": 13, "Tab": 9}[key]
    for kind in ("keyDown", "keyUp"):
        browser.command(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=code,
            **(text if kind == "keyDown" else {}),
        )


def test_the_page_is_written_next_to_the_summary(summary: Path) -> None:
    outcome = report(summary.name, folder=summary.parent)
    assert (outcome.status, outcome.log) == (0, "")
    assert outcome.states == ["The page is summary.html: open it in a browser."]
    written = summary.with_suffix(".html")
    assert written.read_text().startswith("<!doctype html>")
    assert written.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("from_stdin", [False, True])
def test_the_page_can_be_written_to_stdout(summary: Path, *, from_stdin: bool) -> None:
    outcome = (
        report("-", stdin=summary.read_bytes())
        if from_stdin
        else report(str(summary), "--output", "-")
    )
    assert outcome.status == 0
    assert outcome.states[0] == "<!doctype html>"
    assert outcome.states[-1] == "</html>"
    assert not summary.with_suffix(".html").exists()


def test_the_page_does_not_overwrite_the_summary(summary: Path) -> None:
    text = summary.read_bytes()
    summary = summary.rename(summary.with_suffix(".html"))
    outcome = report(str(summary))
    assert (outcome.status, outcome.states) == (78, [])
    assert "would be overwritten. Give another path: --output FILE." in outcome.log
    assert summary.read_bytes() == text


def test_a_state_that_is_not_utf_8_is_shown_with_replacement_characters(summary: Path) -> None:
    text = re.sub(
        rb'("last_state": )\{.*?\}', b'\\1"x\xffy"', summary.read_bytes(), flags=re.DOTALL
    )
    assert b"\xff" in text
    assert "x\N{REPLACEMENT CHARACTER}y" in page(read_summary(text, "summary.json"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a run summary: "),
        ("[]", "is not a run summary: Expected `object`, got `array`"),
        ('{"program": "x"}', "is not a run summary: Object missing required field"),
        ("[" * 100_000, "is not a run summary: "),
    ],
    ids=["empty", "a list", "another object", "too deep"],
)
def test_a_file_that_is_not_a_summary_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "no.json"
    path.write_text(text)
    outcome = report(str(path))
    assert (outcome.status, outcome.states) == (65, [])
    assert words in outcome.log
    assert not path.with_suffix(".html").exists()


def test_missing_files_and_folders_are_reported(summary: Path, tmp_path: Path) -> None:
    missing = report(str(tmp_path / "missing.json"))
    assert (missing.status, "missing.json" in missing.log) == (78, True)
    nowhere = report(str(summary), "--output", str(tmp_path / "no" / "run.html"))
    assert (nowhere.status, "cannot be used: No such file" in nowhere.log) == (78, True)


@pytest.mark.parametrize(
    ("status", "members", "title", "words"),
    [
        (0, {"read": 1, "acknowledged": 1}, "Delivered", "Everything was delivered"),
        (0, {}, "Nothing to deliver", "Everything"),
        (0, {"read": 1, "set_aside": 1}, "Delivered, but not all of it", "set aside"),
        (0, {"read": 1, "rejected": {"t": {"r": 1}}}, "Delivered, but not all of it", ""),
        (65, {}, "Failed", "Invalid input"),
        (69, {}, "Failed", "Run again later."),
        (71, {}, "Failed", "ut of memory"),
        (129, {}, "Interrupted", "SIGHUP"),
        (130, {}, "Interrupted", "SIGINT"),
        (143, {}, "Interrupted", "SIGTERM"),
        (99, {}, "Failed", "<b>Exit status 99</b></p>"),
    ],
)
def test_the_page_starts_with_how_the_run_ended(
    status: int, members: dict[str, Any], title: str, words: str
) -> None:
    text = plain(exit_status=status, error="Line 3 <b>" if status else None, **members)
    outcome = text[text.index("<h1>") : text.index('<dl class="tiles">')]
    assert f'<h2 id="outcome">{title}</h2>' in outcome
    assert f"<b>Exit status {status}</b>" in outcome
    assert words in outcome
    assert ('<p class="error">Line 3 &lt;b&gt;</p>' in outcome) is bool(status)
    assert f"<title>Run of 2024-01-01 00:00:00 UTC, exit status {status}</title>" in text


def test_every_exit_status_has_its_meaning() -> None:
    """Those of the README."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for status in re.findall(r"^\| (\d+(?:, \d+)?) \|", readme, re.MULTILINE):
        for each in status.split(", "):
            assert f"<b>Exit status {each}</b>: " in plain(exit_status=int(each))


def cells(text: str, title: str) -> list[list[str]]:
    """Return the rows of the table with that title, its head first."""
    table = re.search(rf">{title}</h2><div class=\"[\w ]+\">(<table.*?</table>)", text)
    assert table, title
    rows = ET.fromstring(table[1]).iter("tr")  # noqa: S314
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def test_the_page_has_tables_of_streams_and_reasons() -> None:
    text = plain(
        streams={
            "few": {"read": 3, "acknowledged": 3, "activations": {"read": 1, "acknowledged": 1}},
            "many": {
                "read": 1_000,
                "acknowledged": 998,
                "set_aside": 2,
                "set_aside_reasons": {"<wrong>": 2},
                "repaired": {"total": {"nan_to_null": 3, "clamp_dates": 4}},
            },
        },
        rejected={"orders": {"too long": 1_358, "reserved": 2}},
    )
    assert cells(text, "Streams") == [
        ["Stream", "Read", "Acknowledged", "Set aside", "Repaired values", "Versions activated"],
        ["many", "1,000", "998", "2", "7", "0"],
        ["few", "2", "2", "0", "0", "1"],
    ]
    assert cells(text, "Set aside") == [["Stream", "Reason", "Messages"], ["many", "<wrong>", "2"]]
    assert cells(text, "Repaired") == [
        ["Stream", "Field", "Repair", "Values"],
        ["many", "total", "clamp_dates", "4"],
        ["many", "total", "nan_to_null", "3"],
    ]
    assert cells(text, "Rejected while loading") == [
        ["Table", "Reason", "Rows"],
        ["orders", "too long", "1,358"],
        ["orders", "reserved", "2"],
    ]
    assert "<table" not in plain()


def test_bidirectional_characters_of_names_are_escaped() -> None:
    text = plain(streams={"a\u202eb\x00": {"read": 1}}, last_state={"x": "y" * 5_000})
    assert cells(text, "Streams")[1][0] == "a\\u202eb\\x00"
    assert "yyy...</code>" in text
