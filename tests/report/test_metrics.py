"""METRIC lines: the same as the SDK's own, adding up, and bounded in number."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk import metrics as sdk

from target_stitch_import.report.metrics import INTERVAL_SECONDS, MAX_LINES, Metrics
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from target_stitch_import.local import ImportApi
    from tests.support.target import Target


def points(messages: Sequence[str]) -> list[dict[str, Any]]:
    """Return the measurements in a log."""
    return [
        json.loads(match[1])
        for text in messages
        if (match := re.search(r"METRIC: (\{.*\})$", text))
    ]


@pytest.fixture(params=["with the SDK", "without the SDK"])
def log(
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> pytest.LogCaptureFixture:
    """A log, in a process that has loaded the SDK or has not."""
    if request.param == "without the SDK":
        monkeypatch.delitem(sys.modules, "singer_sdk.metrics")
    caplog.set_level(logging.INFO)
    return caplog


def test_metrics_are_logged_as_the_sdk_logs_them(log: pytest.LogCaptureFixture) -> None:
    """The same text on the same logger at the same level, except for the time."""
    metrics = Metrics(0.0)
    metrics.delivered("people", 7)
    metrics.processed("people", 0.5, succeeded=True)
    metrics.close()
    ours = [(each.name, each.levelno, each.message) for each in log.records]
    log.clear()
    with sdk.Timer(sdk.Metric.BATCH_PROCESSING_TIME, {sdk.Tag.STREAM: "people"}):
        pass
    with sdk.record_counter("people") as counter:
        counter.increment(7)
    theirs = [(each.name, each.levelno, each.message) for each in log.records]
    assert [
        re.sub(
            r'"value":[\d.e-]+(?=,"tags":{"stream":"people","pid":\d+,)', '"value":0.5', str(each)
        )
        for each in theirs
    ] == [str(each) for each in ours]


def test_counts_are_logged_at_intervals_and_add_up(log: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(100.0)
    assert metrics.due == 100.0 + INTERVAL_SECONDS
    metrics.delivered("people", 5)
    metrics.delivered("orders", 2)
    metrics.delivered("people", 1)
    metrics.log_counts(160.0)
    assert metrics.due == 160.0 + INTERVAL_SECONDS
    metrics.log_counts(220.0)  # nothing new, so nothing to tell
    metrics.delivered("people", 1)
    metrics.close()
    logged = [(each["tags"]["stream"], each["value"]) for each in points(log.messages)]
    assert logged == [("people", 6), ("orders", 2), ("people", 1)]


def test_a_thousand_streams_do_not_drown_the_log(log: pytest.LogCaptureFixture) -> None:
    """The busiest are logged first, the others later, and at the end all counts add up."""
    metrics = Metrics(0.0)
    for number in range(1_000):
        metrics.delivered(f"stream_{number}", number + 1)
        metrics.processed(f"stream_{number}", 0.1, succeeded=True)
    assert len(points(log.messages)) == MAX_LINES
    log.clear()
    metrics.log_counts(60.0)
    logged = points(log.messages)
    assert [each["value"] for each in logged] == list(range(1_000, 1_000 - MAX_LINES, -1))
    metrics.processed("stream_0", 0.1, succeeded=False)
    metrics.close()
    counters = [each["value"] for each in points(log.messages) if each["type"] == "counter"]
    assert sorted(counters) == list(range(1, 1_001))
    assert points(log.messages)[MAX_LINES]["tags"]["status"] == "failed"


def test_a_run_logs_metrics(target: Target) -> None:
    messages = [schema(), *map(record, range(100)), state(1)]
    activation = {"type": "ACTIVATE_VERSION", "stream": "people", "version": 1}
    messages[1:1] = [schema("empty"), activation]
    outcome = target.run(messages, batch_size_rows=30)
    logged = points(outcome.log.splitlines())
    counts = [each for each in logged if each["metric"] == "record_count"]
    assert [(each["value"], each["tags"]["stream"]) for each in counts] == [(100, "people")]
    times = [each for each in logged if each["metric"] == "batch_processing_time"]
    assert len(times) == 5  # the activation is one
    assert {(each["tags"]["status"], each["tags"]["stream"]) for each in times} == {
        ("succeeded", "people")
    }
    assert all(0 < each["value"] < 20 for each in times)
    assert " | INFO     | singer_sdk.metrics | METRIC: " in outcome.log


def test_a_batch_that_fails_says_so(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "status", "status": 401}])
    outcome = target.run([schema(), record(1), state(1)])
    assert outcome.status == 77
    (point,) = points(outcome.log.splitlines())
    assert (point["metric"], point["tags"]["status"]) == ("batch_processing_time", "failed")


def test_quiet_logs_nothing(target: Target) -> None:
    assert target.run([schema(), record(1), state(1)], "--quiet").log == ""


def test_structured_logging_has_metrics_as_members(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Meltano configures it: the SDK's formatter accepts only the SDK's points."""
    config = tmp_path / "logging.yaml"
    config.write_text(
        "version: 1\n"
        "disable_existing_loggers: false\n"
        "formatters: {json: {(): singer_sdk.logging.StructuredFormatter}}\n"
        "handlers: {stderr: {class: logging.StreamHandler, formatter: json}}\n"
        "root: {level: INFO, handlers: [stderr]}\n"
    )
    monkeypatch.setenv("SINGER_SDK_LOG_CONFIG", str(config))
    log = target.run([schema(), record(1), state(1)]).log.splitlines()
    logged = [json.loads(line) for line in log]
    metrics = [each["metric_info"] for each in logged if each["message"] == "METRIC"]
    assert {each["metric"] for each in metrics} == {"record_count", "batch_processing_time"}
