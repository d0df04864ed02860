"""A machine without memory or threads: the error is reported, and no state is early."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.errors import ResourceError, internal_error
from tests.support.assembled_run import RunParts
from tests.support.singer import lines, record, schema, state
from tests.support.target import Target, delivered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.local import ImportApi

WORDS = "The process is out of memory or threads."
RECORDS = 20_000


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Let each thread request more memory than there is."""
    before = threading.stack_size(2**46)
    try:
        yield
    finally:
        threading.stack_size(before)


@pytest.mark.parametrize("megabytes", [60, 80, 100, 120])
def test_running_out_of_memory_ends_the_run_without_early_states(
    target: Target, api: ImportApi, megabytes: int
) -> None:
    """How far the run gets depends on the machine."""
    api.set_faults([{"kind": "latency", "seconds": 0.02, "times": "always"}])
    messages = [schema()]
    for number in range(RECORDS):
        messages.append(record(number, name="x" * 1_000))
        if number % 500 == 499:
            messages.append(state(number))
    target.max_memory_bytes = megabytes * 1_000_000
    outcome = target.run(lines(messages), batch_size_bytes=1_000_000)
    arrived = {each["id"] for each in delivered(api)}
    api.set_faults([])
    assert outcome.status in {0, 71}
    assert (WORDS in outcome.log) == (outcome.status == 71)
    covered = int(outcome.states[-1]) + 1 if outcome.states else 0
    assert arrived >= set(range(covered))
    assert outcome.status or covered == RECORDS


def test_a_record_larger_than_memory_ends_the_run(target: Target) -> None:
    target.max_memory_bytes = 100_000_000
    messages = [schema(), state(0), record(1, name="x" * 60_000_000), state(1)]
    outcome = target.run(messages)
    assert (outcome.status, WORDS in outcome.log) == (71, True)
    assert outcome.states in ([], ["0"])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        RuntimeError("can't allocate read lock"),
        RuntimeError("can't allocate lock"),
    ],
    ids=str,
)
def test_errors_of_python_without_memory_are_recognised(error: Exception) -> None:
    assert internal_error(error).exit_status == ResourceError.exit_status


def test_fewer_threads_than_configured_deliver_everything() -> None:
    stdout = io.BytesIO()
    run = RunParts(stdout=stdout).run_over([schema(), record(1), state(1)])
    run.sender._start_thread()
    with no_more_threads():
        run.run()
    assert stdout.getvalue() == b"1\n"


def test_no_thread_at_all_ends_the_run() -> None:
    """At once: no request is in flight that the run could wait for."""
    stdout = io.BytesIO()
    parts = RunParts(stdout=stdout, grace_seconds=3600)
    run = parts.run_over([state(0), schema(), record(1), state(1)])
    with no_more_threads(), pytest.raises(ResourceError, match="out of memory or threads"):
        run.run()
    assert stdout.getvalue() == b"0\n"
