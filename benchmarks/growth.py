"""Measures how cost grows with records, streams, columns, record sizes and requests in flight.

    python benchmarks/growth.py                        every dimension, up to four minutes each
    python benchmarks/growth.py --quick streams        rough figures for one
    python benchmarks/growth.py --plot                 draw the last measurements again

Writes `out/growth-DIMENSION.json` with every sample, and `docs/img/growth-DIMENSION.svg`. Whole
processes, start and end included; for cost per record, the time of a run with a single record
is subtracted. Each point is the fastest of its repetitions: only growth matters here, and other
programs can only slow a run down.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import measure
import peers
from measure import GateProcess
from plot import Line, Panel, figure
from throughput import markdown
from workloads import WORKLOADS, Workload, input_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from measure import Sample
    from peers import Peer

OUT: Final = peers.HERE / "out"
IMAGES: Final = peers.ROOT / "docs" / "img"
TARGETS: Final = (peers.OURS, peers.TARGET_STITCH_PEER)
LATENCY_SECONDS: Final = 0.1
ROWS_IN_FLIGHT: Final = 500
PAYLOAD_BYTES: Final = 120_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """One place on the x axis: the input, and the configuration that belongs to it.

    `settings` are for our target; `arguments`, and `turbo` as its `turbo_boost_factor`, are for
    target-stitch, which names the same things differently.
    """

    x: int
    workload: Workload
    records: int
    settings: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    turbo: int = peers.IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Dimension:
    """One figure: what is varied, and how its axis is labelled."""

    name: str
    title: str
    x_label: str
    points: Callable[[bool], list[Point]]
    latency_seconds: float = 0.0


def _records(quick: bool) -> list[Point]:  # noqa: FBT001 - the only argument
    sizes = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    return [Point(size, WORKLOADS["narrow"], size) for size in sizes[: 3 if quick else 5]]


def _streams(quick: bool) -> list[Point]:  # noqa: FBT001
    records = 20_000 if quick else 60_000
    return [
        Point(
            streams,
            Workload("streams", "", 12, 100, streams=streams, states_every=10_000),
            records,
        )
        for streams in (1, 10, 100, 500, 2_000)
    ]


def _columns(quick: bool) -> list[Point]:  # noqa: FBT001
    return [
        Point(columns, Workload("columns", "", columns, 8 * columns), records)
        for columns in (2, 10, 50, 200, 500)
        for records in [_fit(40 * columns, quick=quick)]
    ]


def _sizes(quick: bool) -> list[Point]:  # noqa: FBT001
    # Three columns, one of them text, have about a hundred bytes besides the text.
    return [
        Point(size, Workload("sizes", "", 3, max(10, size - 90)), _fit(size, quick=quick))
        for size in (100, 1_000, 10_000, 100_000, 1_000_000)
    ]


def _in_flight(quick: bool) -> list[Point]:  # noqa: FBT001
    records = ROWS_IN_FLIGHT * (32 if quick else 96)
    return [
        Point(
            requests,
            WORKLOADS["wide"],
            records,
            {"max_in_flight_requests": requests, "batch_size_rows": ROWS_IN_FLIGHT},
            ("--max-batch-records", str(ROWS_IN_FLIGHT)),
            turbo=requests,
        )
        for requests in (1, 2, 4, 8, 16)
    ]


def _fit(record_bytes: int, *, quick: bool) -> int:
    """Return how many records of a size make up `PAYLOAD_BYTES`, or a quarter of it if quick."""
    return max(20, min(200_000, PAYLOAD_BYTES // (4 if quick else 1) // record_bytes))


DIMENSIONS: Final = {
    dimension.name: dimension
    for dimension in (
        Dimension("records", "Narrow records", "records", _records),
        Dimension("streams", "Records of 12 columns in interleaved streams", "streams", _streams),
        Dimension("columns", "Columns of a record", "columns", _columns),
        Dimension("sizes", "Bytes of a record", "bytes per record", _sizes),
        Dimension(
            "in-flight",
            f"Requests in flight, each answered after {LATENCY_SECONDS:g} s",
            "requests in flight",
            _in_flight,
            LATENCY_SECONDS,
        ),
    )
}


def main() -> None:
    """Measure the chosen dimensions, and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dimensions", nargs="*", metavar="DIMENSION", help=", ".join(DIMENSIONS))
    parser.add_argument("--quick", action="store_true", help="fewer records, once: rough figures")
    parser.add_argument("--repeat", type=int, default=0, help="default 3; quick 1")
    parser.add_argument("--plot", action="store_true", help="draw earlier measurements")
    arguments = parser.parse_args()
    if unknown := set(arguments.dimensions) - DIMENSIONS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(DIMENSIONS)}")
    OUT.mkdir(parents=True, exist_ok=True)
    for name in arguments.dimensions or DIMENSIONS:
        path = OUT / f"growth-{name}.json"
        if not arguments.plot:
            repeat = arguments.repeat or (1 if arguments.quick else 3)
            measured = _measure(DIMENSIONS[name], quick=arguments.quick, repeat=repeat)
            path.write_text(json.dumps(measured, indent=1))
        elif not path.exists():
            sys.exit(f"{path} is missing: measure {name} first")
        _show(DIMENSIONS[name], json.loads(path.read_text()))


def _measure(dimension: Dimension, *, quick: bool, repeat: int) -> list[dict[str, Any]]:
    """Return one row for each point and program, the programs in turn."""
    rows: list[dict[str, Any]] = []
    for peer in TARGETS:
        peers.install(peer)
    with GateProcess(latency_seconds=dimension.latency_seconds, count=True) as gate:
        for point in dimension.points(quick):
            # One stream, so that the cost of further streams is not subtracted with the start.
            lone = Point(1, replace(point.workload, streams=1), 1)
            samples: dict[str, list[tuple[Sample, Sample]]] = {peer.name: [] for peer in TARGETS}
            for _ in range(repeat):
                for peer in TARGETS:
                    samples[peer.name].append((_run(peer, lone, gate), _run(peer, point, gate)))
            rows += [_row(name, point, pairs) for name, pairs in samples.items()]
            print(f"  {dimension.name}: {point.x:,}", flush=True)
    return rows


def _run(peer: Peer, point: Point, gate: GateProcess) -> Sample:
    config = peer.config(gate.url)
    if peer is peers.TARGET_STITCH_PEER:
        config["turbo_boost_factor"] = point.turbo
        arguments = point.arguments
    else:
        config |= point.settings
        arguments = ()
    return measure.run_configured(
        peer, config, arguments, input_file(point.workload, point.records), gate
    )


def _row(name: str, point: Point, pairs: list[tuple[Sample, Sample]]) -> dict[str, Any]:
    trouble = next(filter(None, (sample.trouble(point.records) for _, sample in pairs)), "")
    wall = min(sample.wall_seconds for _, sample in pairs)
    start = min(sample.wall_seconds for sample, _ in pairs)
    cpu = min(sample.cpu_seconds for _, sample in pairs)
    start_cpu = min(sample.cpu_seconds for sample, _ in pairs)
    return {
        "target": name,
        "x": point.x,
        "records": point.records,
        "trouble": trouble,
        "wall_us": max(0.0, wall - start) / point.records * 1e6,
        "cpu_us": max(0.0, cpu - start_cpu) / point.records * 1e6,
        "wall_seconds": wall,
        "peak_mb": max(sample.peak_rss_mb for _, sample in pairs),
        "requests": pairs[0][1].requests,
        "samples": [[_plain(lone), _plain(sample)] for lone, sample in pairs],
    }


def _plain(sample: Sample) -> dict[str, Any]:
    """Return everything but the last state, which is long if there are many streams."""
    return {name: value for name, value in asdict(sample).items() if name != "last_line"}


def _show(dimension: Dimension, rows: list[dict[str, Any]]) -> None:
    good = [row for row in rows if not row["trouble"]]
    head = ["target", dimension.x_label, "records", "wall µs", "CPU µs", "peak MB", "requests"]
    table = [
        [
            row["target"],
            f"{row['x']:,}",
            f"{row['records']:,}",
            row["trouble"] or f"{row['wall_us']:.1f}",
            f"{row['cpu_us']:.1f}",
            f"{row['peak_mb']:.0f}",
            str(row["requests"]),
        ]
        for row in rows
    ]
    print(f"\n## {dimension.title}\n\n{markdown(head, table)}")
    if not good:
        sys.exit(f"nothing to draw for {dimension.name}")
    if dimension.latency_seconds:
        panels = [
            Panel(
                "seconds for all records", [*_lines(good, "wall_seconds"), _ideal(dimension, good)]
            )
        ]
    else:
        panels = [
            Panel("wall time, µs per record", _lines(good, "wall_us")),
            Panel("CPU time, µs per record", _lines(good, "cpu_us")),
        ]
    panels.append(Panel("peak memory, MB", _lines(good, "peak_mb"), is_logarithmic=False))
    IMAGES.mkdir(parents=True, exist_ok=True)
    path = IMAGES / f"growth-{dimension.name}.svg"
    path.write_text(figure(dimension.title, dimension.x_label, panels), encoding="utf-8")
    print(f"\n{path.relative_to(peers.ROOT)}", flush=True)


def _lines(rows: list[dict[str, Any]], key: str) -> list[Line]:
    return [
        # A run that took no longer than its start has no cost, and no logarithm.
        Line(name, [(row["x"], row[key]) for row in rows if row["target"] == name and row[key] > 0])
        for name in dict.fromkeys(row["target"] for row in rows)
    ]


def _ideal(dimension: Dimension, rows: list[dict[str, Any]]) -> Line:
    """Return the time that our target's requests need if nothing but their latency takes time."""
    return Line(
        "ideal: nothing but the latencies",
        [
            (row["x"], math.ceil(row["requests"] / row["x"]) * dimension.latency_seconds)
            for row in rows
            if row["target"] == peers.OURS.name
        ],
    )


if __name__ == "__main__":
    main()
