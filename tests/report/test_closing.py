"""The report at the end: a table on a terminal, sentences in a log, and warnings."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from target_stitch_import.report.closing import (
    MAX_REASONS_SHOWN,
    ClosingContext,
    report,
    screen,
    table,
    warnings,
)
from target_stitch_import.report.summary import Summary
from target_stitch_import.report.terminal import Terminal, width
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi
    from tests.support.target import Target

REASON = "field `/id`: expected integer, found string"


def summary_of(streams: dict[str, dict[str, Any]], **members: Any) -> Summary:
    """Return the summary of a made-up run of two seconds."""
    every = streams.values()
    total = {
        name: sum(each.get(name, 0) for each in every)
        for name in ("read", "acknowledged", "set_aside", "batches", "bytes", "retries")
    }
    activations = {
        name: sum(each.get("activations", {}).get(name, 0) for each in every)
        for name in ("read", "acknowledged", "set_aside")
    }
    numbers = """exit_status messages_per_second bytes_per_second requests bytes_sent
        possible_duplicates throttle_changes seconds_without_room"""
    document = {
        **dict.fromkeys(numbers.split(), 0),
        "program": "p",
        "version": "1",
        "started_at": "",
        "ended_at": "",
        "seconds": 2.0,
        "error": None,
        "last_state": None,
        "latency_seconds": {},
        "series": {},
        "streams": streams,
        "activations": activations,
        **total,
        **members,
    }
    return msgspec.json.decode(json.dumps(document), type=Summary)


def counts(read: int, acknowledged: int | None = None, set_aside: int = 0) -> dict[str, Any]:
    delivered = read - set_aside if acknowledged is None else acknowledged
    batches = 1 if delivered else 0
    return {
        "read": read,
        "acknowledged": delivered,
        "set_aside": set_aside,
        "batches": batches,
        "bytes": delivered * 100,
    }


def logged(
    summary: Summary, context: ClosingContext, caplog: pytest.LogCaptureFixture
) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        report(summary, context, logging.getLogger("test"), None)
    return caplog.messages


TWO = {
    "people": counts(2_000, set_aside=3)
    | {
        "set_aside_reasons": {REASON: 2, "other": 1},
        "repaired": {"total": {"nan_to_null": 40, "clamp_dates": 2}},
    },
    "日本": counts(12) | {"activations": {"read": 2, "acknowledged": 2}},
}


def test_a_table_is_aligned() -> None:
    assert table(summary_of(TWO), "acknowledged", 80) == [
        "stream   read  acknowledged  set aside  repaired     bytes",
        "people  2,000         1,997          3        42  199.7 kB",
        "日本       10            10          0         0    1.2 kB",
        "all     2,010         2,007          3        42  200.9 kB",
    ]


def test_one_stream_needs_no_total() -> None:
    assert table(summary_of({"people": counts(1)}), "would be sent", 80) == [
        "stream  read  would be sent  set aside  repaired  bytes",
        "people     1              1          0         0  100 B",
    ]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_long_names_are_cut_to_the_terminal(columns: int) -> None:
    rows = table(summary_of({"n" * 300: counts(1), "x" * 20: counts(2)}), "acknowledged", columns)
    assert max(map(width, rows)) == columns
    assert rows[2].startswith("nnn")
    assert "n…  " in rows[2]


def test_zero_columns_are_dropped_on_narrow_terminals() -> None:
    rows = table(summary_of({"people": counts(1)}), "acknowledged", 50)
    assert rows[0] == "stream  read  acknowledged  bytes"
    rows = table(summary_of({"people": counts(2, set_aside=1)}), "acknowledged", 58)
    assert rows[0] == "stream  read  acknowledged  set aside  bytes"


def test_forty_columns_are_too_few_for_a_table() -> None:
    shown = screen(summary_of(TWO), ClosingContext("my/dead letters.jsonl"), 40)
    assert shown == [
        "Stream `people`: 2,000 read, 1,997",
        "  acknowledged, 3 set aside, 42",
        "  repaired; 199.7 kB in 1 batch",
        "Stream `日本`: 10 read, 10 acknowledged,",
        "  0 set aside; 2 versions to activate;",
        "  1.2 kB in 1 batch",
        "",
        "2,007 records acknowledged and 2",
        "  versions activated in 2.0 s, 1,004",
        "  records and 100.5 kB a second",
        "",
        "To send the repaired dead letters:",
        "  stitch-import replay --config CONFIG 'my/dead letters.jsonl'",
    ]


def test_a_thousand_streams_stay_readable(caplog: pytest.LogCaptureFixture) -> None:
    """The largest, those with something set aside before them, and one line for the rest."""
    streams = {f"s{number}": counts(number) for number in range(1_000)}
    streams["refused"] = counts(2, set_aside=1)
    summary = summary_of(streams)
    messages = logged(summary, ClosingContext(), caplog)
    assert len(messages) == 22
    assert messages[0] == "Stream `refused`: 2 read, 1 acknowledged, 1 set aside; 100 B in 1 batch"
    assert messages[1].startswith("Stream `s999`: 999 read, ")
    total = sum(range(981))
    assert messages[20].startswith(
        f"And 981 smaller streams: {total:,} read, {total:,} acknowledged"
    )
    rows = table(summary, "acknowledged", 80)
    assert len(rows) == 23
    assert rows[21].startswith("981 smaller streams  480,690 ")
    assert rows[22].startswith("all                  499,502 ")


def test_names_cannot_draw_on_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    summary = summary_of({"a\nb\x1b[2J": counts(1)})
    assert logged(summary, ClosingContext(), caplog)[0].startswith("Stream `a\\nb\\x1b[2J`: 1 read")
    assert table(summary, "acknowledged", 80)[1].startswith("a\\nb\\x1b[2J  ")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "1 record acknowledged in 2.0 s, 0.5 records and 50 B a second"),
        ({"acknowledged": 0}, "0 records acknowledged in 2.0 s"),
        ({"seconds": 3_725.0, "acknowledged": 0}, "0 records acknowledged in 1:02:05"),
        (
            {"requests": 1, "latency_seconds": {"slowest": 0.0204}},
            "1 request, answered in 20 ms",
        ),
        (
            {"requests": 3, "retries": 1, "latency_seconds": {"slowest": 2.0}},
            (
                "3 requests, 1 of them retried; half were answered within 0 ms, 99 of 100 within "
                "0 ms, the slowest in 2.0 s"
            ),
        ),
        (
            {"possible_duplicates": 1},
            (
                "1 request with an unclear outcome: in streams without keys, their rows "
                "can be duplicated"
            ),
        ),
        ({"unavailable_seconds": 42.0}, "Import API unavailable for 42 s"),
        (
            {"seconds_without_room": 1.5},
            "Reading paused for 1.5 s because the buffer was full",
        ),
    ],
)
def test_the_totals_of_a_run_are_described(
    members: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    messages = logged(summary_of({"people": counts(1)}, **members), ClosingContext(), caplog)
    assert words in messages[1:]
    assert len(messages) == (2 if "acknowledged in" in words else 3)


def test_a_dry_run_sends_nothing_and_has_no_rate(caplog: pytest.LogCaptureFixture) -> None:
    context = ClosingContext("dead.jsonl", "x.duckdb", dry_run=True)
    aside = counts(2, set_aside=1) | {"set_aside_reasons": {REASON: 1}}
    assert logged(summary_of({"people": aside}), context, caplog) == [
        f"Stream `people`: 1 would be set aside: {REASON}",
        "Stream `people`: 2 read, 1 would be sent, 1 set aside; 100 B in 1 batch",
        "1 record would be sent, 100 B in 1 batch. Nothing was sent: this was a dry run",
    ]


def test_activations_set_aside_are_not_counted_as_records(
    caplog: pytest.LogCaptureFixture,
) -> None:
    activations = {"read": 1, "acknowledged": 0, "set_aside": 1}
    aside = counts(4, set_aside=2) | {
        "activations": activations,
        "set_aside_reasons": {REASON: 1, "version 7 lacks a record": 1},
    }
    messages = logged(summary_of({"people": aside}), ClosingContext("dead.jsonl"), caplog)
    assert messages[:4] == [
        f"Stream `people`: 1 set aside: {REASON}",
        "Stream `people`: 1 set aside: version 7 lacks a record",
        (
            "1 record and 1 activation are set aside in dead.jsonl and not delivered. Repair the "
            "file, then send it with `stitch-import replay`"
        ),
        (
            "Stream `people`: 3 read, 2 acknowledged, 1 set aside; 1 version to activate, 1 set "
            "aside; 200 B in 1 batch"
        ),
    ]


def test_records_set_aside_or_rejected_are_warnings() -> None:
    summary = summary_of(TWO, rejected={"people": {"too long": 357}, "x": {"reserved": 1}})
    assert list(warnings(summary, ClosingContext("dead.jsonl", "my ware.duckdb"))) == [
        f"Stream `people`: 2 set aside: {REASON}",
        "Stream `people`: 1 set aside: other",
        (
            "3 records are set aside in dead.jsonl and not delivered. Repair the file, then "
            "send it with `stitch-import replay`"
        ),
        "Table `people`: 357 rows rejected while loading: too long",
        "Table `x`: 1 row rejected while loading: reserved",
        (
            "358 rows rejected while loading: acknowledged, but not in their tables. "
            "`_sdc_rejected` lists them with reasons: stitch-import tables --database "
            "'my ware.duckdb'"
        ),
    ]
    assert list(warnings(summary_of({"people": counts(1)}), ClosingContext("dead.jsonl"))) == []


def test_only_the_most_frequent_reasons_are_shown() -> None:
    reasons = {f"reason {number}": number for number in range(1, 51)}
    streams = {"s": counts(2_000, set_aside=sum(reasons.values())) | {"set_aside_reasons": reasons}}
    shown = list(warnings(summary_of(streams), ClosingContext("dead.jsonl")))
    assert shown[0] == "Stream `s`: 50 set aside: reason 50"
    rest = sum(range(1, 51 - MAX_REASONS_SHOWN))
    assert shown[MAX_REASONS_SHOWN] == (
        f"Stream `...`: {rest} set aside: 30 more reasons or streams"
    )
    assert len(shown) == MAX_REASONS_SHOWN + 2


@pytest.mark.parametrize(
    ("context", "commands"),
    [
        (ClosingContext(), []),
        (ClosingContext("dead.jsonl"), ["stitch-import replay --config CONFIG dead.jsonl"]),
        (
            ClosingContext("dead.jsonl", "x.duckdb", config_paths=("my local.json", "ENV")),
            [
                "stitch-import tables --database x.duckdb",
                "stitch-import replay --config 'my local.json' --config ENV dead.jsonl",
            ],
        ),
        (ClosingContext("dead.jsonl", "x.duckdb", dry_run=True), []),
    ],
)
def test_the_next_commands_can_be_copied(context: ClosingContext, commands: list[str]) -> None:
    """Each in a line of its own on a terminal, however narrow."""
    stream = io.StringIO()
    report(summary_of(TWO), context, logging.getLogger("test"), Terminal(stream))
    shown = stream.getvalue().splitlines()
    assert [row.strip() for row in shown if row.startswith("  stitch-import")] == commands
    assert [row.strip() for row in screen(summary_of(TWO), context, 10) if "--" in row] == commands


BAD = [
    schema(),
    schema("orders"),
    record(1),
    *(record(number, name=number) for number in (2, 3)),
    record(4, "orders", name=[]),
    state(1),
]


@pytest.mark.parametrize("options", [(), ("--quiet",)], ids=["usual", "quiet"])
def test_records_set_aside_are_reported(
    target: Target, api: ImportApi, options: tuple[str, ...]
) -> None:
    """The first of each stream at once, and all of them at the end."""
    path = target.folder / "dead.jsonl"
    setting_aside = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run(BAD, *options, **setting_aside)
    assert (outcome.status, len(path.read_text().splitlines())) == (0, 3)
    reason = "field `/name`: expected null or string, found integer"
    logged_warnings = [line for line in outcome.log.splitlines() if "WARNING" in line]
    for words in (
        (
            f"Line 4: a record of stream `people` is set aside: {reason}. It is in {path}; later "
            "ones of the stream are counted at the end of the run."
        ),
        f"Stream `people`: 2 set aside: {reason}",
        "Stream `orders`: 1 set aside: field `/name`: expected null or string, found array",
        f"3 records are set aside in {path} and not delivered. ",
    ):
        assert sum(words in line for line in logged_warnings) == 1, logged_warnings
    assert "Line 5" not in outcome.log
    assert len(api.requests()) == 1


def test_records_that_the_service_refuses_are_reported(target: Target, api: ImportApi) -> None:
    """The check is off, so that the record is found by halving."""
    path = target.folder / "dead.jsonl"
    outcome = target.run(
        [schema(), record(1), record(2, name=7)],
        "--quiet",
        on_invalid_record="dead_letter",
        dead_letter_path=str(path),
        validate_records=False,
        summary_path=str(target.folder / "summary.json"),
    )
    assert outcome.status == 0
    assert "Line 3: a record of stream `people` is set aside: refused by the Import API: 400" in (
        outcome.log
    )
    summary = json.loads((target.folder / "summary.json").read_text())
    (reason,) = summary["streams"]["people"]["set_aside_reasons"].items()
    assert reason[0].startswith("refused by the Import API: 400 ")
    assert (reason[1], len(api.requests())) == (1, 1)


def test_rows_that_a_local_run_rejects_are_reported(target: Target) -> None:
    """Those of this run, not of the one before; nothing where there are none."""
    database, path = target.folder / "a b.duckdb", target.folder / "summary.json"
    local = {"region": "local", "api_url": None, "local_database": str(database)}
    bad = [
        schema("people", name__st={"type": ["null", "string"]}),
        *(record(number, name__st="a value") for number in range(3)),
        record(4),
    ]
    reason = ""
    for _ in range(2):
        outcome = target.run(bad, "--quiet", summary_path=str(path), **local)
        assert outcome.status == 0
        assert "3 rows rejected while loading: acknowledged, but not in their tables" in outcome.log
        assert f"stitch-import tables --database '{database}'" in outcome.log
        ((reason, count),) = json.loads(path.read_text())["rejected"]["people"].items()
        assert count == 3
        assert f"Table `people`: 3 rows rejected while loading: {reason}" in outcome.log
        assert "a value" not in outcome.log
    outcome = target.run([schema("orders"), record(1, "orders")], summary_path=str(path), **local)
    assert (outcome.status, json.loads(path.read_text())["rejected"]) == (0, {})
    assert "rejected while" not in outcome.log
    assert f"To see the tables: stitch-import tables --database '{database}'" in outcome.log
