"""The whole target, as a process, against the local Import API and its faults."""

from __future__ import annotations

import json
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.conftest import TOKEN, Target, bodies, delivered, lines, record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

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
def test_inputs_without_records(target: Target, messages: Any, states: list[str]) -> None:
    outcome = target.run(messages)
    assert (outcome.status, outcome.states) == (0, states)


def test_a_schema_before_every_record_makes_no_tiny_batches(target: Target, api: ImportApi) -> None:
    messages = [each for number in range(50) for each in (schema(), record(number), state(number))]
    assert target.run(messages).status == 0
    assert len(bodies(api)) == 1


def test_many_streams(target: Target, api: ImportApi) -> None:
    names = [f"s{number}" for number in range(40)]
    messages = [schema(name) for name in names]
    messages += [record(number, name) for number in range(5) for name in names]
    outcome = target.run([*messages, state("end")])
    assert (outcome.status, outcome.states) == (0, ['"end"'])
    assert len(bodies(api)) == 40
    assert all(len(delivered(api, name)) == 5 for name in names)


PASSING = [
    pytest.param([{"kind": "status", "status": status}], id=str(status))
    for status in (408, 425, 429, 500, 502, 503, 504)
] + [
    pytest.param([{"kind": "down", "times": 3}], id="down"),
    pytest.param([{"kind": "reset_before", "times": 2}], id="reset before the body"),
    pytest.param([{"kind": "reset_after"}], id="reset after it was stored"),
    pytest.param([{"kind": "truncate"}], id="answer cut off"),
    pytest.param([{"kind": "latency", "seconds": 1.5}], id="read timeout"),
    pytest.param(
        [{"kind": "status", "status": 200, "body": {"status": "ERROR", "message": "x"}}],
        id="200 that says error",
    ),
    pytest.param(
        [{"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}], id="Retry-After"
    ),
    pytest.param(
        [{"kind": "status", "status": 503, "headers": {"Retry-After": "-7"}}], id="negative"
    ),
    pytest.param(
        [{"kind": "status", "status": 503, "headers": {"Retry-After": "soon"}}], id="junk"
    ),
]


@pytest.mark.parametrize("faults", PASSING)
def test_passing_faults_lose_and_change_nothing(
    target: Target, api: ImportApi, faults: list[Any]
) -> None:
    api.set_faults(faults)
    outcome = target.run(HUNDRED, batch_size_rows=10, request_timeout_seconds=1)
    assert (outcome.status, outcome.states[-1]) == (0, '{"n": 100}')
    assert api.query("select count(*), count(distinct id) from import_api.people") == [(100, 100)]
    seen: dict[int, Any] = {}
    for body in bodies(api):
        for message in body["messages"]:
            before = seen.setdefault(message["sequence"], message)
            assert before == message, "a repeated message is the same to the letter"
    assert len(seen) == 100


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", ["", "plain text", {"status": "OK"}])
def test_any_2xx_acknowledges(target: Target, api: ImportApi, status: int, body: Any) -> None:
    api.set_faults([{"kind": "status", "status": status, "body": body}])
    outcome = target.run([schema(), record(1), state(1)])
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert "repeated: 0;" in outcome.log


def test_202_is_not_sent_again(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "queue"}])
    assert target.run([schema(), record(1), state(1)]).states == ["1"]
    assert len(bodies(api)) == 1


FATAL = [
    ({"kind": "redirect", "location": "http://127.0.0.1:9/x"}, 76, "redirect"),
    ({"kind": "status", "status": 401, "body": {"message": "Invalid region."}}, 77, "other region"),
    (
        {
            "kind": "status",
            "status": 401,
            "body": {"error": "Forbidden", "errors": {"error": "Connection is not active."}},
        },
        77,
        "paused or deleted",
    ),
    ({"kind": "status", "status": 401, "body": {"message": f"no {TOKEN}"}}, 77, "[token]"),
    ({"kind": "status", "status": 403}, 77, "refused the token"),
    ({"kind": "status", "status": 404}, 76, "not the Import API's"),
    ({"kind": "status", "status": 405}, 76, "not the Import API's"),
    ({"kind": "status", "status": 415}, 76, "not the Import API's"),
    ({"kind": "status", "status": 501}, 76, "not the Import API's"),
]


@pytest.mark.parametrize(("fault", "status", "words"), FATAL)
def test_what_ends_the_run_writes_no_later_state(
    target: Target, api: ImportApi, fault: Any, status: int, words: str
) -> None:
    """The third batch fails: the state of the first two may be written, no other."""
    messages = [each for n in range(5) for each in (record(n), state(n))]
    api.set_faults(
        [{"kind": "latency", "seconds": 0.0, "times": 1}, {"kind": "queue", "times": 2}, fault]
    )
    settings = {"batch_size_rows": 1, "max_in_flight_requests": 1}
    outcome = target.run([schema(), *messages], **settings)
    assert outcome.status == status
    assert words in outcome.log
    assert outcome.states in (["1"], ["0", "1"])
    assert [each["id"] for each in delivered(api)] == [0, 1]


def test_a_service_that_stays_away_ends_the_run_with_69(target: Target, api: ImportApi) -> None:
    api.set_faults([{"kind": "down", "times": "always"}])
    outcome = target.run([schema(), record(1), state(1)], max_retry_seconds=1)
    assert (outcome.status, outcome.states) == (69, [])
    assert "did not take a batch of stream `people`" in outcome.log
    assert delivered(api) == []


def test_a_retry_after_longer_than_the_time_left_ends_the_run(
    target: Target, api: ImportApi
) -> None:
    headers = {"Retry-After": "1000000000"}
    api.set_faults([{"kind": "status", "status": 429, "headers": headers}])
    assert target.run([schema(), record(1)]).status == 69


def test_the_first_fails_while_the_second_succeeds(target: Target, api: ImportApi) -> None:
    """Acknowledgements behind a failure release no state."""
    api.set_faults([{"kind": "down", "times": "always", "table": "a"}])
    messages = [schema("a"), schema("b"), record(1, "a"), state(1), record(1, "b"), state(2)]
    outcome = target.run(messages, max_retry_seconds=1)
    assert (outcome.status, outcome.states) == (69, [])
    assert delivered(api, "b") == [{"id": 1}]


def test_nobody_listens_then_somebody_does_not(target: Target) -> None:
    settings = {"api_url": "http://127.0.0.1:9", "max_retry_seconds": 0.5}
    outcome = target.run([schema(), record(1), state(1)], **settings)
    assert (outcome.status, outcome.states) == (69, [])
    assert "no connection" in outcome.log


def test_bodies_too_large_for_the_service_are_halved_for_the_rest_of_the_run(
    target: Target, api: ImportApi
) -> None:
    api.set_faults([{"kind": "status", "status": 413, "times": 2}])
    outcome = target.run(HUNDRED, max_in_flight_requests=1)
    assert (outcome.status, outcome.states) == (0, ['{"n": 100}'])
    assert [len(body["messages"]) for body in bodies(api)] == [25, 25, 50]
    assert [each["id"] for each in delivered(api)] == list(range(100))


def test_a_lone_record_too_large_for_the_service_is_a_bad_record(
    target: Target, api: ImportApi
) -> None:
    api.set_faults([{"kind": "status", "status": 413, "times": "always"}])
    outcome = target.run([schema(), record(1), state(1)])
    assert (outcome.status, outcome.states) == (65, [])
    assert "Line 2: the Import API refuses a record of stream `people`: 413" in outcome.log


POISON = [
    schema(name={"type": ["null", "string"], "maxLength": 60}),
    *(record(n, name="y" * (61 if n in {17, 60} else 5)) for n in range(100)),
    state(1),
]


def test_a_record_refused_by_the_service_is_named(target: Target, api: ImportApi) -> None:
    outcome = target.run(POISON, validate_records=False)
    assert (outcome.status, outcome.states) == (65, [])
    assert "Line 19: the Import API refuses a record of stream `people`" in outcome.log
    assert "#/name" in outcome.log, "the service's own words"
    assert "yyyyy" not in outcome.log
    assert api.requests() == [] or 17 not in [each["id"] for each in delivered(api)]


@pytest.mark.parametrize("validate", [True, False])
def test_bad_records_are_set_aside_and_the_others_arrive(
    target: Target,
    api: ImportApi,
    tmp_path: Path,
    validate: bool,  # noqa: FBT001
) -> None:
    """Refused locally or by the service: the file holds each with its line, reason and text."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run(POISON, validate_records=validate, **settings)
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert [each["id"] for each in delivered(api)] == [n for n in range(100) if n not in {17, 60}]
    letters = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted((each["line"], each["record"]["id"]) for each in letters) == [(19, 17), (62, 60)]
    assert all("/name" in each["reason"] for each in letters)
    assert all(len(str(each["sequence"])) == 19 for each in letters)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "98 acknowledged, 2 set aside" in outcome.log


class Picky(BaseHTTPRequestHandler):
    """A service that refuses a body for one record, and does not say which."""

    protocol_version = "HTTP/1.1"
    accepted: ClassVar[list[int]] = []
    requests = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_refused = b"poison" in body
        if not is_refused:
            self.accepted.extend(each["data"]["id"] for each in json.loads(body)["messages"])
        type(self).requests += 1
        self.send_response(400 if is_refused else 201)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_halving_finds_a_record_that_the_service_does_not_name(
    target: Target, tmp_path: Path
) -> None:
    path = tmp_path / "dead.jsonl"
    rows = [record(n, name="poison" if n == 39 else "x") for n in range(64)]
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    with ThreadingHTTPServer(("127.0.0.1", 0), Picky) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{service.server_port}"
        outcome = target.run([schema(), *rows, state(1)], api_url=url, **settings)
        service.shutdown()
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert sorted(Picky.accepted) == [n for n in range(64) if n != 39]
    (letter,) = map(json.loads, path.read_text().splitlines())
    assert (letter["line"], letter["record"]["id"]) == (41, 39)
    assert Picky.requests <= 2 * 6 + 1, "about twice the logarithm of the batch"


def test_too_many_dead_letters_end_the_run(target: Target, tmp_path: Path) -> None:
    settings = {
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(tmp_path / "dead.jsonl"),
        "dead_letter_limit": 2,
    }
    bad = [record(0, id=f"secret{n}") for n in range(3)]
    outcome = target.run([schema(), *bad, state(1)], **settings)
    assert (outcome.status, outcome.states) == (65, [])
    assert "More than 2 records would be set aside (`dead_letter_limit`)" in outcome.log
    assert "The first one too many: Line 4: field `/id`" in outcome.log
    assert "secret" not in outcome.log
    letters = (tmp_path / "dead.jsonl").read_text().splitlines()
    assert [json.loads(each)["line"] for each in letters] == [2, 3], "those that count"


def test_a_service_that_refuses_everything_diverts_nothing(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    path = tmp_path / "dead.jsonl"
    api.set_faults([{"kind": "status", "status": 400, "body": {"error": "x"}, "times": "always"}])
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run(HUNDRED, **settings)
    assert (outcome.status, outcome.states) == (65, [])
    assert "record after record" in outcome.log
    assert path.read_text() == ""


def test_a_service_that_refuses_lone_batches_is_found_out(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """At the eighth record in a row; those before it may be set aside by then."""
    path = tmp_path / "dead.jsonl"
    api.set_faults([{"kind": "status", "status": 400, "body": {"error": "x"}, "times": "always"}])
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    streams = [f"s{number}" for number in range(20)]
    messages = [*map(schema, streams), *(record(1, stream) for stream in streams), state(1)]
    outcome = target.run(messages, **settings)
    assert (outcome.status, outcome.states) == (65, [])
    assert "record after record" in outcome.log
    assert len(path.read_text().splitlines()) <= 7


def test_half_a_surrogate_pair_is_set_aside_as_text(target: Target, tmp_path: Path) -> None:
    """The file stays JSON in UTF-8, whatever the record is."""
    path = tmp_path / "dead.jsonl"
    text = '{"id":1,"name":"\\ud800"}'
    bad = f'{{"type":"RECORD","stream":"people","record":{text}}}'
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run([schema(), bad, state(1)], **settings)
    assert (outcome.status, outcome.states) == (0, ["1"])
    (letter,) = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert letter["record_text"] == text
    assert letter["reason"] == "field `/name`: it has half a surrogate pair, no character"


def test_a_full_disk_under_the_dead_letters(target: Target) -> None:
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": "/dev/full"}
    outcome = target.run([schema(), record(0, id=None), state(1)], **settings)
    assert (outcome.status, outcome.states) == (74, [])
    assert "No space left" in outcome.log


BAD_INPUT = [
    ("not json", "Line 4 is not JSON"),
    ('{"type":"RECORD","stream":"people"}', "Line 4: RECORD of stream `people` has no `record`"),
    (record(1, "other"), "Line 4: RECORD of stream `other` came before its SCHEMA"),
    (record(1, id="S3CRET"), "Line 4: a record of stream `people` cannot be sent: field `/id`"),
    ('{"type":"RECORD","stream":"people","record":{"id":NaN}}', "NaN"),
    (schema("other", x={"type": "txt"}), "Line 4: SCHEMA of stream `other`"),
]


@pytest.mark.parametrize(("message", "words"), BAD_INPUT)
def test_bad_input_is_named_and_what_is_before_it_arrives(
    target: Target, api: ImportApi, message: Any, words: str
) -> None:
    outcome = target.run([schema(), record(1), state(1), message, record(2), state(2)])
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert words in outcome.log
    assert "S3CRET" not in outcome.log
    assert delivered(api) in ([{"id": 1}], [{"id": 1}, {"id": 2}]), "what was read, and no more"


def test_a_truncated_last_line(target: Target, api: ImportApi) -> None:
    outcome = target.run(lines([schema(), record(1), state(1)]) + b'{"type":"RECORD","str')
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert "Line 4 is cut off" in outcome.log
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
    """It tells of the records, and no later run finds a version that lacks them."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    version = {"version": 7}
    good, bad = record(1, message=version), record(2, name=5, message=version)
    outcome = target.run([schema(), good, bad], "--dry-run", **settings)
    assert (outcome.status, path.exists()) == (0, False)
    assert "Line 3: a record of stream `people` would be set aside: field `/name`" in outcome.log
    assert "2 read, 1 would be sent, 1 set aside" in outcome.log
    assert "1 messages would be sent" in outcome.log
    assert "acknowledged" not in outcome.log
    assert "answered" not in outcome.log
    too_many = target.run([schema(), good, bad], "--dry-run", dead_letter_limit=0, **settings)
    assert (too_many.status, path.exists()) == (65, False)
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
    """What is still in memory is written before the run says how it ended."""
    path = tmp_path / "summary.json"
    messages = [schema(), record(1), state(1)]  # few enough to stay in memory until the end
    outcome = target.run(messages, "-o", "/dev/full", summary_path=str(path))
    assert (outcome.status, outcome.states, delivered(api)) == (74, ["1"], [{"id": 1}])
    summary = json.loads(path.read_text())
    assert summary["exit_status"] == 74
    assert (
        summary["error"] == "The output file /dev/full cannot be written: No space left on device."
    )


def test_the_summary_tells_what_was_done(target: Target, api: ImportApi, tmp_path: Path) -> None:
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


def test_a_state_of_any_size_is_told_digit_for_digit(target: Target, tmp_path: Path) -> None:
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
