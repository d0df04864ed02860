"""Progress of a run: the text of the line, with a test clock and on a real terminal."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.delivery.answer import Failure
from target_stitch_import.report.live import Progress, outage_part
from target_stitch_import.report.observer import RunObserver
from target_stitch_import.report.stats import LoopSnapshot, Outage, Sample, Traffic
from tests.report.screen import CLEAR, Screen
from tests.support.singer import lines, record, schema, state
from tests.support.target import TOKEN, Target

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi
    from target_stitch_import.report.terminal import Line


@dataclass
class Shown:
    """A run whose clock the test drives, and the lines that were shown."""

    lines: list[Line] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.progress = Progress(self.lines.append, 1.0, 5.0)
        self.observer = RunObserver(self.progress, clock=lambda: self.now)

    def tick(self, seconds: float = 1.0, **standing: Any) -> str:
        """Let time pass; return the newest line."""
        self.now += seconds
        run: dict[str, Any] = {"traffic": self.traffic, "lines_read": 1} | standing
        self.observer.tick(self.now, LoopSnapshot(**run))
        return str(self.lines[-1])


def line_of(sample: Sample, since: Sample | None = None, age: float | None = None) -> Line:
    """Return the line of one moment, after a second of one stream."""
    found: list[Line] = []
    progress = Progress(found.append, 1.0, 5.0)
    progress.delivered("people", 1)
    if since:
        progress.update(since, None)
    progress.update(sample, age)
    return found[-1]


USUAL = Sample(
    83.0, acknowledged=1_234_569, bytes=46_500_000, retries=2, in_flight=4, activations=2
)


@pytest.mark.parametrize(
    ("sample", "since", "age", "shown"),
    [
        (
            Sample(0.0),
            None,
            None,
            "no state yet | 0 acknowledged in 0:00 | 0/s | 0 B/s | 0 in flight | stream `people`",
        ),
        (
            USUAL,
            Sample(80.0, acknowledged=1_200_002, bytes=300_000, activations=2),
            3.0,
            (
                "state 0:03 ago | 1,234,567 acknowledged in 1:23 | 11,522/s | 15.4 MB/s | "
                "4 in flight | 2 retried | stream `people`"
            ),
        ),
        (
            Sample(75.0, 30, 7_000, records_set_aside=4),
            Sample(70.0, 29, 2_000),
            0.0,
            (
                "state 0:00 ago | 30 acknowledged in 1:15 | 4 set aside | 0.2/s | 1.0 kB/s | "
                "0 in flight | stream `people`"
            ),
        ),
    ],
    ids=["nothing yet", "usual", "slow, some set aside"],
)
def test_the_live_line_shows_state_rates_and_requests(
    sample: Sample, since: Sample | None, age: float | None, shown: str
) -> None:
    assert str(line_of(sample, since, age)) == shown


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (80, "state 0:03 ago | 1,234,567 acknowledged in 1:23 | 14,874/s | 560.2 kB/s …"),
        (40, "state 0:03 | 1,234,567 acknowledged …"),
    ],
)
def test_the_state_is_there_on_narrow_terminals(columns: int, shown: str) -> None:
    assert line_of(USUAL, age=3.0).within(columns - 1) == shown


@pytest.mark.parametrize(
    ("outage", "words", "brief"),
    [
        (
            Outage(None, 112.0),
            "service does not respond, next try in 12 s",
            "no response, retry in 12 s",
        ),
        (Outage(503, 112.0), "service answers 503, next try in 12 s", "503, retry in 12 s"),
        (Outage(429, 400.0), "service answers 429, next try in 5:00", "429, retry in 5:00"),
        (Outage(503, 99.0), "service answers 503, next try in 1 s", "503, retry in 1 s"),
        (
            Outage(None, 112.0, Failure.UNRESOLVED),
            "name does not resolve, next try in 12 s",
            "name does not resolve, retry in 12 s",
        ),
        (
            Outage(None, 112.0, Failure.PROXY_REFUSED),
            "proxy refuses, next try in 12 s",
            "proxy refuses, retry in 12 s",
        ),
        (
            Outage(None, 112.0, Failure.TIMED_OUT),
            "service does not respond, next try in 12 s",
            "no response, retry in 12 s",
        ),
        (Outage(None, None), "service does not respond, trying again", "no response, trying again"),
    ],
)
def test_an_outage_is_described_with_the_next_retry(outage: Outage, words: str, brief: str) -> None:
    part = outage_part(outage, 100.0)
    assert (part.text, part.brief) == (words, brief)
    assert len(part.brief) < 39


def test_an_outage_stands_first_while_it_lasts() -> None:
    run = Shown()
    assert run.tick().startswith("no state yet | ")
    run.traffic.availability.failed(run.now, None)
    run.traffic.availability.note_wait(1, run.now + 13)
    run.traffic.availability.note_wait(2, run.now + 20)
    assert run.tick().startswith("service does not respond, next try in 12 s | no state yet | ")
    run.traffic.availability.note_wait_over(1)
    assert run.tick().startswith("service does not respond, next try in 18 s | ")
    run.traffic.availability.note_wait_over(2)
    run.traffic.availability.failed(run.now, 503)
    assert run.tick().startswith("service answers 503, trying again | ")
    run.traffic.availability.answered(run.now)
    assert run.tick().startswith("no state yet | ")
    assert run.traffic.availability.unavailable_seconds(run.now) == 3


def test_a_run_without_input_shows_that_it_waits() -> None:
    run = Shown()
    assert run.tick(lines_read=0).startswith("waiting for a tap on stdin | no state yet | ")
    run.traffic.availability.failed(run.now, None)
    assert run.tick(lines_read=0).startswith("service does not respond, ")
    run.traffic.availability.answered(run.now)
    assert run.tick(lines_read=1).startswith("no state yet | ")


def test_rates_are_those_of_the_last_seconds() -> None:
    """Ten per second for ten seconds, then nothing: the rate drops when the window has passed."""
    shown: list[Line] = []
    progress = Progress(shown.append, 1.0, 5.0)
    for second in range(1, 11):
        progress.delivered("people", 10)
        progress.update(Sample(second, acknowledged=10 * second), None)
        assert " | 10/s | " in str(shown[-1])
        assert progress.due_seconds == second + 1
    for second in range(11, 17):
        progress.update(Sample(second, acknowledged=100), None)
    assert " | 0/s | " in str(shown[-1])


def test_the_busiest_stream_is_that_of_the_last_seconds() -> None:
    shown: list[Line] = []
    progress = Progress(shown.append, 1.0, 5.0)
    progress.delivered("early", 1_000)
    progress.update(Sample(1.0), None)
    progress.delivered("late\x1b[2J", 10)
    for second in (5.0, 6.0):
        progress.update(Sample(second), None)
    assert "stream `early`" in str(shown[0])
    assert "2 streams, most of `early`" in str(shown[1])
    assert "2 streams, most of `late\\x1b[2J`" in str(shown[2])


def test_the_age_of_a_state_is_counted_from_when_it_was_written() -> None:
    run = Shown()
    run.tick()
    first, second = b"1", b"2"
    assert run.tick(last_state=first).startswith("state 0:00 ago")
    assert run.tick(5, last_state=first).startswith("state 0:05 ago")
    assert run.tick(last_state=second).startswith("state 0:00 ago")


def test_without_a_terminal_a_line_is_logged_every_thirty_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("test")
    progress = Progress.logged(logger, "acknowledged")
    assert progress.due_seconds == 30
    with caplog.at_level(logging.INFO):
        progress.update(Sample(30.0, 3_000), None)
        progress.update(Sample(60.0, 3_600), None)
    assert progress.due_seconds == 90
    first, second = caplog.messages
    assert first.startswith("no state yet | 3,000 acknowledged in 0:30 | 100/s | ")
    assert second.startswith("no state yet | 3,600 acknowledged in 1:00 | 20/s | ")


@dataclass
class Watched:
    """A run on a terminal, fed by the test."""

    screen: Screen
    process: subprocess.Popen[bytes]

    def feed(self, messages: list[Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(lines(messages))
        self.process.stdin.flush()

    def end(self) -> tuple[int, list[str]]:
        """End the input; return the exit status and the rows that are left."""
        assert self.process.stdin
        self.process.stdin.close()
        status = self.process.wait(30)
        self.process.__exit__(None, None, None)
        return status, self.screen.close()


def watch(target: Target, *options: str, columns: int = 140, term: str = "xterm") -> Watched:
    """Start a run that sends each record by itself, on a terminal."""
    screen = Screen(columns)
    process = subprocess.Popen(
        target.command(*options, batch_size_rows=1, max_in_flight_requests=1),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=screen.follower,
        env=os.environ | {"TERM": term, "NO_COLOR": "1"},
        cwd=target.folder,
    )
    return Watched(screen, process)


def test_a_terminal_has_one_line_that_is_rewritten(target: Target, api: ImportApi) -> None:
    run = watch(target)
    run.screen.wait_for(r"waiting for a tap on stdin \| no state yet \| 0 acknowledged in 0:0")
    run.feed([schema("people"), schema("日本"), record(1), record(2, "日本"), state(1)])
    run.screen.wait_for(r"state 0:0\d ago \| 2 acknowledged in [^\r]* \| 2 streams, most of ")
    api.set_faults([{"kind": "down", "times": "always"}])
    run.feed([record(3), state(2)])
    run.screen.wait_for(r"service answers 503, next try in \d+ s \| state ")
    api.set_faults([])
    run.screen.wait_for(r"[\r\x1b]\[Jstate 0:0\d ago \| 3 acknowledged in ")
    status, rows = run.end()
    assert status == 0
    assert all(len(each) < 140 for each in run.screen.drawn)
    # In the end the log and the summary are all there is to see, each line of them whole.
    log = [row for row in rows if re.match(r"\d{4}-\d\d-\d\d .* \| (INFO|WARNING) +\| ", row)]
    assert any("Retrying in" in row for row in log)
    rest = [row for row in rows if row not in log]
    assert rest[:5] == [
        "",
        "stream  read  acknowledged  set aside  repaired  bytes",
        rest[2],
        rest[3],
        "all        3             3          0         0  " + rest[4].split("  ")[-1],
    ]
    assert rest[2].startswith("people     2             2          0         0  ")
    assert "METRIC" not in run.screen.written
    assert TOKEN not in run.screen.written


def test_a_narrow_terminal_is_not_overrun(target: Target, api: ImportApi) -> None:
    run = watch(target, columns=20)
    run.screen.wait_for("waiting for a tap …")
    run.feed([schema(), record(1), state(1)])
    run.screen.wait_for("state 0:00 …")
    status, _ = run.end()
    assert (status, len(api.requests())) == (0, 1)
    assert {len(each) for each in run.screen.drawn} <= set(range(20))


@pytest.mark.parametrize(
    ("options", "term"),
    [(("--quiet",), "xterm"), (("--verbose",), "xterm"), ((), "dumb")],
    ids=["quiet", "verbose", "dumb"],
)
def test_no_live_line_is_drawn_where_it_is_disabled(
    target: Target, api: ImportApi, options: tuple[str, ...], term: str
) -> None:
    """While a request is retried, after which a line would have been drawn."""
    api.set_faults([{"kind": "down"}])
    run = watch(target, *options, term=term)
    run.feed([schema(), record(1), state(1)])
    run.screen.wait_for("Retrying in")
    status, _ = run.end()
    assert status == 0
    assert "\x1b" not in run.screen.written
    assert CLEAR not in run.screen.written
