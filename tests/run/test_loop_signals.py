"""Signals while records are read and delivered, also at a terminal and in a container."""

from __future__ import annotations

import os
import pty
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.held_service import held_service
from tests.support.processes import (
    AS_PROCESS_1,
    end,
    is_pending,
    is_sending,
    process_1,
    require_namespaces,
    running,
    started,
    stream,
    unread,
    until,
    write_messages,
)
from tests.support.singer import record, schema, state
from tests.support.target import Target, delivered

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

STATUSES = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
_AT_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("before", [(), AS_PROCESS_1], ids=["as any process", "as process 1"])
@pytest.mark.parametrize(("number", "status"), STATUSES)
def test_a_signal_delivers_what_was_read(
    target: Target, api: ImportApi, number: signal.Signals, status: int, before: tuple[str, ...]
) -> None:
    if before:
        require_namespaces()
    with started([*before, *target.command()], target.folder) as process:
        write_messages(process, state(0))
        assert stream(process.stdout).readline() == b"0\n"
        write_messages(process, schema(), record(1), state(1))
        until(lambda: unread(process.stdin) == 0)
        os.kill(process_1(process) if before else process.pid, number)
        code, states, log = end(process)
    assert (code, states) == (status, [b"1"])
    assert f"signal {number}" in log
    assert delivered(api) == [{"id": 1}]


def test_ignored_signals_stay_ignored(target: Target, api: ImportApi) -> None:
    """Such as SIGHUP under `nohup`, and SIGINT in the background of a script."""
    ignoring = ["/bin/sh", "-c", 'trap "" HUP INT; exec "$@"', "sh"]
    command = [*ignoring, *target.command(batch_size_rows=1)]
    with started(command, target.folder) as process:
        write_messages(process, schema(), record(1), state(1))
        assert stream(process.stdout).readline() == b"1\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        write_messages(process, record(2), state(2))
        code, states, _ = end(process)
    assert (code, states) == (0, [b"2"])
    assert delivered(api) == [{"id": 1}, {"id": 2}]


def test_closing_the_terminal_ends_the_run_as_sighup(target: Target, api: ImportApi) -> None:
    """A log that can no longer be written does not fail the run."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _AT_A_TERMINAL, *target.command()]
    with started(command, target.folder, stderr=theirs) as process:
        os.close(theirs)
        write_messages(process, state(0))
        assert stream(process.stdout).readline() == b"0\n"
        write_messages(process, schema(), record(1), state(1))
        until(lambda: unread(process.stdin) == 0)
        os.close(ours)
        code, states, _ = end(process)
    assert (code, states) == (129, [b"1"])
    assert delivered(api) == [{"id": 1}]


def test_a_closed_terminal_may_send_sighup_twice(target: Target) -> None:
    """The shell and the kernel can both send SIGHUP, which does not mean a second request."""
    with (
        held_service() as service,
        running(target, batch_size_rows=1, api_url=service.url) as process,
    ):
        write_messages(process, schema(), record(1), state(1))
        service.wait_for_request()
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            until(lambda: not is_pending(process, signal.SIGHUP))
        service.release()
        code, states, _ = end(process)
    assert (code, states) == (129, [b"1"])


def test_a_signal_in_a_request_waits_for_its_answer(target: Target) -> None:
    with (
        held_service() as service,
        running(target, batch_size_rows=1, api_url=service.url) as process,
    ):
        write_messages(process, schema(), record(1), state(1))
        service.wait_for_request()
        process.send_signal(signal.SIGTERM)
        until(lambda: not is_pending(process, signal.SIGTERM))
        service.release()
        code, states, _ = end(process)
    assert (code, states) == (143, [b"1"])


def test_a_signal_during_an_outage_writes_no_state_too_early(
    target: Target, api: ImportApi
) -> None:
    """What is not delivered within the grace period is not acknowledged, and no state follows."""
    api.set_faults([{"kind": "down", "times": "always"}])
    with running(target, batch_size_rows=1, max_retry_seconds=0.5) as process:
        write_messages(process, schema(), record(1), state(1))
        until(lambda: is_sending(process))
        process.send_signal(signal.SIGTERM)
        code, states, _ = end(process, 40)
    assert (code, states) == (143, [])


def test_a_second_signal_ends_at_once(target: Target) -> None:
    """And not after the grace period, which is longer than this test waits."""

    def has_ended() -> bool:
        process.send_signal(signal.SIGTERM)  # again and again: those close together may be one
        return process.poll() is not None

    with (
        held_service() as service,
        running(target, batch_size_rows=1, api_url=service.url) as process,
    ):
        write_messages(process, schema(), record(1), state(1))
        service.wait_for_request()
        until(has_ended)
        code, states, _ = end(process)
    assert (code, states) == (143, [])
