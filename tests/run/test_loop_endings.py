"""The end of a run: no earned state is lost, and no run hangs."""

from __future__ import annotations

import io
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.app import DryRunTransport
from target_stitch_import.delivery.answer import Answer
from target_stitch_import.report.observer import RunObserver
from target_stitch_import.run.dead_letter import DeadLetters
from tests.support.assembled_run import DeliversAtOnce, RunInThread, RunParts
from tests.support.processes import is_full, until
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.singer.messages import Event

VERSION_7 = {"version": 7}
INCOMPLETE_VERSION = [
    schema(),
    record(1, message=VERSION_7),
    record(0, id="bad", message=VERSION_7),
    {"type": "ACTIVATE_VERSION", "stream": "people", **VERSION_7},
]


@pytest.fixture
def dead_letters(tmp_path: Path) -> DeadLetters:
    return DeadLetters(str(tmp_path / "dead.jsonl"), 10)


def test_an_activation_set_aside_after_the_last_report_is_written(
    dead_letters: DeadLetters, tmp_path: Path
) -> None:
    """The activation is withheld only after the report of the batch before it."""
    assert (
        RunInThread(
            RunParts(dead_letters, sender=DeliversAtOnce).run_over(INCOMPLETE_VERSION)
        ).ending()
        is None
    )
    assert len((tmp_path / "dead.jsonl").read_text().splitlines()) == 2


class Unforeseen(RunObserver):
    """An observer with a bug."""

    def delivered(self, part: Batch) -> None:
        raise RuntimeError(part.body)


def test_a_writable_state_is_written_despite_an_internal_error() -> None:
    stdout = io.BytesIO()
    parts = RunParts(observer=Unforeseen(), stdout=stdout, sender=DeliversAtOnce)
    error = RunInThread(parts.run_over([schema(), record(1, name="S3CRET"), state(1)])).ending()
    assert error
    assert error.exit_status == 70
    place = "RuntimeError at test_loop_endings.py:"
    assert str(error).startswith(f"Internal error, please report it: {place}")
    assert "S3CRET" not in str(error)
    assert stdout.getvalue() == b"1\n"


class Broken(DryRunTransport):
    """A transport with a bug."""

    def send_batch(self, body: bytes, stream: str = "") -> Answer:
        raise RuntimeError(body, stream)


def test_an_internal_error_of_the_sender_names_its_place_and_no_value() -> None:
    parts = RunParts(connect=Broken)
    error = RunInThread(parts.run_over([schema(), record(1, name="S3CRET"), state(1)])).ending()
    assert error
    assert error.exit_status == 70
    assert str(error).startswith("Internal error, please report it: RuntimeError at test_loop_end")
    assert "S3CRET" not in str(error)


def test_an_error_in_one_report_leaves_no_report_unprocessed() -> None:
    """The remaining reports are processed although no wake-up and no deadline follows."""
    observer = Unforeseen()
    observer.due = float("inf")
    parts = RunParts(observer=observer, sender=DeliversAtOnce, grace_seconds=3600)
    assert RunInThread(parts.run_over([schema(), record(1)])).ending()


class Stdout(io.BytesIO):
    """Stdout that signals when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_written = threading.Event()

    def write(self, text: Any, /) -> int:
        written = super().write(text)
        self.is_written.set()
        return written


class Half(DryRunTransport):
    """Accepts only single records; the second one only after the state behind the first."""

    def __init__(self, stdout: Stdout) -> None:
        self.stdout = stdout
        self.written_before_the_second = b""

    def send_batch(self, body: bytes, stream: str = "") -> Answer:
        records = [message["data"]["id"] for message in json.loads(body)["messages"]]
        if len(records) > 1:
            return Answer(413)
        if records == [2]:
            self.stdout.is_written.wait(5)
            self.written_before_the_second = self.stdout.getvalue()
        return super().send_batch(body, stream)


def test_settled_parts_are_processed_while_the_rest_of_the_batch_waits() -> None:
    stdout, observer = Stdout(), RunObserver()
    observer.due = float("inf")  # the clock wakes nobody
    transport = Half(stdout)
    parts = RunParts(observer=observer, stdout=stdout, connect=lambda: transport)
    messages = [schema(), record(1), state(1), record(2), state(2)]
    assert RunInThread(parts.run_over(messages)).ending() is None
    assert transport.written_before_the_second == b"1\n"
    assert stdout.getvalue() == b"1\n2\n"


class Away(DryRunTransport):
    """An unavailable service that signals when there was a request."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()

    def send_batch(self, body: bytes, stream: str = "") -> Answer:  # noqa: ARG002
        self.is_asked.set()
        return Answer(503)


def test_a_signal_is_handled_after_an_error() -> None:
    """Records before a bad line are still being delivered, which a signal must be able to end."""
    transport = Away()
    parts = RunParts(connect=lambda: transport, grace_seconds=0)
    running = RunInThread(parts.run_over([schema(), record(1), state(1), "junk"]))
    assert transport.is_asked.wait(20)
    running.signal(15)
    error = running.ending()
    assert error
    assert (error.exit_status, "Line 4 is not JSON" in str(error)) == (65, True)


class Endless:
    """A mapper that returns endless events for one portion of input."""

    def __init__(self) -> None:
        self.is_busy = threading.Event()
        self.is_over = threading.Event()

    def map(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            while not self.is_over.is_set():
                yield event
                self.is_busy.set()


def test_a_signal_is_handled_between_two_events_of_a_chunk() -> None:
    mapper = Endless()
    running = RunInThread(RunParts(mapper=mapper).run_over([state(1)]))
    assert mapper.is_busy.wait(20)
    running.signal(15)
    try:
        error = running.ending()
    finally:
        mapper.is_over.set()
    assert error
    assert error.exit_status == 143


def test_a_signal_ends_the_run_while_nobody_reads_the_states() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", buffering=0) as stdout:
        parts = RunParts(stdout=stdout, grace_seconds=0)
        running = RunInThread(parts.run_over([state("x" * 300_000)]))
        until(lambda: is_full(stdout))
        running.signal(15)
        error = running.ending()
        os.close(read_end)
    assert error
    assert error.exit_status == 143
