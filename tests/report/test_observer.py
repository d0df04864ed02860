"""The summary at the end of a run: for people, and as JSON."""

from __future__ import annotations

import json
import logging
import re
import threading
from datetime import datetime
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.batching.lanes import Counts
from target_stitch_import.report.live import Progress
from target_stitch_import.report.metrics import Metrics
from target_stitch_import.report.observer import Ending, Reporter
from target_stitch_import.report.stats import History, Latencies, Traffic, Vitals
from target_stitch_import.report.summary import Series, Summary, log_summary, write_summary
from tests.support.held import held_service
from tests.support.processes import end, is_full, running, say, until
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi
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


def test_the_summary_of_a_run(target: Target, api: ImportApi) -> None:
    faults = [{"kind": "latency", "seconds": 0.3}, {"kind": "status", "status": 503}]
    api.set_faults([*faults, {"kind": "reset_after"}])
    told, log = run(target, batch_size_rows=50, max_in_flight_requests=1)
    assert (told["program"], told["version"]) == (
        "target-stitch-import",
        version("target-stitch-import"),
    )
    assert (told["exit_status"], told["error"], told["last_state"]) == (0, None, {"n": 1})
    started, ended = (
        datetime.strptime(told[name], "%Y-%m-%dT%H:%M:%S.%f%z")
        for name in ("started_at", "ended_at")
    )
    assert abs((ended - started).total_seconds() - told["seconds"]) < 0.01
    assert (told["read"], told["acknowledged"], told["set_aside"], told["batches"]) == (
        (110, 110, 0, 3)
    )
    assert (told["requests"], told["retries"], told["possible_duplicates"]) == (5, 2, 1)
    assert told["bytes"] == sum(len(each["body"]) for each in api.requests()[1:])
    assert told["bytes_sent"] > told["bytes"]
    assert told["seconds_without_room"] == 0
    assert told["messages_per_second"] == pytest.approx(110 / told["seconds"], rel=0.01)
    latency = told["latency_seconds"]
    assert latency["count"] == 5
    assert latency["median"] <= latency["p95"] <= latency["p99"] <= latency["slowest"]
    assert latency["slowest"] >= 0.3
    people, orders = told["streams"]["people"], told["streams"]["orders"]
    assert (people["batches"], people["retries"], people["possible_duplicates"]) == (2, 2, 1)
    assert (orders["batches"], orders["retries"], orders["possible_duplicates"]) == (1, 0, 0)
    assert people["last_sequence"] - people["first_sequence"] >= 99
    for words in (
        "Stream `people`: 100 read, 100 acknowledged, 0 set aside; ",
        "110 messages acknowledged in ",
        "Requests: 5, repeated: 2; half were answered within ",
        "Requests repeated after an unclear answer: 1; ",
    ):
        assert words in log


def test_the_series_lead_from_nothing_to_everything(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "status", "status": 503}, {"kind": "latency", "seconds": 0.5}])
    told, _ = run(target, batch_size_rows=50)
    series = told["series"]
    assert {len(column) for column in series.values()} == {len(series["seconds"])}
    assert 4 <= len(series["seconds"]) < 400
    assert series["seconds"] == sorted(series["seconds"])
    assert series["seconds"][-1] == told["seconds"]
    assert (series["acknowledged"][-1], series["bytes"][-1]) == (110, told["bytes"])
    assert (series["retries"][-1], series["in_flight"][-1], series["held_bytes"][-1]) == (1, 0, 0)
    assert max(series["in_flight"]) >= 1
    assert told["throttle_changes"] >= 1
    assert max(series["held_bytes"]) > 0


def test_waiting_for_room_is_counted(target: Target) -> None:
    """A tap that has more to say than the buffer holds waits for the slow service."""
    path = target.folder / "summary.json"
    rows = [record(number, name="x" * 1_000) for number in range(3_000)]
    small = {"max_buffer_bytes": 1_000_000, "batch_size_bytes": 500_000}
    with (
        held_service() as service,
        running(target, api_url=service.url, summary_path=str(path), **small) as process,
    ):
        feeder = threading.Thread(target=say, args=[process, schema(), *rows])
        feeder.start()
        until(lambda: is_full(process.stdin))
        service.release()
        feeder.join()
        assert end(process)[0] == 0
    assert json.loads(path.read_text())["seconds_without_room"] > 0


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.9, []), (2.4, ["Reading waited 2 s for the Import API, as the "])]
)
def test_waiting_for_room_is_told(
    caplog: pytest.LogCaptureFixture, seconds: float, told: list[str]
) -> None:
    ending = Ending(seconds_without_room=seconds)
    with caplog.at_level(logging.INFO):
        log_summary(Reporter().summary({}, Traffic(), ending), logging.getLogger("test"))
    waited = [text for text in caplog.messages if "Reading waited" in text]
    assert [text[: len(words)] for text, words in zip(waited, told, strict=True)] == told


def test_what_failed_says_so(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "status", "status": 401}])
    told, _ = run(target)
    assert told["exit_status"] == 77
    assert "token" in told["error"]
    assert told["last_state"] is None


def test_the_clock_is_heard_when_something_is_due(caplog: pytest.LogCaptureFixture) -> None:
    """Samples, the line and the counts each at their own time, and nobody asked before."""
    shown: list[str] = []
    reporter = Reporter(progress=Progress(shown.append, 2.0, 2.0), metrics=Metrics(100.0))
    reporter._started = 100.0
    reporter.metrics.delivered("people", 5)  # type: ignore[union-attr]  # it was just given
    now, times = 100.0, []
    with caplog.at_level(logging.INFO):
        while now < 161:
            reporter.tick(now, 0, Traffic(), b"1" if now > 103 else None)
            assert reporter.due > now
            now = reporter.due
            times.append(round(now - 100, 6))
    assert times[:3] == [0.1, 0.2, 0.3]
    assert len(times) < 650
    ages = [re.search(r"no state yet|state \S+ ago", text) for text in shown[:4]]
    assert [age and age[0] for age in ages] == [
        "no state yet",
        "state 0:00 ago",
        "state 0:02 ago",
        "state 0:04 ago",
    ]
    assert len(shown) == 30
    assert sum('"record_count","value":5' in text for text in caplog.messages) == 1


def summary_of(streams: dict[str, Counts], traffic: Traffic | None = None) -> Summary:
    return Reporter().summary(streams, traffic or Traffic(), Ending())


def test_a_thousand_streams_stay_readable(caplog: pytest.LogCaptureFixture) -> None:
    """The largest, those with something set aside before them, and one line for the rest."""
    streams = {f"s{number}": Counts(number, number) for number in range(1_000)}
    streams["refused"] = Counts(2, 1, 1)
    with caplog.at_level(logging.INFO):
        log_summary(summary_of(streams), logging.getLogger("test"))
    told = caplog.messages
    assert len(told) == 22
    assert told[0] == "Stream `refused`: 2 read, 1 acknowledged, 1 set aside; 0 B in batches: 0"
    assert told[1].startswith("Stream `s999`: 999 read, ")
    total = sum(range(981))
    assert told[20].startswith(f"And 981 smaller streams: {total:,} read, {total:,} acknowledged")


def test_streams_of_any_name_are_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_summary(summary_of({"a\nb\x1b[2J": Counts(1)}), logging.getLogger("test"))
    assert caplog.messages[0].startswith("Stream `a\\nb\\x1b[2J`: 1 read")


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
def test_latencies_are_told_within_nine_percent(seconds: list[float], share: float) -> None:
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    assert exact <= latencies.quantile(share) <= exact * 1.0906
    assert latencies.slowest_seconds == max(seconds)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_at_all_is_a_latency_too(seconds: float) -> None:
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
    """Three hours, sampled whenever due: under the most, evenly spread, nothing made up."""
    history = History(0.1, most)
    now = 0.0
    while now < 10_800:
        now = max(now + 0.1, history.due_seconds)
        history.add(Vitals(now, int(now), int(now) * 10))
        assert (history.samples[-1].seconds, len(history.samples) <= most) == (now, True)
    assert len(history.samples) >= 50
    times = [each.seconds for each in history.samples]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) > 0
    assert max(gaps) < 10_800 / 100 * 5
    series = Series.of(history.samples)
    assert series.acknowledged == [int(each) for each in times]
    assert series.bytes == [int(each) * 10 for each in times]


def test_of_samples_put_together_the_later_counts_and_the_peak() -> None:
    history = History(1.0, most=4)
    for now, in_flight, held_bytes in ((1, 1, 10), (2, 3, 20), (3, 2, 30), (4, 1, 40), (5, 4, 20)):
        history.add(Vitals(now, now * 2, now * 3, now * 4, in_flight, held_bytes))
    assert history.samples == [
        Vitals(1, 2, 3, 4, 1, 10),
        Vitals(3, 6, 9, 12, 3, 30),
        Vitals(5, 10, 15, 20, 4, 40),
    ]
    assert history.due_seconds == 7
