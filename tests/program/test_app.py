"""The whole target, as a process, against the local Import API."""

from __future__ import annotations

import json
import stat
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.support.singer import lines, record, schema, state
from tests.support.target import Target, bodies, delivered

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

TOO_LARGE = "File too large. Raise the limit on the size of files (`ulimit -f`), then run again."
HUNDRED = [schema(), *(record(number, name="x" * 50) for number in range(100)), state({"n": 100})]


def test_records_arrive_and_the_state_follows(target: Target, api: ImportApi) -> None:
    columns = b'{"properties":{"id":{"type":"integer"},"n":{"type":"number"}}}'
    text = b"""\
{"type":"SCHEMA","stream":"people","schema":%b,"key_properties":["id"],"bookmark_properties":["id"]}
{"type":"RECORD","stream":"people","record":{"id":1, "n":1.10},"version":3,"time_extracted":%b}
{"type":"STATE","value":{"n" :1.50, "e":1E2}}
{"type":"RECORD","stream":"people","record":{"n":1234567890.123456789012345678,"id":2},"version":3}
{"type":"STATE","value":{"n" :2.50, "e":1E2}}
""" % (columns, b'"2024-01-01T00:00:00Z"')
    outcome = target.run(text)
    assert outcome.status == 0
    assert outcome.states == ['{"n" :2.50, "e":1E2}']
    (request,) = api.requests()
    body = json.loads(request["body"])
    assert '"data":{"id":1, "n":1.10}' in request["body"]
    assert '"n":1234567890.123456789012345678' in request["body"]
    assert list(body) == [
        "table_name",
        "schema",
        "key_names",
        "table_version",
        "bookmark_names",
        "messages",
    ]
    sequences = [message["sequence"] for message in body["messages"]]
    assert sequences == [sequences[0], sequences[0] + 1]
    assert len(str(sequences[0])) == 19
    assert body["messages"][0]["time_extracted"] == "2024-01-01T00:00:00.000000Z"
    assert api.query("select id from import_api.people order by id") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("messages", "states"),
    [
        (b"", []),
        ([state({})], ["{}"]),
        ([state(1), state(2), "", state(3)], ["3"]),
        ([schema(), state(1)], ["1"]),
        ([schema(), schema(), "", "  ", state(1)], ["1"]),
    ],
)
def test_states_without_records_are_written(
    target: Target, messages: Any, states: list[str]
) -> None:
    outcome = target.run(messages)
    assert (outcome.status, outcome.states) == (0, states)


def test_a_schema_before_every_record_makes_no_tiny_batches(target: Target, api: ImportApi) -> None:
    messages = [each for number in range(50) for each in (schema(), record(number), state(number))]
    assert target.run(messages).status == 0
    assert len(bodies(api)) == 1


def test_a_warning_about_a_stream_is_logged_once(target: Target) -> None:
    outcome = target.run([schema(cost__st={"type": "integer"}), record(1), schema()])
    assert outcome.status == 0
    assert outcome.log.count("Stream `people`: names with the suffix") == 1


def test_forty_streams_are_delivered(target: Target, api: ImportApi) -> None:
    names = [f"s{number}" for number in range(40)]
    messages = [schema(name) for name in names]
    messages += [record(number, name) for number in range(5) for name in names]
    outcome = target.run([*messages, state("end")])
    assert (outcome.status, outcome.states) == (0, ['"end"'])
    assert len(bodies(api)) == 40
    assert all(len(delivered(api, name)) == 5 for name in names)


BAD_INPUT = [
    ("not json", "Line 4 is not JSON"),
    ('{"type":"RECORD","stream":"people"}', "Line 4: RECORD of stream `people` has no `record`"),
    (record(1, "other"), "Line 4: RECORD of stream `other` precedes its SCHEMA"),
    (record(1, id="S3CRET"), "Line 4: invalid record in stream `people`: field `/id`"),
    ('{"type":"RECORD","stream":"people","record":{"id":NaN}}', "NaN"),
    (schema("other", x={"type": "txt"}), "Line 4: SCHEMA of stream `other`"),
]


@pytest.mark.parametrize(("message", "words"), BAD_INPUT)
def test_invalid_input_is_reported_and_records_before_it_are_delivered(
    target: Target, api: ImportApi, message: Any, words: str
) -> None:
    outcome = target.run([schema(), record(1), state(1), message, record(2), state(2)])
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert words in outcome.log
    assert "S3CRET" not in outcome.log
    assert delivered(api) in ([{"id": 1}], [{"id": 1}, {"id": 2}]), "what was read, and no more"


def test_a_truncated_last_line_ends_the_run(target: Target, api: ImportApi) -> None:
    outcome = target.run(lines([schema(), record(1), state(1)]) + b'{"type":"RECORD","str')
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert "Line 4 is incomplete" in outcome.log
    assert delivered(api) == [{"id": 1}]


def test_versions_are_activated_after_everything_before_them(
    target: Target, api: ImportApi
) -> None:
    def version(number: int) -> Any:
        return {"type": "ACTIVATE_VERSION", "stream": "people", "version": number}

    def row(number: int, of: int) -> Any:
        return record(number, message={"version": of})

    messages = [schema(), row(1, 1), row(2, 1), version(1), row(3, 2), version(2), row(4, 2)]
    api.set_faults([{"kind": "latency", "seconds": 0.2}])
    outcome = target.run([*messages, state(1)], batch_size_rows=1)
    assert (outcome.status, outcome.states) == (0, ["1"])
    actions = [(body["table_version"], body["messages"][0]["action"]) for body in bodies(api)]
    assert sorted(actions[:2]) == [(1, "upsert")] * 2
    assert actions[2:] == [
        (1, "activate_version"),
        (2, "upsert"),
        (2, "activate_version"),
        (2, "upsert"),
    ]
    assert api.query("select id from import_api.people order by id") == [(3,), (4,)]


def test_append_only_sends_no_keys(target: Target, api: ImportApi) -> None:
    outcome = target.run([schema(), record(1), record(1)], load_method="append-only")
    assert outcome.status == 0
    assert [body["key_names"] for body in bodies(api)] == [[]]


def test_a_dry_run_sends_nothing_and_writes_no_state(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    path = tmp_path / "bodies.jsonl"
    outcome = target.run(HUNDRED, "--dry-run", "--output-file", str(path), batch_size_rows=30)
    assert (outcome.status, outcome.states) == (0, [])
    assert api.requests() == []
    saved = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(len(body["messages"]) for body in saved) == [10, 30, 30, 30]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_dry_run_sets_nothing_aside(target: Target, tmp_path: Path) -> None:
    """It reports the records, but marks no version as lacking them."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    version = {"version": 7}
    good, bad = record(1, message=version), record(2, name=5, message=version)
    outcome = target.run([schema(), good, bad], "--dry-run", **settings)
    assert (outcome.status, path.exists()) == (0, False)
    assert "Line 3: a record of stream `people` would be set aside: field `/name`" in outcome.log
    assert "2 read, 1 would be sent, 1 set aside" in outcome.log
    assert "1 record would be sent" in outcome.log
    assert "acknowledged" not in outcome.log
    assert "answered" not in outcome.log
    too_many = target.run([schema(), good, bad], "--dry-run", dead_letter_limit=0, **settings)
    assert (too_many.status, path.exists()) == (65, False)
    assert "Those before it are in the log." in too_many.log
    activation = {"type": "ACTIVATE_VERSION", "stream": "people", "version": 7}
    assert target.run([schema(), good, bad], **settings).status == 0
    text = path.read_text()
    outcome = target.run([schema(), good, activation], "--dry-run", **settings)
    assert (outcome.status, path.read_text()) == (0, text)
    path.unlink()
    assert target.run([schema(), good, activation, state(1)], **settings).states == ["1"]


def test_the_output_file_holds_the_bodies_delivered(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    path = tmp_path / "bodies.jsonl"
    outcome = target.run(HUNDRED, "-o", str(path), batch_size_rows=30)
    assert outcome.states == ['{"n": 100}']
    assert sorted(path.read_text().splitlines()) == sorted(each["body"] for each in api.requests())


def test_a_full_disk_under_the_output_file_is_in_the_summary(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """Buffered bodies are written before the outcome is reported."""
    path = tmp_path / "summary.json"
    long = "x" * 6_000  # more than there is room for, and little enough to stay in memory
    messages = [schema(), record(1, name=long), state(1)]
    small = replace(target, max_file_bytes=5_000)
    outcome = small.run(messages, "-o", "sent.jsonl", summary_path=str(path))
    assert (outcome.status, outcome.states) == (74, ["1"])
    assert delivered(api) == [{"id": 1, "name": long}]
    summary = json.loads(path.read_text())
    assert summary["exit_status"] == 74
    assert summary["error"] == f"The output file sent.jsonl cannot be written: {TOO_LARGE}"


def test_a_full_disk_under_the_summary(target: Target, api: ImportApi) -> None:
    """Everything was delivered and the state is written; only the summary is missing."""
    small = replace(target, max_file_bytes=100)
    outcome = small.run([schema(), record(1), state(1)], summary_path="summary.json")
    assert (outcome.status, outcome.states) == (74, ["1"])
    assert f"The summary summary.json cannot be written: {TOO_LARGE}" in outcome.log
    assert delivered(api) == [{"id": 1}]


def test_a_full_disk_under_the_states(target: Target, api: ImportApi) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - no path of ours
        done = subprocess.run(
            target.command(),
            input=lines([schema(), record(1), state(1)]),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )
    assert done.returncode == 74
    assert (
        "Stdout cannot be written, so no state can be saved: No space left on device. "
        "Free disk space, then run again."
    ) in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert delivered(api) == [{"id": 1}]


def test_a_full_disk_under_the_local_database(target: Target, tmp_path: Path) -> None:
    """Only what is in the database is acknowledged, and the error is reported."""
    rows = [record(n, name=f"{n:x}" * 300) for n in range(6_000)]
    messages = [schema(), state(0), *rows, state(1)]
    del target.config["api_url"]
    small = replace(target, max_file_bytes=1_000_000)
    outcome = small.run(messages, region="local", local_database="w.duckdb", max_retry_seconds=0.5)
    assert (outcome.status, outcome.states) == (69, ["0"])
    assert "The database cannot be written, so a request is refused: " in outcome.log
    assert "w.duckdb" in outcome.log
    whole = target.run(messages, region="local", local_database="w.duckdb")
    assert (whole.status, whole.states[-1]) == (0, "1")
    with duckdb.connect(tmp_path / "w.duckdb") as connection:
        assert connection.sql("SELECT count(*) FROM import_api.people").fetchall() == [(6_000,)]


def test_the_summary_counts_records_and_requests(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    api.set_faults([{"kind": "down"}, {"kind": "reset_after"}])
    path = tmp_path / "summary.json"
    outcome = target.run(HUNDRED, batch_size_rows=50, summary_path=str(path))
    assert outcome.status == 0
    summary = json.loads(path.read_text())
    stream = summary["streams"]["people"]
    assert (stream["read"], stream["acknowledged"], stream["set_aside"]) == (100, 100, 0)
    assert stream["last_sequence"] - stream["first_sequence"] == 99
    assert summary["retries"] == summary["requests"] - stream["batches"] == 2
    assert summary["possible_duplicates"] == 1
    assert summary["last_state"] == {"n": 100}
    assert summary["exit_status"] == 0


def test_a_state_with_a_huge_number_is_written_digit_for_digit(
    target: Target, tmp_path: Path
) -> None:
    path = tmp_path / "summary.json"
    digits = "9" * 5_000
    outcome = target.run(f'{{"type":"STATE","value":{digits}}}\n'.encode(), summary_path=str(path))
    assert (outcome.status, outcome.states) == (0, [digits])
    assert f'"last_state": {digits}' in path.read_text()


def test_a_summary_is_written_for_a_failed_run_too(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    assert target.run([schema(), record(1), "junk"], summary_path=str(path)).status == 65
    summary = json.loads(path.read_text())
    assert (summary["exit_status"], summary["streams"]["people"]["acknowledged"]) == (65, 1)
    assert "Line 3 is not JSON" in summary["error"]
