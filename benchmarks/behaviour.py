"""Measures what is not throughput: start to exit, slow requests, peak memory, delays, flushing.

It also runs `columns.py`, which compares the forms of input.
"""

from __future__ import annotations

import array
import fcntl
import json
import math
import statistics
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import measure
import peers
from measure import GateProcess
from throughput import markdown
from workloads import WORKLOADS, input_file, lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from measure import Sample
    from peers import Peer

BODY_BYTES: Final = 4_000_000  # a body's size when bodies are filled to the usual limit
SLOW_REQUEST_SECONDS: Final = 0.5
DELAY_SECONDS: Final = 2.0
TRICKLE_PER_SECOND: Final = 10
TRICKLE_RECORDS: Final = 80
FLUSHED_PER_SECOND: Final = 6_000
FLUSHED_RECORDS: Final = 120_000
# One request on loopback, and the granularity of timers.
DELAY_ALLOWANCE_SECONDS: Final = 0.25


def start_to_exit(chosen: list[Peer], *, repeat: int) -> str:
    """Time whole runs with a single record, alternating between programs; return a table."""
    path = input_file(WORKLOADS["wide"], 1)
    samples: dict[str, list[Sample]] = {peer.name: [] for peer in chosen}
    with GateProcess(count=True) as gate:
        for _ in range(repeat * 3):
            for peer in chosen:
                samples[peer.name].append(measure.run(peer, path, gate))
    base = samples.get(peers.TARGET_STITCH_PEER.name)
    if base and _trouble(base, 1):
        base = None
    rows = []
    for name, runs in samples.items():
        trouble = _trouble(runs, 1)
        if trouble:
            rows.append([name, trouble, "", "", "", ""])
            continue
        walls = [run.wall_seconds for run in runs]
        cpu = statistics.median(run.cpu_seconds for run in runs)
        row = [
            name,
            f"{statistics.median(walls):.3f}",
            f"{min(walls):.3f} to {max(walls):.3f}",
            f"{cpu:.3f}",
        ]
        ratios = ["", ""]
        if base:
            base_wall = statistics.median(run.wall_seconds for run in base)
            base_cpu = statistics.median(run.cpu_seconds for run in base)
            ratios = [f"{statistics.median(walls) / base_wall:.2f}", f"{cpu / base_cpu:.2f}"]
        rows.append([*row, *ratios])
    return markdown(
        ["target", "seconds", "fastest to slowest", "CPU s", "x target-stitch", "by CPU"], rows
    )


def slow_requests(chosen: list[Peer], *, repeat: int, size: float) -> str:
    """Time a run in which every response takes half a second, against the ideal.

    Ideal: all bytes in full bodies, four at a time, and the start-to-exit time of one record.
    """
    records = int(145_000 * size)
    path, lone_path = input_file(WORKLOADS["wide"], records), input_file(WORKLOADS["wide"], 1)
    slow: dict[str, list[Sample]] = {peer.name: [] for peer in chosen}
    lone: dict[str, list[Sample]] = {peer.name: [] for peer in chosen}
    with (
        GateProcess(latency_seconds=SLOW_REQUEST_SECONDS, count=True) as slow_gate,
        GateProcess() as quick_gate,
    ):
        for _ in range(repeat):
            for peer in chosen:
                slow[peer.name].append(measure.run(peer, path, slow_gate))
                lone[peer.name].append(measure.run(peer, lone_path, quick_gate))
    rows = []
    for name, runs in slow.items():
        trouble = _trouble(runs, records)
        if trouble:
            rows.append([name, trouble, "", "", "", "", ""])
            continue
        rounds = math.ceil(math.ceil(runs[0].body_bytes / BODY_BYTES) / peers.IN_FLIGHT)
        start = statistics.median(run.wall_seconds for run in lone[name])
        ideal = rounds * SLOW_REQUEST_SECONDS + start
        wall = statistics.median(run.wall_seconds for run in runs)
        rows.append(
            [
                name,
                f"{wall:.2f}",
                f"{ideal:.2f}",
                f"{wall / ideal:.2f}",
                str(runs[0].requests),
                str(max(run.max_in_flight for run in runs)),
                f"{max(run.peak_rss_mb for run in runs):.0f}",
            ]
        )
    return markdown(
        ["target", "seconds", "ideal", "x ideal", "requests", "most in flight", "peak MB"], rows
    )


def peak_memory(chosen: list[Peer], *, size: float) -> str:
    """Compare the peak memory of an input with that of one ten times as long.

    Once with an instant service, once with a slow one (buffers fill), once with many streams.
    """
    rows = []
    for label, name, latency_seconds in (
        ("wide", "wide", 0.0),
        ("wide, 0.5 s a request", "wide", SLOW_REQUEST_SECONDS),
        ("many streams", "many", 0.0),
    ):
        workload = WORKLOADS[name]
        with GateProcess(latency_seconds=latency_seconds, count=True) as gate:
            for peer in chosen:
                share = peer.share_of_many if workload.streams > 1 else peer.share
                large = int(240_000 * max(share, 1 / 4) * size)
                runs = [
                    measure.run(peer, input_file(workload, records), gate)
                    for records in (large // 10, large)
                ]
                trouble = _trouble(runs[:1], large // 10) or _trouble(runs[1:], large)
                rows.append(
                    [label, peer.name, f"{large:,}", trouble, "", ""]
                    if trouble
                    else [
                        label,
                        peer.name,
                        f"{large:,}",
                        *(f"{run.peak_rss_mb:.0f}" for run in runs),
                        f"{runs[1].peak_rss_bytes / runs[0].peak_rss_bytes:.2f}",
                    ]
                )
    return markdown(["workload", "target", "records", "a tenth: MB", "all: MB", "growth"], rows)


def trickle_delay(chosen: list[Peer]) -> str:
    """Measure how long a record waits if few arrive, and then none while stdin stays open."""
    rows = []
    for peer in chosen:
        with GateProcess(count=True, keep=True) as gate:
            config = peer.config(gate.url)
            if peer.delay_setting is not None:
                config[peer.delay_setting] = DELAY_SECONDS
            arguments = tuple(
                word for option in peer.delay_arguments for word in (option, str(DELAY_SECONDS))
            )
            sample = measure.run_configured(peer, config, arguments, _trickle, gate)
            delays = _delays(gate.bodies())
        if trouble := _trouble([sample], TRICKLE_RECORDS):
            rows.append([peer.name, trouble, "", "", ""])
            continue
        kept = max(delays) <= DELAY_SECONDS + DELAY_ALLOWANCE_SECONDS
        rows.append(
            [
                peer.name,
                f"{max(delays):.2f}",
                f"{statistics.median(delays):.2f}",
                str(sample.requests),
                "yes" if kept else "no",
            ]
        )
    head = ["target", "longest s", "median s", "requests", f"within {DELAY_SECONDS:g} s"]
    return markdown(head, rows)


def flushed(chosen: list[Peer], *, repeat: int, size: float) -> str:
    """Compare the CPU seconds for a tap that flushes each line with those for the same file.

    The time of a run with one record is subtracted from both.
    """
    records = int(FLUSHED_RECORDS * size)
    path, lone_path = (input_file(WORKLOADS["wide"], count) for count in (records, 1))
    rows = []
    for peer in chosen:
        ratios, shares, trouble = [], [], ""
        with GateProcess(count=True) as gate:
            for _ in range(repeat):
                lone = measure.run(peer, lone_path, gate)
                runs = [measure.run(peer, source, gate) for source in (path, _flushing(path))]
                trouble = trouble or _trouble(runs, records)
                file, pipe = (run.cpu_seconds - lone.cpu_seconds for run in runs)
                ratios.append(pipe / file)
                shares.append((file, pipe))
        file, pipe = (statistics.median(each) for each in zip(*shares, strict=True))
        row = [f"{each / records * 1e6:.1f}" for each in (file, pipe)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        rows.append([peer.name, trouble, "", ""] if trouble else [peer.name, *row, ratio])
    return markdown(["target", "file: CPU µs/record", "flushed", "times the file's"], rows)


def _flushing(path: Path) -> Callable[[BinaryIO], None]:
    """Return a function that writes a file's lines singly, `FLUSHED_PER_SECOND` of them."""

    def write(stdin: BinaryIO) -> None:
        started = time.monotonic()
        with path.open("rb") as file:
            for number, line in enumerate(file):
                while number > (time.monotonic() - started) * FLUSHED_PER_SECOND:
                    time.sleep(1e-4)
                stdin.write(line)
                stdin.flush()

    return write


def columns(*, repeat: int, size: float) -> str:
    """Send the same rows as lines and as files of a BATCH with `columns.py`; return its table."""
    script = str(peers.HERE / "columns.py")
    command = [sys.executable, script, f"--rows={int(1_000_000 * size)}", f"--repeat={repeat}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return str(done.stdout).strip()


def _trickle(stdin: BinaryIO) -> None:
    """Write a record every tenth of a second, then nothing for longer than the allowed delay.

    The first one waits until the program reads, because startup is measured elsewhere.
    """
    schema, *_ = lines(WORKLOADS["narrow"], 1)
    stdin.write(schema.encode() + b"\n")
    stdin.flush()
    _wait_until_read(stdin)
    for number in range(TRICKLE_RECORDS):
        record = {
            "id": number,
            "updated_at": "2024-01-01T00:00:00Z",
            "text_0": f"{time.monotonic():.6f}",
        }
        message = {"type": "RECORD", "stream": "narrow", "record": record}
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()
        time.sleep(1 / TRICKLE_PER_SECOND)
    time.sleep(DELAY_SECONDS + 3.0)


def _wait_until_read(pipe: BinaryIO) -> None:
    """Wait until the pipe is empty."""
    unread = array.array("i", [1])
    while unread[0]:
        time.sleep(0.01)
        fcntl.ioctl(pipe, termios.FIONREAD, unread)


def _delays(bodies: list[dict[str, Any]]) -> list[float]:
    """Return for each delivered record the seconds between writing it and its body's arrival."""
    return [
        body["arrived_at"] - float(message["data"]["text_0"])
        for body in bodies
        for message in json.loads(body["body"])["messages"]
    ]


def _trouble(runs: list[Sample], records: int) -> str:
    for run in runs:
        if trouble := run.trouble(records):
            return f"INVALID: {trouble}"
    return ""
