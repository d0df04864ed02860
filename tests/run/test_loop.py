"""The target as a process: slow and closed pipes, idle taps, and bounded memory."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests.support.processes import (
    end,
    peak_bytes,
    running,
    stream,
    until,
    write_messages,
)
from tests.support.singer import lines, record, schema, state
from tests.support.target import Target, bodies, delivered

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi


def test_a_record_goes_out_in_time_while_stdin_is_silent(target: Target, api: ImportApi) -> None:
    with running(target, batch_delay_seconds=0.3) as process:
        write_messages(process, schema(), record(1), state(1))
        assert stream(process.stdout).readline() == b"1\n"
        assert delivered(api) == [{"id": 1}]
        write_messages(process, record(2), state(2))
        assert stream(process.stdout).readline() == b"2\n"
        assert end(process)[0] == 0


def test_slow_streams_hold_no_state_back_longer_than_the_delay(target: Target) -> None:
    with running(target, batch_delay_seconds=0.5, batch_size_rows=10) as process:
        write_messages(process, schema("slow"), schema("fast"), record(1, "slow"))
        write_messages(process, *(record(n, "fast") for n in range(10)), state(1))
        assert stream(process.stdout).readline() == b"1\n"


def test_a_closed_stdout_ends_the_run_with_74(target: Target) -> None:
    with running(target, batch_size_rows=1) as process:
        stream(process.stdout).close()
        process.stdout = None
        write_messages(process, schema(), record(1), state(1))
        _, log = process.communicate(timeout=15)
    assert process.returncode == 74
    assert b"Stdout cannot be written" in log
    assert b"Traceback" not in log


def test_a_slow_reader_of_states_holds_up_no_records(target: Target, api: ImportApi) -> None:
    """While stdout is full, records are delivered; in the end, the newest state is written."""
    large = "x" * 100_000
    with running(target, batch_size_rows=1) as process:
        write_messages(process, schema())
        for number in range(20):
            write_messages(process, record(number), state([number, large]))
        until(lambda: len(delivered(api)) == 20)
        code, states, _ = end(process)
    assert code == 0
    numbers = [json.loads(each)[0] for each in states]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 19


def test_memory_is_bounded_while_the_service_is_slow(target: Target, api: ImportApi) -> None:
    """80 MB of input against 5 MB of buffer: reading stops until there is room."""
    api.set_faults([{"kind": "latency", "seconds": 0.02, "times": "always"}])
    rows = [record(number, name="x" * 1_000) for number in range(4_000)]
    text = lines([schema()]) + lines(rows) * 20 + lines([state(1)])
    settings = {
        "max_buffer_bytes": 5_000_000,
        "batch_size_bytes": 500_000,
        "batch_delay_seconds": 0.2,  # so that the state comes before the end
    }
    with running(target, **settings) as process:
        stream(process.stdin).write(text)
        stream(process.stdin).flush()
        assert stream(process.stdout).readline() == b"1\n"
        peak = peak_bytes(process)
        assert end(process)[0] == 0
    assert peak < 90_000_000
    api.set_faults([])


def test_no_stdout_is_an_output_error(target: Target) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *target.command()],
        input=b"",
        stderr=subprocess.PIPE,
        check=False,
        timeout=30,
    )
    assert done.returncode == 74
    assert b"Stdout is closed" in done.stderr


def test_no_stdin_is_a_configuration_error(target: Target) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *target.command()],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 78
    assert b"Stdin is closed" in done.stderr


def test_an_input_that_cannot_be_read_is_an_input_error(target: Target) -> None:
    outcome = target.run(b"", "--input", "/proc/self/mem")
    assert outcome.status == 65
    assert "The input cannot be read: Input/output error." in outcome.log


def test_a_file_can_be_the_input(target: Target, api: ImportApi) -> None:
    path = target.folder / "input.singer"
    path.write_bytes(lines([schema(), record(1), state(1)]))
    outcome = target.run(b"", "--input", str(path))
    assert (outcome.status, outcome.states) == (0, ["1"])
    with path.open("rb") as file:
        done = subprocess.run(target.command(), stdin=file, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"1\n")
    assert len(bodies(api)) == 2
