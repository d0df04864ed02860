"""The summary at the end of a run: for people, and as JSON."""

from __future__ import annotations

import json
import logging
import threading
from datetime import datetime
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.batching.lanes import Counts
from target_stitch_import.batching.payload import BodyPrefix
from target_stitch_import.batching.set_aside import SetAside
from target_stitch_import.delivery.answer import Failure
from target_stitch_import.report.live import Progress
from target_stitch_import.report.metrics import Metrics
from target_stitch_import.report.observer import Ending, RunObserver
from target_stitch_import.report.stats import (
    MAX_REASONS,
    OTHER_REASONS,
    History,
    Latencies,
    LoopSnapshot,
    Sample,
    Traffic,
)
from target_stitch_import.report.summary import Series, Summary, write_summary
from tests.support.held_service import held_service
from tests.support.processes import end, is_full, running, until, write_messages
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from target_stitch_import.local import ImportApi
    from target_stitch_import.report.terminal import Line
    from tests.support.target import Target

MESSAGES = [
    schema(),
    schema("orders", ()),
    *map(record, range(100)),
    *(record(number, "orders") for number in range(10)),
    state({"n": 1}),
]


def run(target: Target, **settings: Any) -> tuple[dict[str, Any], str]:
    """Run, and return the summary and the log."""
    path = target.folder / "summary.json"
    outcome = target.run(MESSAGES, summary_path=str(path), **settings)
    return json.loads(path.read_text()), outcome.log


def test_the_summary_describes_a_run(target: Target, api: ImportApi) -> None:
    faults = [{"kind": "latency", "seconds": 0.3}, {"kind": "status", "status": 503}]
    api.set_faults([*faults, {"kind": "reset_after"}])
    summary, log = run(target, batch_size_rows=50, max_in_flight_requests=1)
    assert (summary["program"], summary["version"]) == (
        "target-stitch-import",
        version("target-stitch-import"),
    )
    assert (summary["exit_status"], summary["error"], summary["last_state"]) == (0, None, {"n": 1})
    started, ended = (
        datetime.strptime(summary[name], "%Y-%m-%dT%H:%M:%S.%f%z")
        for name in ("started_at", "ended_at")
    )
    assert abs((ended - started).total_seconds() - summary["seconds"]) < 0.01
    assert (summary["read"], summary["acknowledged"], summary["set_aside"], summary["batches"]) == (
        (110, 110, 0, 3)
    )
    assert (summary["requests"], summary["retries"], summary["possible_duplicates"]) == (5, 2, 1)
    assert summary["bytes"] == sum(len(each["body"]) for each in api.requests()[1:])
    assert summary["bytes_sent"] > summary["bytes"]
    assert summary["seconds_without_room"] == 0
    assert summary["messages_per_second"] == pytest.approx(110 / summary["seconds"], rel=0.01)
    latency = summary["latency_seconds"]
    assert latency["count"] == 5
    assert latency["median"] <= latency["p95"] <= latency["p99"] <= latency["slowest"]
    assert latency["slowest"] >= 0.3
    people, orders = summary["streams"]["people"], summary["streams"]["orders"]
    assert (people["batches"], people["retries"], people["possible_duplicates"]) == (2, 2, 1)
    assert (orders["batches"], orders["retries"], orders["possible_duplicates"]) == (1, 0, 0)
    assert people["last_sequence"] - people["first_sequence"] >= 99
    for words in (
        "Stream `people`: 100 read, 100 acknowledged, 0 set aside; ",
        "110 records acknowledged in ",
        "5 requests, 2 of them retried; half were answered within ",
        "1 request with an unclear outcome: ",
    ):
        assert words in log


def test_the_series_end_with_the_totals(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "status", "status": 503}, {"kind": "latency", "seconds": 0.5}])
    summary, _ = run(target, batch_size_rows=50)
    series = summary["series"]
    assert {len(column) for column in series.values()} == {len(series["seconds"])}
    assert 4 <= len(series["seconds"]) < 400
    assert series["seconds"] == sorted(series["seconds"])
    assert series["seconds"][-1] == summary["seconds"]
    assert (series["acknowledged"][-1], series["bytes"][-1]) == (110, summary["bytes"])
    assert (series["retries"][-1], series["in_flight"][-1], series["held_bytes"][-1]) == (1, 0, 0)
    assert max(series["in_flight"]) >= 1
    assert summary["throttle_changes"] >= 1
    assert max(series["held_bytes"]) > 0


def test_waiting_for_room_is_counted(target: Target) -> None:
    """With more input than the buffer can hold, the run waits for the slow service."""
    path = target.folder / "summary.json"
    rows = [record(number, name="x" * 1_000) for number in range(3_000)]
    small = {"max_buffer_bytes": 1_000_000, "batch_size_bytes": 500_000}
    with (
        held_service() as service,
        running(target, api_url=service.url, summary_path=str(path), **small) as process,
    ):
        feeder = threading.Thread(target=write_messages, args=[process, schema(), *rows])
        feeder.start()
        until(lambda: is_full(process.stdin))
        service.release()
        feeder.join()
        assert end(process)[0] == 0
    assert json.loads(path.read_text())["seconds_without_room"] > 0


def test_the_summary_of_a_failed_run_has_its_error(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "status", "status": 401}])
    summary, _ = run(target)
    assert summary["exit_status"] == 77
    assert "token" in summary["error"]
    assert summary["last_state"] is None


def test_samples_lines_and_counts_have_own_intervals(caplog: pytest.LogCaptureFixture) -> None:
    """Samples, the live line and the counts each have their own interval."""
    shown: list[Line] = []
    now, times = 100.0, []
    metrics = Metrics(now)
    observer = RunObserver(Progress(shown.append, 2.0, 2.0), metrics, clock=lambda: now)
    metrics.delivered("people", 5)
    with caplog.at_level(logging.INFO):
        while now < 161:
            observer.tick(now, LoopSnapshot(lines_read=1, last_state=b"1" if now > 103 else None))
            assert observer.due > now
            now = observer.due
            times.append(round(now - 100, 6))
    assert times[:3] == [0.1, 0.2, 0.3]
    assert len(times) < 650
    assert [str(line).partition(" | ")[0] for line in shown[:4]] == [
        "no state yet",
        "state 0:00 ago",
        "state 0:02 ago",
        "state 0:04 ago",
    ]
    assert len(shown) == 30
    assert sum('"record_count","value":5' in text for text in caplog.messages) == 1


def summary_of(streams: dict[str, Counts]) -> Summary:
    return RunObserver().summary(streams, Ending())


def refusal(
    line: int, stream: str = "people", reason: str = "wrong", record: bytes | None = b"{}"
) -> SetAside:
    prefix = BodyPrefix.of(stream, b"{}", ())
    return SetAside(stream, None, line, line, 0, reason, record, prefix)


def test_the_first_record_set_aside_of_each_stream_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    observer = RunObserver(dead_letter_path="dead.jsonl")
    observer.set_aside([refusal(7), refusal(8), refusal(9, "orders", "worse")])
    observer.set_aside([refusal(10, reason="worse")])
    assert caplog.messages == [
        f"Line {line}: a record of stream `{stream}` is set aside: {reason}. It is in dead.jsonl; "
        "later ones of the stream are counted at the end of the run."
        for line, stream, reason in ((7, "people", "wrong"), (9, "orders", "worse"))
    ]
    summary = observer.summary({"people": Counts(9, 6, 3), "orders": Counts(1, 0, 1)}, Ending())
    assert summary.streams["people"].set_aside_reasons == {"wrong": 2, "worse": 1}
    assert summary.streams["orders"].set_aside_reasons == {"worse": 1}
    assert summary.set_aside == 4


def test_an_activation_that_is_set_aside_is_not_reported_as_a_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It comes first, if an earlier run set aside the records."""
    RunObserver(dead_letter_path="dead.jsonl").set_aside([refusal(7, record=None)])
    assert caplog.messages[0].startswith("Line 7: an activation of stream `people` is set aside: ")


def test_reasons_take_bounded_room() -> None:
    observer = RunObserver()
    observer.set_aside([refusal(line, reason=f"reason {line}") for line in range(1_000)])
    observer.set_aside([refusal(1, reason="reason 1")])
    reasons = observer.summary({"people": Counts()}, Ending()).streams["people"].set_aside_reasons
    assert (len(reasons), reasons[OTHER_REASONS]) == (MAX_REASONS + 1, 1_000 - MAX_REASONS)
    assert reasons["reason 1"] == 2


def test_repaired_values_are_counted_and_logged_once_per_field(
    caplog: pytest.LogCaptureFixture,
) -> None:
    observer = RunObserver()
    for field, repair, count in (("a", "strip_nul", 2), ("a", "strip_nul", 3), ("b", "x", 1)):
        observer.repaired("people", field, repair, count)
    assert caplog.messages == [
        f"Stream `people`: field `{field}`: values are repaired by `{repair}`, and counted at the "
        "end of the run."
        for field, repair in (("a", "strip_nul"), ("b", "x"))
    ]
    summary = observer.summary({"people": Counts(9, 9)}, Ending())
    assert summary.streams["people"].repaired == {"a": {"strip_nul": 5}, "b": {"x": 1}}
    assert summary.repaired == 6


def test_activations_are_not_counted_as_records(target: Target, api: ImportApi) -> None:
    messages = [
        schema(),
        *(record(number, message={"version": 7}) for number in range(3)),
        {"type": "ACTIVATE_VERSION", "stream": "people", "version": 7},
    ]
    path = target.folder / "summary.json"
    log = target.run(messages, summary_path=str(path)).log
    summary = json.loads(path.read_text())
    both = {"read": 1, "acknowledged": 1, "set_aside": 0}
    assert (summary["activations"], summary["streams"]["people"]["activations"]) == (both, both)
    assert summary["read"] == summary["acknowledged"] == 4
    assert "Stream `people`: 3 read, 3 acknowledged, 0 set aside; 1 version to activate; " in log
    assert "3 records acknowledged and 1 version activated in " in log
    assert (summary["series"]["activations"][-1], len(api.requests())) == (1, 2)


def test_an_outage_is_counted(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "down", "times": 3}])
    summary, log = run(target)
    away = summary["unavailable_seconds"]
    assert 0 < away < summary["seconds"]
    assert summary["series"]["unavailable_seconds"][-1] == away
    assert ("Import API unavailable for" in log) is (away >= 1)


def untroubled(run: Traffic) -> None:
    del run


def refused(run: Traffic) -> None:
    run.availability.failed(100.0, None, Failure.REFUSED, "refused (127.0.0.1:9)")


def answered_before(run: Traffic) -> None:
    run.availability.answered(99.0)
    refused(run)


def busy_before(run: Traffic) -> None:
    run.availability.failed(99.0, 503)
    refused(run)


def broken_off(run: Traffic) -> None:
    run.availability.failed(100.0, None, Failure.LOST, "the connection was lost")


@pytest.mark.parametrize(
    ("happens", "warned_at"),
    [
        (untroubled, []),
        (refused, [100.0, 160.0, 220.0]),
        (answered_before, []),
        (busy_before, []),
        (broken_off, []),
    ],
)
def test_a_service_that_was_never_reached_is_reported_each_minute(
    happens: Callable[[Traffic], None], warned_at: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """With what to check, and the time of the last retry; until there is a response."""
    now, traffic, reported_at = 100.0, Traffic(), []
    clocks: dict[str, Any] = {"clock": lambda: now, "wall_clock": lambda: 1_700_000_000.0 + now}
    observer = RunObserver(max_retry_seconds=150.0, **clocks)
    happens(traffic)
    until = datetime.fromtimestamp(1_700_000_000.0 + 250).astimezone()
    warning = (
        "No request has reached the Import API yet: refused (127.0.0.1:9). "
        f"{Failure.REFUSED.advice} Retrying until {until:%Y-%m-%d %H:%M:%S}."
    )
    while now < 400:
        caplog.clear()
        observer.tick(now, LoopSnapshot(traffic=traffic))
        reported_at += [now] * len(caplog.messages)
        assert set(caplog.messages) <= {warning}
        assert observer.due > now
        now = observer.due
        if now > 250 and traffic.availability.outage():
            traffic.availability.answered(now)
            refused(traffic)
    assert reported_at == pytest.approx(warned_at)


def test_retrying_forever_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    observer, traffic = RunObserver(max_retry_seconds=1e300), Traffic()
    refused(traffic)
    observer.tick(200.0, LoopSnapshot(traffic=traffic))
    assert " Retrying until 9999-12-" in caplog.text


def test_the_file_is_json_with_the_series_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    summary = summary_of({"people": Counts(3, 2, 1)})
    write_summary(str(path), summary)
    lines = path.read_text().splitlines()
    assert lines[-2].startswith('  "series": {"seconds":[')
    assert json.loads("".join(lines))["streams"]["people"]["set_aside"] == 1
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(
    "seconds",
    [
        [0.1],
        [number / 1_000 for number in range(1, 1_001)],
        [0.01] * 98 + [5.0, 60.0],
        [3_600.0] * 3,
    ],
    ids=["one", "even", "a long tail", "an hour each"],
)
def test_latencies_are_accurate_within_nine_percent(seconds: list[float], share: float) -> None:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    assert exact <= latencies.quantile(share) <= exact * 1.0906
    assert latencies.slowest_seconds == max(seconds)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_latency_of_zero_is_counted(seconds: float) -> None:
    latencies = Latencies()
    assert latencies.quantile(0.5) == 0
    latencies.add(seconds)
    assert (latencies.count, latencies.quantile(0.99)) == (1, 0)


def test_latencies_take_bounded_room() -> None:
    latencies = Latencies()
    for number in range(1, 200_000):
        latencies.add(number / 50)
    assert len(latencies._buckets) < 250


@pytest.mark.parametrize("most", [100, 101])
def test_history_takes_bounded_room_and_keeps_the_ends(most: int) -> None:
    """Three hours of samples: within the limit, evenly spread, and all of them real."""
    history = History(0.1, most)
    now = 0.0
    while now < 10_800:
        now = max(now + 0.1, history.due_seconds)
        history.add(Sample(now, int(now), int(now) * 10))
        assert (history.samples[-1].seconds, len(history.samples) <= most) == (now, True)
    assert len(history.samples) >= 50
    times = [each.seconds for each in history.samples]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0
    assert max(gaps) < 10_800 / 100 * 5
    series = Series.of(history.samples)
    assert series.acknowledged == [int(each) for each in times]
    assert series.bytes == [int(each) * 10 for each in times]


def test_merged_samples_keep_the_later_counts_and_the_peak() -> None:
    history = History(1.0, max_samples=4)
    for now, in_flight, held_bytes in ((1, 1, 10), (2, 3, 20), (3, 2, 30), (4, 1, 40), (5, 4, 20)):
        history.add(Sample(now, now * 2, now * 3, now * 4, in_flight, held_bytes))
    assert history.samples == [
        Sample(1, 2, 3, 4, 1, 10),
        Sample(3, 6, 9, 12, 3, 30),
        Sample(5, 10, 15, 20, 4, 40),
    ]
    assert history.due_seconds == 7
