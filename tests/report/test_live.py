"""What is shown while it runs: the words, and what a real terminal makes of them."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
from typing import IO, TYPE_CHECKING

import pytest

from target_stitch_import.report.live import (
    LIVE_SECONDS,
    Progress,
    Terminal,
    elapsed,
    fitting,
    line,
    wants_live_line,
)
from target_stitch_import.report.stats import Vitals
from tests.support.processes import until
from tests.support.singer import lines, record, schema, state
from tests.support.target import TOKEN, Target

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

CLEAR = "\r\x1b[K"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3_599, "59:59"), (36_061, "10:01:01")],
)
def test_times_are_shown_as_on_a_clock(seconds: float, shown: str) -> None:
    assert elapsed(seconds) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            (Vitals(0.0), None, 0, "", None),
            "0:00 | 0 acknowledged | 0/s | 0.0 MB/s | 0 in flight | 0 repeated | no state yet",
        ),
        (
            (Vitals(10.0, 20_000, 5_000_000, 2, 4), None, 1, "people", 3.0),
            (
                "0:10 | 20,000 acknowledged | 2,000/s | 0.5 MB/s | 4 in flight | 2 repeated | "
                "state 0:03 ago | stream `people`"
            ),
        ),
        (
            (Vitals(75.0, 30, 7_000_000), Vitals(70.0, 20, 5_000_000), 1_000, "a\x1b[2Jb", 0.0),
            (
                "1:15 | 30 acknowledged | 2/s | 0.4 MB/s | 0 in flight | 0 repeated | "
                "state 0:00 ago | 1,000 streams, most of `a\\x1b[2Jb`"
            ),
        ),
    ],
    ids=["nothing yet", "since the beginning", "lately"],
)
def test_the_line_tells_how_it_stands(
    given: tuple[Vitals, Vitals | None, int, str, float | None], shown: str
) -> None:
    assert line(*given) == shown


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("日本語", 4, "日本"),
        ("日本語", 5, "日本"),
        ("e\N{COMBINING ACUTE ACCENT}xy", 2, "e\N{COMBINING ACUTE ACCENT}x"),
        ("abc", 0, ""),
    ],
)
def test_a_line_fits_its_terminal(text: str, columns: int, shown: str) -> None:
    assert fitting(text, columns) == shown


def test_rates_are_those_of_the_last_seconds() -> None:
    """Ten a second for ten seconds, then nothing: it shows once the window has passed."""
    shown: list[str] = []
    progress = Progress(shown.append, 1.0, 5.0)
    for second in range(1, 11):
        progress.delivered("people", 10)
        progress.tell(Vitals(second, acknowledged=10 * second), None)
        assert " | 10/s | " in shown[-1]
        assert progress.due_seconds == second + 1
    for second in range(11, 17):
        progress.tell(Vitals(second, acknowledged=100), None)
    assert " | 0/s | " in shown[-1]


def test_the_busiest_stream_is_the_one_of_late() -> None:
    shown: list[str] = []
    progress = Progress(shown.append, 1.0, 5.0)
    progress.delivered("early", 1_000)
    progress.tell(Vitals(1.0), None)
    progress.delivered("late", 10)
    for second in (5.0, 6.0):
        progress.tell(Vitals(second), None)
    assert "stream `early`" in shown[0]
    assert "most of `early`" in shown[1]
    assert "most of `late`" in shown[2]


def test_what_is_logged_stands_above_the_line() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    logger = logging.Logger("test")  # noqa: LOG001 - one that nobody else has
    logger.addHandler(terminal)
    logger.warning("before")
    terminal.draw("line 1")
    logger.warning("between")
    terminal.draw("")
    logger.warning("after")
    assert stream.getvalue() == (
        f"before\n{CLEAR}line 1\r{CLEAR}between\nline 1\r{CLEAR}after\n"  # and no line in between
    )


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": ""}, False), ({}, False)],
)
def test_a_live_line_needs_a_terminal_that_can(
    environment: dict[str, str], *, wanted: bool
) -> None:
    leader, follower = pty.openpty()
    with open(follower, "w") as terminal, open(os.devnull, "w") as file:  # noqa: PTH123
        assert wants_live_line(terminal, environment) is wanted
        assert not wants_live_line(file, environment)
        assert not wants_live_line(None, environment)
    os.close(leader)


class Screen:
    """A pseudo-terminal, what was written to it, and what one would see on it."""

    def __init__(self, columns: int = 140) -> None:
        self._leader, self.follower = pty.openpty()
        size = struct.pack("4H", 24, columns, 0, 0)
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, size)
        self.written = ""
        self._rest = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            select.select([self._leader], [], [])
            try:
                chunk = os.read(self._leader, 65_536)
            except OSError:  # the other end is closed
                return
            self.written += chunk.decode()

    def close(self) -> list[str]:
        """Close it once all has been read; return the rows that are left."""
        os.close(self.follower)
        self._thread.join(10)
        os.close(self._leader)
        rows = self.written.replace("\r\n", "\n").split("\n")
        return [row.rpartition(CLEAR)[2] for row in rows]


def run_on(
    screen: Screen,
    target: Target,
    *options: str,
    term: str = "xterm",
    shows: str = "",
    **settings: object,
) -> int:
    """Run over some records, and over one more once the screen shows something.

    Returns:
        The exit status.
    """
    with subprocess.Popen(
        target.command(*options, batch_size_rows=1, max_in_flight_requests=1, **settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=screen.follower,
        env=os.environ | {"TERM": term, "NO_COLOR": "1"},
        cwd=target.folder,
    ) as process:
        pipe = process.stdin
        assert pipe is not None
        names = ("people", "people", "日本")
        feed(pipe, [schema("people", ()), schema("日本"), *map(record, range(3), names), state(1)])
        until(lambda: shows in screen.written)
        feed(pipe, [record(3), state(2)])
        pipe.close()
        return process.wait(30)


def feed(pipe: IO[bytes], messages: list[object]) -> None:
    pipe.write(lines(messages))
    pipe.flush()


def test_a_terminal_has_one_line_that_is_rewritten(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "down"}, {"kind": "latency", "seconds": 0.4, "times": 4}])
    screen = Screen()
    # What is read together is sorted, and would be one batch with the records before it.
    status = run_on(screen, target, shows="1 in flight | 1 repeated")
    rows = screen.close()
    assert status == 0
    drawn = re.findall(rf"{re.escape(CLEAR)}(\d+:\d\d \| [^\r\x1b]*)", screen.written)
    assert 3 <= len(drawn) <= 20
    assert all(len(each) < 140 for each in drawn)
    assert any("1 in flight | 1 repeated" in each for each in drawn), drawn
    assert any("2 streams, most of `people`" in each for each in drawn)
    # In the end the log is all there is to see, each line of it whole.
    assert rows.pop() == ""
    assert all(re.match(r"\d{4}-\d\d-\d\d .* \| (INFO|WARNING) +\| ", row) for row in rows), rows
    assert any("Trying again in" in row for row in rows)
    assert "4 messages acknowledged" in "\n".join(rows)
    assert "METRIC" not in screen.written
    assert TOKEN not in screen.written


def test_the_line_goes_on_while_nothing_happens(target: Target) -> None:
    screen = Screen()
    with subprocess.Popen(
        target.command(),
        stdin=subprocess.PIPE,
        stderr=screen.follower,
        env=os.environ | {"TERM": "xterm"},
        cwd=target.folder,
    ) as process:
        until(lambda: screen.written.count(f"{CLEAR}0:0") >= 4)
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0
    screen.close()


@pytest.mark.parametrize(
    ("options", "term"),
    [(("--quiet",), "xterm"), (("--verbose",), "xterm"), ((), "dumb")],
    ids=["quiet", "verbose", "dumb"],
)
def test_a_terminal_is_left_in_peace(
    target: Target, api: ImportApi, options: tuple[str, ...], term: str
) -> None:
    api.set_faults([{"kind": "latency", "seconds": 2 * LIVE_SECONDS}])
    screen = Screen()
    assert run_on(screen, target, *options, term=term) == 0
    screen.close()
    assert "\x1b" not in screen.written


def test_a_narrow_terminal_is_not_overrun(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "latency", "seconds": 1}])
    screen = Screen(columns=20)
    assert run_on(screen, target, shows=CLEAR) == 0
    screen.close()
    drawn = re.findall(rf"{re.escape(CLEAR)}(\d+:\d\d \| [^\r\x1b\n]*)", screen.written)
    assert drawn
    assert {len(each) for each in drawn} <= set(range(20))


def test_a_terminal_that_is_halted_halts_nothing() -> None:
    """As by Control-S: it is drawn again once the terminal goes on."""
    screen = Screen()
    with open(screen.follower, "w", closefd=False) as stream:
        terminal = Terminal(stream)
        terminal.draw("before")
        termios.tcflow(screen.follower, termios.TCOOFF)
        drawing = threading.Thread(target=terminal.draw, args=["halted"], daemon=True)
        drawing.start()
        drawing.join(5)
        was_held_up = drawing.is_alive()
        termios.tcflow(screen.follower, termios.TCOON)
        assert not was_held_up
        terminal.draw("after")
    screen.close()
    assert screen.written == f"{CLEAR}before\r{CLEAR}after\r"


def test_a_log_line_to_a_halted_terminal_halts_nothing() -> None:
    """A sender's thread that logs has the lock until the terminal goes on."""
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.draw("before")
    drawing = threading.Thread(target=terminal.draw, args=["halted"], daemon=True)
    terminal.acquire()
    drawing.start()
    drawing.join(5)
    was_held_up = drawing.is_alive()
    terminal.release()
    assert not was_held_up
    terminal.draw("after")
    assert stream.getvalue() == f"{CLEAR}before\r{CLEAR}after\r"


def test_elsewhere_a_line_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test")
    progress = Progress.logged(logger)
    assert progress.due_seconds == 30
    with caplog.at_level(logging.INFO):
        progress.tell(Vitals(30.0, 3_000), None)
        progress.tell(Vitals(60.0, 3_600), None)
    assert progress.due_seconds == 90
    first, second = caplog.messages
    assert first.startswith("0:30 | 3,000 acknowledged | 100/s | ")
    assert second.startswith("1:00 | 3,600 acknowledged | 20/s | ")
