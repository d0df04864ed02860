"""`stitch-import`: the commands that talk to an Import API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.local import ImportApi
from target_stitch_import.run.http import REGION_URLS
from target_stitch_import.toolbox.common import Where
from tests.support.serving import server
from tests.support.singer import record, schema, state
from tests.support.target import TOKEN, Target, bodies, delivered
from tests.support.toolbox import ACCOUNTS, TOOL, document, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def strict_api() -> Iterator[ImportApi]:
    with ImportApi(accounts=ACCOUNTS) as api:
        yield api


def test_status(api: ImportApi, tmp_path: Path) -> None:
    outcome = tool(tmp_path, "status", api_url=api.url)
    assert (outcome.status, '"status":"OK"' in outcome.states[0]) == (0, True)
    api.set_faults([{"kind": "down"}])
    outcome = tool(tmp_path, "status", api_url=api.url)
    assert (outcome.status, "is not well: 503" in outcome.log) == (69, True)
    outcome = tool(tmp_path, "status", api_url="http://127.0.0.1:9")
    assert (outcome.status, "no connection" in outcome.log) == (69, True)


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        ("good", 0, "good for this region"),
        ("bad", 77, "refused the token"),
        ("european", 77, "other region"),
        ("paused", 77, "paused or deleted"),
    ],
)
def test_check(strict_api: ImportApi, tmp_path: Path, token: str, status: int, words: str) -> None:
    outcome = tool(tmp_path, "check", api_url=strict_api.url, token=token)
    assert outcome.status == status
    assert words in outcome.log + "\n".join(outcome.states)
    assert strict_api.requests() == []


def test_saved_bodies_are_replayed_to_the_letter(
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
    """A newer row that came meanwhile stays."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    bad = [record(1, name=5), record(2, name=6), '{"type":"RECORD","stream":"people","record":NaN}']
    assert target.run([schema(), record(0), *bad, state(1)], **settings).status == 0
    assert target.run([schema(), record(2, name="newer")]).status == 0
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert "Line 1 is not repaired: field `/name`: expected null or string" in outcome.log
    letters = path.read_text().splitlines()
    assert "record_text" in letters.pop()
    path.write_text("\n".join(letters).replace('"name": 5', '"name": "a"').replace(": 6", ': "b"'))
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
def test_a_file_that_cannot_be_replayed(
    api: ImportApi, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(text)
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert (outcome.status, words in outcome.log) == (65, True)
    assert bodies(api) == []


def test_replay_says_where_to_go_on(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "status", "status": 403, "times": "always"}])
    path = tmp_path / "file.jsonl"
    message = {"action": "upsert", "sequence": 1, "data": {"id": 1}}
    body = {"table_name": "t", "schema": {"properties": {}}, "messages": [message]}
    path.write_text(json.dumps(body) + "\n")
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert outcome.status == 77
    assert "Line 1 of the file and those behind it may not have arrived" in outcome.log


def letter(number: int, **given: Any) -> dict[str, Any]:
    """Return a dead letter with an `at` that is a date-time."""
    columns = {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}
    request = {"table_name": "t", "schema": {"properties": columns}, "key_names": ["id"]} | given
    record = {"id": number, "at": "2024-01-31T23:59:59"}
    return {"sequence": number, "request": request, "record": record}


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
    text = json.dumps(letter(1))
    config: dict[str, Any] = {"api_url": api.url, "token": TOKEN, "naive_datetimes": naive}
    outcome = tool(tmp_path, "replay", "-", stdin=text, **config)
    assert (outcome.status, words in outcome.log) == (status, True)
    sent = ["2024-01-31T23:59:59Z"] if naive == "utc" else []
    assert [each["at"] for each in delivered(api, "t")] == sent


def test_replay_tells_what_it_waits_for(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "down"}])
    text = json.dumps(letter(1))
    outcome = tool(tmp_path, "replay", "-", stdin=text, api_url=api.url, token=TOKEN)
    assert outcome.status == 0
    assert "The Import API did not take a batch of stream `t`: 503" in outcome.log


def test_replay_counts_what_it_has_read_and_not_sent(api: ImportApi, tmp_path: Path) -> None:
    lines = [json.dumps(letter(1)), json.dumps(letter(2)), "junk"]
    outcome = tool(tmp_path, "replay", "-", stdin="\n".join(lines), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert "Line 1 of the file and those behind it may not have arrived" in outcome.log


def test_an_interrupted_replay_says_where_to_go_on(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "down", "times": "always"}])
    path = tmp_path / "letters.jsonl"
    path.write_text(json.dumps(letter(1)))
    command = [*TOOL, "replay", str(path), "--api-url", api.url, "-c", "ENV"]
    environment = os.environ | {"TARGET_STITCH_IMPORT_TOKEN": TOKEN}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if "did not take" in line:
                break
        process.send_signal(signal.SIGINT)
        assert "Line 1 of the file and those behind it" in process.stderr.read()
    assert process.returncode == 130


@pytest.mark.parametrize("option", ["--json", ""])
def test_status_and_check_as_documents(strict_api: ImportApi, tmp_path: Path, option: str) -> None:
    given = [each for each in (option, "--api-url", strict_api.url) if each]
    config: dict[str, Any] = {"token": "good", "region": "eu"}
    status = tool(tmp_path, "status", *given, **config)
    check = tool(tmp_path, "check", *given, **config)
    assert (status.status, check.status) == (0, 0)
    if not option:
        assert status.states[0].startswith(f"The Import API at {strict_api.url} is well: {{")
        return
    assert document(check) == {"url": strict_api.url, "token_accepted": True}
    answer = document(status)
    assert (answer["url"], answer["healthy"]) == (strict_api.url, True)
    assert answer["answer"]["name"] == "pipeline.gate"


@pytest.mark.parametrize(
    ("command", "status"), [("status", 69), ("check", 69), ("check -c none.json", 78)]
)
def test_an_error_is_a_document_too(tmp_path: Path, command: str, status: int) -> None:
    """And a line on stderr."""
    config: dict[str, Any] = {"token": TOKEN, "api_url": "http://127.0.0.1:9"}
    outcome = tool(tmp_path, *command.split(), "--json", **config)
    answer = document(outcome)
    assert (outcome.status, answer["exit_status"]) == (status, status)
    assert outcome.log == answer["error"] + "\n"


def test_a_region_given_counts_for_every_url(tmp_path: Path) -> None:
    """No configured URL is left, which may be another region's."""
    urls = dict.fromkeys(("api_url", "small_batch_url", "big_batch_url"), "http://127.0.0.1:9/")
    (tmp_path / "config.json").write_text(json.dumps(urls))
    where = Where((str(tmp_path / "config.json"),), "eu", None)
    endpoint = where.settings(needs_token=False).endpoint("")
    assert {endpoint.url, endpoint.big_url} == {f"{REGION_URLS['eu']}/v2/import/batch"}


@pytest.mark.parametrize(
    ("fault", "status", "hint"),
    [
        ({"kind": "down"}, 69, "Run the command again later."),
        ({"kind": "status", "status": 400, "body": {"error": "no"}}, 65, "400 no."),
    ],
)
def test_replay_gives_the_hints_of_a_tool(
    api: ImportApi, tmp_path: Path, fault: Any, status: int, hint: str
) -> None:
    """Not those of a run, which has a state and dead letters."""
    api.set_faults([fault | {"times": "always"}])
    message = {"action": "upsert", "sequence": 1, "data": {"id": 1}}
    body = {"table_name": "t", "schema": {"properties": {}}, "messages": [message]}
    config: dict[str, Any] = {"api_url": api.url, "token": TOKEN, "max_retry_seconds": 0}
    outcome = tool(tmp_path, "replay", "-", stdin=json.dumps(body), **config)
    assert outcome.status == status
    assert f"{hint} Line 1 of the file" in outcome.log
    assert "dead_letter" not in outcome.log
    assert "state" not in outcome.log


def test_replay_and_tables_as_documents(api: ImportApi, tmp_path: Path) -> None:
    message = '{"action":"upsert","sequence":1,"data":{"id":1,"cost":1.10}}'
    schema = '{"properties":{"id":{"type":"integer"},"cost":{"type":"number","multipleOf":0.01}}}'
    (tmp_path / "bodies.jsonl").write_text(
        f'{{"table_name":"t","key_names":["id"],"schema":{schema},"messages":[{message}]}}\n'
    )
    path = str(tmp_path / "bodies.jsonl")
    outcome = tool(tmp_path, "replay", path, "--json", api_url=api.url, token=TOKEN)
    assert document(outcome) == {"messages": 1, "requests": 1}
    with ImportApi(tmp_path / "w.duckdb") as stored:
        assert tool(tmp_path, "replay", path, api_url=stored.url, token=TOKEN).status == 0
    outcome = tool(tmp_path, "tables", "--json", "--database", str(tmp_path / "w.duckdb"))
    (table,) = document(outcome)
    assert (table["schema"], table["table"], table["rows"]) == ("import_api", "t", 1)
    assert table["columns"]["cost"] == "DECIMAL(38,2)"
    assert table["first_rows"][0]["_sdc_sequence"] == 1
    assert '"cost": 1.10' in "".join(outcome.states)


def test_it_runs_as_a_program(api: ImportApi) -> None:
    """The one test with a process of its own: statuses come out, and stdout may be closed."""
    command = [*TOOL, "status", "--api-url", api.url]
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0
    nobody_reads, stdout = os.pipe()
    os.close(nobody_reads)
    done = subprocess.run(
        command, check=False, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(stdout)
    assert (done.returncode, done.stderr.count("\n")) == (74, 1)
    assert "Stdout cannot be written to: Broken pipe." in done.stderr
    done = subprocess.run([*TOOL, "none"], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "No such command" in done.stderr) == (78, True)


def test_local_is_not_for_the_tool(tmp_path: Path) -> None:
    outcome = tool(tmp_path, "check", region="local")
    assert (outcome.status, "stitch-import serve" in outcome.log) == (78, True)


PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


@pytest.mark.parametrize(
    ("body", "status", "said", "check"),
    [
        ("{}", 69, "is not well: 200", 76),
        ("<html>\x1b[31mhello", 76, "is a web page, which is not the Import API's", 76),
        ("[]", 76, "is a JSON list, which is not the Import API's", 76),
        ('{"status":"ERROR"}', 69, "is not well: 200", 69),
        ('{"status":"OK"', 69, "is not well: 200", 69),
        ("", 69, "is not well: 200", 76),
    ],
)
def test_a_page_is_no_import_api(
    tmp_path: Path, body: str, status: int, said: str, check: int
) -> None:
    page = PAGE % (len(body), body.encode())
    with server([page]) as (url, _):
        outcome = tool(tmp_path, "status", api_url=url)
    assert (outcome.status, said in outcome.log) == (status, True)
    assert "\x1b" not in outcome.log
    with server([page]) as (url, _):
        outcome = tool(tmp_path, "check", api_url=url, token=TOKEN, max_retry_seconds=0)
    assert outcome.status == check
    assert "which is not the Import API's" not in said or said in outcome.log


def test_status_shows_no_control_characters(tmp_path: Path) -> None:
    body = b'{"status":"OK","name":"\x7f\xc2\x9b31m"}'
    with server([PAGE % (len(body), body)]) as (url, _):
        outcome = tool(tmp_path, "status", api_url=url)
    assert (outcome.status, outcome.states[0].isprintable()) == (0, True)


@pytest.mark.parametrize(
    "command", ["--help", "--version", "check --help", "status --json --api-url http://127.0.0.1:9"]
)
def test_a_full_stdout_is_told(command: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*TOOL, *command.split()],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, "Internal" in done.stderr) == (74, False)
    assert "Stdout cannot be written to: No space left on device." in done.stderr


@pytest.mark.parametrize("command", ["push --table t --key id -", "replay -", "report -"])
def test_no_stdin_is_told(command: str) -> None:
    shell = f"exec {' '.join(TOOL)} {command} <&-"
    done = subprocess.run(["sh", "-c", shell], check=False, capture_output=True, timeout=60)
    assert (done.returncode, b"there is no stdin" in done.stderr) == (78, True)


@pytest.mark.parametrize("command", ["", "token", "source"])
def test_who_asks_for_nothing_sees_what_there_is(tmp_path: Path, command: str) -> None:
    outcome = tool(tmp_path, *command.split())
    assert (outcome.status, "Commands:" in outcome.states) == (0, True)


def test_names_that_are_no_settings_are_told_in_their_order(api: ImportApi, tmp_path: Path) -> None:
    outcome = tool(tmp_path, "status", api_url=api.url, batch_size_row=1, something=2)
    assert outcome.status == 0
    assert outcome.log == (
        "Setting `batch_size_row` is not known, and does nothing. Is `batch_size_rows` meant?\n"
        "Setting `something` is not known, and does nothing.\n"
    )
