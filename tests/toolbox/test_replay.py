"""`stitch-import replay`: saved request bodies, and repaired dead letters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.support.singer import activate, record, schema, state
from tests.support.target import TOKEN, Target, bodies, delivered
from tests.support.toolbox import TOOL, activation, dead_letter, document, tool

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi


def test_saved_bodies_are_replayed_byte_for_byte(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    path = tmp_path / "bodies.jsonl"
    messages = [
        schema(bookmark={"type": "string"}),
        *(record(number, message={"version": 3}) for number in range(25)),
        {"type": "ACTIVATE_VERSION", "stream": "people", "version": 3},
        state(1),
    ]
    assert target.run(messages, "-o", str(path), batch_size_rows=10).status == 0
    before = sorted(each["body"] for each in api.requests())
    api.reset()
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, outcome.states) == (0, ["26 messages delivered in 4 requests."])
    assert sorted(each["body"] for each in api.requests()) == before
    assert api.query("select count(*) from import_api.people") == [(25,)]


def test_repaired_dead_letters_are_replayed_under_their_sequence(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """A newer row that arrived in the meantime stays."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    bad = [record(1, name=5), record(2, name=6), '{"type":"RECORD","stream":"people","record":NaN}']
    assert target.run([schema(), record(0), *bad, state(1)], **settings).status == 0
    assert target.run([schema(), record(2, name="newer")]).status == 0
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert "Line 1 is not repaired: field `/name`: expected null or string" in outcome.log
    lines = path.read_text().splitlines()
    assert "record_text" in lines.pop()
    path.write_text("\n".join(lines).replace('"name": 5', '"name": "a"').replace(": 6", ': "b"'))
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, outcome.states) == (0, ["2 messages delivered in 1 request."])
    rows = api.query("select id, name from import_api.people order by id")
    assert rows == [(0, None), (1, "a"), (2, "newer")]
    assert len(delivered(api)) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("junk\n", "Line 1 is neither a request body nor a dead letter"),
        ('{"table_name":"t"}\n', "Line 1 is neither"),
        ('\n{"sequence":1,"record":{}}\n', "Line 2 is neither"),
        ('{"table_name":"t","schema":{},"messages":[{"sequence":1}]}\n', "Line 1 is neither"),
        ('{"table_name":"t","schema":{},"messages":[5]}\n', "Line 1 is neither"),
    ],
)
def test_an_invalid_file_is_not_replayed(
    api: ImportApi, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(text)
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, words in outcome.log) == (65, True)
    assert bodies(api) == []


def test_replay_says_where_to_continue(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "status", "status": 403, "times": "always"}])
    path = tmp_path / "file.jsonl"
    message = {"action": "upsert", "sequence": 1, "data": {"id": 1}}
    body = {"table_name": "t", "schema": {"properties": {}}, "messages": [message]}
    path.write_text(json.dumps(body) + "\n")
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert outcome.status == 77
    assert "Line 1 of the file and later lines may not have been delivered" in outcome.log


@pytest.mark.parametrize(
    ("naive", "status", "words"),
    [
        ("utc", 0, "field `/at`: date-times without an offset are taken as UTC"),
        ("keep", 65, "the Import API refuses a record"),
        ("fail", 65, "Line 1 is not repaired: field `/at`: expected a date-time with an offset"),
    ],
)
def test_replay_treats_naive_date_times_as_a_run_does(
    api: ImportApi, tmp_path: Path, naive: str, status: int, words: str
) -> None:
    text = json.dumps(dead_letter(1))
    config: dict[str, Any] = {"api_url": api.url, "token": TOKEN, "naive_datetimes": naive}
    outcome = tool(tmp_path, "replay", "-", stdin=text, **config)
    assert (outcome.status, words in outcome.log) == (status, True)
    sent = ["2024-01-31T23:59:59Z"] if naive == "utc" else []
    assert [each["at"] for each in delivered(api, "t")] == sent


def test_replay_completes_a_version(api: ImportApi, tmp_path: Path) -> None:
    """After the replay the table has the repaired record, and no rows of the old version."""
    path = tmp_path / "dead.jsonl"
    config = {
        "token": TOKEN,
        "api_url": api.url,
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(path),
        "table_prefix": "raw_",
    }
    target = Target(tmp_path, config)
    for version in (1, 2):
        bad: dict[str, Any] = {"id": "bad"} if version == 2 else {}
        versioned: dict[str, Any] = {"message": {"version": version}}
        rows = [record(10 * version, **versioned), record(0, **bad, **versioned)]
        activate = {"type": "ACTIVATE_VERSION", "stream": "people", "version": version}
        assert target.run([schema(), *rows, activate, state(version)]).states == [str(version)]
    select = "select id from import_api.raw_people order by id"
    assert api.query(select) == [(0,), (10,)], "it keeps its former version"
    path.write_text(path.read_text().replace('"id": "bad"', '"id": 0'))
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, outcome.states) == (0, ["2 messages delivered in 2 requests."])
    assert api.query(select) == [(0,), (20,)]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]])
def test_only_the_newest_activation_is_replayed_after_all_records(
    api: ImportApi, tmp_path: Path, order: list[int]
) -> None:
    lines: list[dict[str, Any]] = [
        dead_letter(1, table_version=1),
        activation(1, 2),
        dead_letter(3, table_version=2),
        activation(2, 4),
    ]
    text = "\n".join(json.dumps(lines[each]) for each in order)
    outcome = tool(tmp_path, "replay", "-", stdin=text, api_url=api.url, token=TOKEN)
    assert outcome.status == 0
    assert "version 1 of table `t` is not activated" in outcome.log
    sent = [(body["table_version"], body["messages"][0]["action"]) for body in bodies(api)]
    assert sorted(sent[:2]) == [(1, "upsert"), (2, "upsert")]
    assert sent[2:] == [(2, "activate_version")]


def test_an_activation_older_than_the_records_of_the_file_is_not_replayed(
    api: ImportApi, tmp_path: Path
) -> None:
    text = "\n".join(map(json.dumps, [activation(1, 1), dead_letter(2, table_version=2)]))
    outcome = tool(tmp_path, "replay", "-", stdin=text, api_url=api.url, token=TOKEN)
    assert outcome.status == 0
    assert [body["messages"][0]["action"] for body in bodies(api)] == ["upsert"]


def test_replay_reports_retries(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "down"}])
    text = json.dumps(dead_letter(1))
    outcome = tool(tmp_path, "replay", "-", stdin=text, api_url=api.url, token=TOKEN)
    assert outcome.status == 0
    assert "The Import API did not accept a batch of stream `t`: 503" in outcome.log


def test_replay_counts_what_it_has_read_and_not_sent(api: ImportApi, tmp_path: Path) -> None:
    lines = [json.dumps(dead_letter(1)), json.dumps(dead_letter(2)), "junk"]
    outcome = tool(tmp_path, "replay", "-", stdin="\n".join(lines), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert "Line 1 of the file and later lines may not have been delivered" in outcome.log


def test_an_interrupted_replay_says_where_to_continue(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "down", "times": "always"}])
    path = tmp_path / "dead.jsonl"
    path.write_text(json.dumps(dead_letter(1)))
    command = [*TOOL, "replay", str(path), "--api-url", api.url, "-c", "ENV"]
    environment = os.environ | {"TARGET_STITCH_IMPORT_TOKEN": TOKEN}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if "did not accept" in line:
                break
        process.send_signal(signal.SIGINT)
        assert "Line 1 of the file and later lines" in process.stderr.read()
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("fault", "status", "hint"),
    [
        ({"kind": "down"}, 69, "Run the command again later."),
        ({"kind": "status", "status": 400, "body": {"error": "no"}}, 65, "400 no."),
    ],
)
def test_replay_gives_the_hints_for_a_command(
    api: ImportApi, tmp_path: Path, fault: Any, status: int, hint: str
) -> None:
    """Not those for a run, which has a state and dead letters."""
    api.set_faults([fault | {"times": "always"}])
    message = {"action": "upsert", "sequence": 1, "data": {"id": 1}}
    body = {"table_name": "t", "schema": {"properties": {}}, "messages": [message]}
    config: dict[str, Any] = {"api_url": api.url, "token": TOKEN, "max_retry_seconds": 0}
    outcome = tool(tmp_path, "replay", "-", stdin=json.dumps(body), **config)
    assert outcome.status == status
    assert f"{hint} Line 1 of the file" in outcome.log
    assert "dead_letter" not in outcome.log
    assert "state" not in outcome.log


@pytest.mark.parametrize(
    ("text", "validate"), [('{"id": "x"}', True), ('{"id": "x"}', False), ('{"id": NaN}', True)]
)
@pytest.mark.parametrize(
    ("time", "replayed"),
    [
        ("2024-01-31T23:59:59.000000Z", "2024-01-31T23:59:59.000000Z"),
        ("2024-02-01T00:59:59+01:00", "2024-01-31T23:59:59.000000Z"),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_record_is_replayed_with_the_time_at_which_it_was_extracted(
    target: Target,
    api: ImportApi,
    tmp_path: Path,
    *,
    validate: bool,
    text: str,
    time: str | None,
    replayed: str | None,
) -> None:
    """Whether the target or the service refused the record."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    line = json.dumps(record(0, message={"time_extracted": time})).replace('{"id": 0}', text)
    assert target.run([schema(), line], validate_records=validate, **settings).status == 0
    dead = json.loads(path.read_text()) | {"record": {"id": 1}}
    path.write_text(json.dumps(dead))
    api.reset()
    assert tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN).status == 0
    [message] = bodies(api)[0]["messages"]
    assert message.get("time_extracted") == replayed


SURPLUS = "1.2300000000000000001"


def test_replay_repairs_what_a_run_would_repair(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """Repairs are counted as in a run, also if the record was not JSON when it was set aside."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    columns = schema(n={"type": ["null", "number"], "multipleOf": 0.01})
    bad = [
        f'{{"type":"RECORD","stream":"people","record":{{"id":1,"n":{SURPLUS}}}}}',
        f'{{"type":"RECORD","stream":"people","record":{{"id":2,"n":{SURPLUS},"name":"a\\u0000"}}}}',
        '{"type":"RECORD","stream":"people","record":{"id":3,"n":NaN}}',
        '{"type":"RECORD","stream":"people","record":{"id":4,"name":"\\ud800"}}',
    ]
    assert target.run([columns, *bad, state(1)], **settings).status == 0
    repairs = ["round_decimals", "strip_nul", "nan_to_null", "replace_surrogates"]
    config: dict[str, Any] = {"api_url": api.url, "token": TOKEN, "repairs": repairs}
    outcome = tool(tmp_path, "replay", str(path), "--json", **config)
    assert (outcome.status, document(outcome)) == (
        0,
        {
            "messages": 4,
            "requests": 1,
            "replaced": 0,
            "repaired": {
                "people": {
                    "/n": {"nan_to_null": 1, "round_decimals": 2},
                    "/name": {"replace_surrogates": 1, "strip_nul": 1},
                }
            },
        },
    )
    assert outcome.log.count("field `/n`: values are repaired by `round_decimals`") == 1
    rows = api.query("select id, cast(n as varchar), name from import_api.people order by id")
    assert rows == [(1, "1.23", None), (2, "1.23", "a"), (3, None, None), (4, None, "\ufffd")]
    outcome = tool(tmp_path, "replay", str(path), **config)
    assert outcome.states == ["4 messages delivered in 1 request, 5 values repaired."]


@pytest.mark.parametrize("text", ['{"id": 1, "name": NaN}', '{"id": NaN, "name": "\ufffd"}'])
def test_a_record_that_no_repair_completes_is_not_replayed(
    api: ImportApi, tmp_path: Path, text: str
) -> None:
    """U+FFFD may have replaced bytes that were not UTF-8, and are lost."""
    dead = dead_letter(1)
    del dead["record"]
    stdin = json.dumps(dead | {"record_text": text})
    config: dict[str, Any] = {"api_url": api.url, "token": TOKEN, "repairs": ["strip_nul"]}
    if "\ufffd" in text:
        config["repairs"] = ["nan_to_null"]
    outcome = tool(tmp_path, "replay", "-", stdin=stdin, **config)
    assert outcome.status == 65
    assert "Line 1 is neither a request body nor a dead letter" in outcome.log
    assert bodies(api) == []


@pytest.mark.parametrize("is_piped", [False, True])
def test_a_version_that_a_newer_one_replaced_is_not_replayed(
    api: ImportApi,
    tmp_path: Path,
    is_piped: bool,  # noqa: FBT001
) -> None:
    """However the service handles older versions, newer rows are not at risk."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    config = {"token": TOKEN, "api_url": api.url, "table_prefix": "raw_"} | settings
    target = Target(tmp_path, config)
    for version, rows in ((1, [record(1), record(2, id="x")]), (2, [record(2, name="new")])):
        versioned = [each | {"version": version} for each in rows]
        messages = [schema(), *versioned, activate(version), state(version)]
        assert target.run(messages).states == [str(version)]
    path.write_text(path.read_text().replace('"id": "x"', '"id": 2'))
    before = len(api.requests())
    if is_piped:
        command = [*TOOL, "replay", "-", "--api-url", api.url, "-c", "ENV"]
        environment = os.environ | {"TARGET_STITCH_IMPORT_TOKEN": TOKEN}
        done = subprocess.run(
            command, env=environment, input=path.read_bytes(), capture_output=True, check=False
        )
        status, log = done.returncode, done.stderr.decode()
        states = done.stdout.decode().splitlines()
    else:
        outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
        status, log, states = outcome.status, outcome.log, outcome.states
    assert status == 0
    assert states == ["0 messages delivered in 0 requests, 2 lines of replaced versions not sent."]
    assert log.count("version 1 of table `raw_people` is not sent, because version 2") == 1
    assert len(api.requests()) == before
    assert api.query("select id, name from import_api.raw_people") == [(2, "new")]
    assert target.run([schema(), record(3) | {"version": 1}, activate(1)]).status == 0
    assert len(path.read_text().splitlines()) == 3, "the replaced version needs no further note"


def test_a_local_run_is_completed_with_its_own_configuration(tmp_path: Path) -> None:
    """With the command that the run logged, which starts the service on the same database."""
    path = tmp_path / "dead.jsonl"
    database = tmp_path / "local.duckdb"
    local = {"region": "local", "local_database": str(database), "dead_letter_path": str(path)}
    target = Target(tmp_path, local | {"on_invalid_record": "dead_letter"})
    log = target.run([schema(), record(1), record(2, name=5), state(1)]).log
    [step] = [line for line in log.splitlines() if "stitch-import replay" in line and "To" in line]
    _, _, arguments = step.partition("stitch-import replay ")
    path.write_text(path.read_text().replace('"name": 5', '"name": "a"'))
    outcome = tool(tmp_path, "replay", *arguments.split())
    assert (outcome.status, outcome.states) == (0, ["1 message delivered in 1 request."])
    with duckdb.connect(str(database), read_only=True) as stored:
        rows = stored.execute("select id, name from import_api.people order by id").fetchall()
    assert rows == [(1, None), (2, "a")]


def test_the_database_of_a_local_run_cannot_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "local.duckdb"
    path.touch()
    outcome = tool(tmp_path, "replay", str(path), region="local", local_database=str(path))
    assert (outcome.status, "one would overwrite the other" in outcome.log) == (78, True)
