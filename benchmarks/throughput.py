"""Measures throughput: the marginal cost of one more record once a process runs.

(t_large - t_small) / (n_large - n_small) over whole processes, so that start and end cancel out.
The two sizes of all peers are run in turn, again and again, so that a busy minute of the machine
affects all. A number counts only if every record of both sizes reached the gate.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import measure
import peers
from measure import GateProcess
from workloads import Workload, input_file

if TYPE_CHECKING:
    from pathlib import Path

    from measure import Sample
    from peers import Peer

# The records of the large size for a peer whose `share` is 1; the small size is a sixth of it.
LARGE: Final = {
    "wide": 240_000,
    "varied": 240_000,
    "naive": 120_000,
    "constrained": 240_000,
    "sql": 240_000,
    "postgres": 240_000,
    "documents": 240_000,
    "narrow": 1_200_000,
    "many": 240_000,
    "many-narrow": 1_200_000,
}
SMALL_SHARE: Final = 1 / 6
# A timed run is not counted message by message; its bytes must equal those of a counted run but
# for the envelopes of a few bodies more or less.
BYTES_TOLERANCE: Final = 0.005


@dataclass(slots=True)
class Series:
    """All runs of one peer on one workload."""

    peer: Peer
    workload: Workload
    small_records: int
    large_records: int
    small: list[Sample] = field(default_factory=list)
    large: list[Sample] = field(default_factory=list)
    expected_bytes: dict[int, int] = field(default_factory=dict)
    trouble: str = ""

    @property
    def marginal_seconds(self) -> list[float]:
        """Wall seconds per further record, one for each repetition."""
        return [
            (large.wall_seconds - small.wall_seconds) / (self.large_records - self.small_records)
            for small, large in zip(self.small, self.large, strict=True)
        ]

    @property
    def marginal_cpu_seconds(self) -> list[float]:
        """CPU seconds per further record, one for each repetition."""
        return [
            (large.cpu_seconds - small.cpu_seconds) / (self.large_records - self.small_records)
            for small, large in zip(self.small, self.large, strict=True)
        ]

    @property
    def best_seconds(self) -> float:
        """Wall seconds per further record between the fastest runs of each size."""
        small = min(sample.wall_seconds for sample in self.small)
        large = min(sample.wall_seconds for sample in self.large)
        return (large - small) / (self.large_records - self.small_records)


def measure_workload(
    workload: Workload, chosen: list[Peer], *, repeat: int, size: float
) -> list[Series]:
    """Check that each peer delivers everything, then time them in turn; return all runs."""
    series = [_series(peer, workload, size) for peer in chosen]
    with GateProcess(count=True) as gate:
        for one in series:
            _check(one, gate)
    with GateProcess() as gate:
        for turn in range(repeat):
            for one in series if turn % 2 == 0 else reversed(series):
                if not one.trouble:
                    _time(one, gate)
            print(f"  {workload.name}: repetition {turn + 1} of {repeat}", flush=True)
    return series


def _check(one: Series, gate: GateProcess) -> None:
    """Run both sizes against a counting gate; what it counts is what later runs must send."""
    for records in (one.small_records, one.large_records):
        path = input_file(one.workload, records)
        sample = measure.run(one.peer, path, gate)
        one.expected_bytes[records] = sample.body_bytes
        one.trouble = one.trouble or _undelivered(one.peer, sample, records, path)


def _time(one: Series, gate: GateProcess) -> None:
    """Run both sizes once against a discarding gate."""
    for records, samples in ((one.small_records, one.small), (one.large_records, one.large)):
        sample = measure.run(one.peer, input_file(one.workload, records), gate)
        samples.append(sample)
        expected = one.expected_bytes[records]
        if sample.exit_status:
            one.trouble = f"exit {sample.exit_status}: {sample.complaint}"
        elif abs(sample.body_bytes - expected) > expected * BYTES_TOLERANCE:
            one.trouble = f"{sample.body_bytes} bytes delivered, {expected} when counted"


def _series(peer: Peer, workload: Workload, size: float) -> Series:
    share = peer.share_of_many if workload.streams > 1 else peer.share
    large = int(LARGE[workload.name] * share * size)
    return Series(peer, workload, int(large * SMALL_SHARE), large)


def _undelivered(peer: Peer, sample: Sample, records: int, path: Path) -> str:
    """Return what is missing after a counted run, or an empty text."""
    if trouble := sample.trouble(records):
        return trouble
    if peer.writes_states:
        last_state = json.loads(measure.last_line(path))["value"]
        if not sample.last_line or json.loads(sample.last_line) != last_state:
            return "the last state was not written"
    return ""


def table(series: list[Series]) -> str:
    """Return the measured peers of one workload as a Markdown table."""
    head = [
        "target",
        "records/s",
        "slowest to fastest",
        "MB/s",
        "CPU µs/record",
        "peak MB",
        "x target-stitch",
        "by CPU",
        "of ceiling",
        "by CPU",
    ]
    base = _measured(series, peers.TARGET_STITCH_PEER)
    top = _measured(series, peers.CEILING)
    rows = []
    for one in series:
        if one.trouble:
            rows.append([one.peer.name, f"INVALID: {one.trouble[:160]}", *[""] * (len(head) - 2)])
            continue
        seconds = statistics.median(one.marginal_seconds)
        cpu_seconds = statistics.median(one.marginal_cpu_seconds)
        slowest, fastest = max(one.marginal_seconds), min(one.marginal_seconds)
        record_bytes = input_file(one.workload, one.large_records).stat().st_size
        rows.append(
            [
                one.peer.name,
                f"{1 / seconds:,.0f}",
                f"{1 / slowest:,.0f} to {1 / fastest:,.0f}",
                f"{record_bytes / one.large_records / seconds / 1e6:,.0f}",
                f"{cpu_seconds * 1e6:,.1f}",
                f"{max(sample.peak_rss_mb for sample in one.large):,.0f}",
                *_ratios(base, one, digits=1),
                *_ratios(top, one, digits=2),
            ]
        )
    return markdown(head, rows)


def _measured(series: list[Series], peer: Peer) -> Series | None:
    for one in series:
        if one.peer.name == peer.name and not one.trouble:
            return one
    return None


def _ratios(reference: Series | None, one: Series, *, digits: int) -> tuple[str, str]:
    """Return the ratios by wall and by CPU time.

    They are taken within each repetition, because the machine's speed drifts between them.
    """
    if reference is None:
        return "", ""
    wall = _each(reference.marginal_seconds, one.marginal_seconds)
    cpu = _each(reference.marginal_cpu_seconds, one.marginal_cpu_seconds)
    spread = f" ({min(wall):.{digits}f}-{max(wall):.{digits}f})" if one is not reference else ""
    return (
        f"{statistics.median(wall):.{digits}f}{spread}",
        f"{statistics.median(cpu):.{digits}f}",
    )


def _each(reference: list[float], own: list[float]) -> list[float]:
    return [theirs / ours for theirs, ours in zip(reference, own, strict=True)]


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns line up as plain text too."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    # A long message must not widen the column for all rows.
    widths = [min(width, 24) for width in widths]
    lines = []
    for row in (head, ["-" * width for width in widths], *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
