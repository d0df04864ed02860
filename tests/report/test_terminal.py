"""A log with a live line below it: the output, and how a real terminal shows it."""

from __future__ import annotations

import io
import logging
import os
import pty
import termios
import threading

import pytest

from target_stitch_import.report.terminal import (
    Line,
    LinePart,
    Terminal,
    fitting,
    wants_live_line,
    width,
)
from tests.report.screen import CLEAR, Screen

LINE = Line(
    (LinePart("state 0:03 ago", "state 0:03"), LinePart("1,234 acknowledged"), LinePart("15/s"))
)


def said(text: str) -> Line:
    return Line((LinePart(text),))


@pytest.mark.parametrize(
    ("line", "columns", "shown"),
    [
        (LINE, 80, "state 0:03 ago | 1,234 acknowledged | 15/s"),
        (LINE, 59, "state 0:03 | 1,234 acknowledged | 15/s"),
        (LINE, 38, "state 0:03 | 1,234 acknowledged | 15/s"),
        (LINE, 37, "state 0:03 | 1,234 acknowledged …"),
        (LINE, 33, "state 0:03 | 1,234 acknowledged …"),
        (LINE, 32, "state 0:03 …"),
        (LINE, 11, "state 0:03…"),
        (LINE, 8, "state 0…"),
        (said("日本語" * 20), 9, "日本語日…"),
        (Line(()), 10, ""),
    ],
)
def test_parts_are_dropped_from_the_right_with_a_mark(line: Line, columns: int, shown: str) -> None:
    assert line.within(columns) == shown
    assert width(line.within(columns)) <= columns


@pytest.mark.parametrize("columns", range(90))
def test_no_line_is_wider_than_its_terminal(columns: int) -> None:
    assert width(LINE.within(columns)) <= columns


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\N{COMBINING ACUTE ACCENT}xyz", 3, "e\N{COMBINING ACUTE ACCENT}x…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_a_text_is_cut_with_a_mark(text: str, columns: int, shown: str) -> None:
    assert fitting(text, columns) == shown


def test_log_messages_appear_above_the_live_line() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    logger = logging.Logger("test")  # noqa: LOG001 - one that nobody else has
    logger.addHandler(terminal)
    logger.warning("before")
    terminal.draw(said("line 1"))
    logger.warning("between")
    terminal.show(["a", "b"])
    terminal.draw(None)
    logger.warning("after")
    terminal.show(["c"])
    assert stream.getvalue() == (
        f"before\n{CLEAR}line 1\r{CLEAR}between\nline 1\r{CLEAR}a\nb\nline 1\r{CLEAR}after\nc\n"
    )


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": ""}, False), ({}, False)],
)
def test_a_live_line_is_drawn_only_on_a_capable_terminal(
    environment: dict[str, str], *, expected: bool
) -> None:
    leader, follower = pty.openpty()
    with open(follower, "w") as terminal, open(os.devnull, "w") as file:  # noqa: PTH123
        assert wants_live_line(terminal, environment) is expected
        assert not wants_live_line(file, environment)
        assert not wants_live_line(None, environment)
    os.close(leader)


def test_a_line_fits_the_terminal_as_it_is_now() -> None:
    """When it becomes narrower, the line wraps to several rows, which are all cleared."""
    screen = Screen(columns=80)
    with open(screen.follower, "w", closefd=False) as stream:
        terminal = Terminal(stream)
        terminal.draw(LINE)
        screen.resize(33)
        terminal.draw(LINE)
        screen.resize(200)
        terminal.draw(LINE)
    screen.close()
    assert screen.drawn == [str(LINE), "state 0:03 …", str(LINE)]


def test_a_stopped_terminal_does_not_block() -> None:
    """For example by Control-S; the line is drawn again when the terminal continues."""
    screen = Screen()
    with open(screen.follower, "w", closefd=False) as stream:
        terminal = Terminal(stream)
        terminal.draw(said("before"))
        termios.tcflow(screen.follower, termios.TCOOFF)
        drawing = threading.Thread(target=terminal.draw, args=[said("halted")], daemon=True)
        drawing.start()
        drawing.join(5)
        was_held_up = drawing.is_alive()
        termios.tcflow(screen.follower, termios.TCOON)
        assert not was_held_up
        terminal.draw(said("after"))
    screen.close()
    assert screen.written == f"{CLEAR}before\r{CLEAR}after\r"


def test_a_log_line_to_a_stopped_terminal_does_not_block() -> None:
    """A thread of the sender that logs holds the lock until the terminal continues."""
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.draw(said("before"))
    drawing = threading.Thread(target=terminal.draw, args=[said("halted")], daemon=True)
    terminal.acquire()
    drawing.start()
    drawing.join(5)
    was_held_up = drawing.is_alive()
    terminal.release()
    assert not was_held_up
    terminal.draw(said("after"))
    assert stream.getvalue() == f"{CLEAR}before\r{CLEAR}after\r"
