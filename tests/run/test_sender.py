"""Delivery by the whole target as a process, through the faults of the local Import API."""

from __future__ import annotations

import json
import stat
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.support.singer import record, schema, state
from tests.support.target import TOKEN, Target, bodies, delivered

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

HUNDRED = [schema(), *(record(number, name="x" * 50) for number in range(100)), state({"n": 100})]


TEMPORARY_FAULTS = [
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
        [{"kind": "status", "status": 200, "body": {"message": "x" * 5_000, "status": "Error"}}],
        id="200 that says error late",
    ),
    pytest.param(
        [{"kind": "status", "status": 201, "body": '{"status":"OK"'}], id="201 that cannot be read"
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


@pytest.mark.parametrize("faults", TEMPORARY_FAULTS)
def test_temporary_faults_lose_and_change_nothing(
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
            assert before == message, "a repeated message is byte for byte the same"
    assert len(seen) == 100


@pytest.mark.parametrize(
    ("status", "body"), [(200, {"status": "OK"}), (201, ""), (204, ""), (202, {})]
)
def test_a_2xx_of_the_service_acknowledges(
    target: Target, api: ImportApi, status: int, body: Any
) -> None:
    api.set_faults([{"kind": "status", "status": status, "body": body}])
    outcome = target.run([schema(), record(1), state(1)])
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert " retried" not in outcome.log


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
    ({"kind": "status", "status": 401, "body": {"message": f"no {TOKEN}"}}, 77, "no […]"),
    ({"kind": "status", "status": 403}, 77, "refused the token"),
    ({"kind": "status", "status": 200, "body": "<html>Please log in"}, 76, "is a web page"),
    ({"kind": "status", "status": 201, "body": "Accepted"}, 76, "is text"),
    ({"kind": "status", "status": 200, "body": {"error": "Forbidden"}}, 76, "with an `error`"),
    ({"kind": "status", "status": 404}, 76, "not from the Import API"),
    ({"kind": "status", "status": 405}, 76, "not from the Import API"),
    ({"kind": "status", "status": 415}, 76, "not from the Import API"),
    ({"kind": "status", "status": 501}, 76, "not from the Import API"),
]


@pytest.mark.parametrize(("fault", "status", "words"), FATAL)
def test_a_permanent_error_writes_no_later_state(
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


def test_a_service_that_stays_unavailable_ends_the_run_with_69(
    target: Target, api: ImportApi
) -> None:
    api.set_faults([{"kind": "down", "times": "always"}])
    outcome = target.run([schema(), record(1), state(1)], max_retry_seconds=1)
    assert (outcome.status, outcome.states) == (69, [])
    assert "did not accept a batch of stream `people`" in outcome.log
    assert delivered(api) == []


def test_a_retry_after_longer_than_the_time_left_ends_the_run(
    target: Target, api: ImportApi
) -> None:
    headers = {"Retry-After": "1000000000"}
    api.set_faults([{"kind": "status", "status": 429, "headers": headers}])
    assert target.run([schema(), record(1)]).status == 69


def test_an_acknowledgement_after_a_failed_batch_writes_no_state(
    target: Target, api: ImportApi
) -> None:
    """The other batch is acknowledged, but both states also cover the failed one."""
    api.set_faults([{"kind": "down", "times": "always", "table": "a"}])
    messages = [schema("a"), schema("b"), record(1, "a"), state(1), record(1, "b"), state(2)]
    outcome = target.run(messages, max_retry_seconds=1)
    assert (outcome.status, outcome.states) == (69, [])
    assert delivered(api, "b") == [{"id": 1}]


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


def test_a_record_refused_by_the_service_is_named(target: Target) -> None:
    outcome = target.run(POISON, validate_records=False)
    assert (outcome.status, outcome.states) == (65, [])
    assert "Line 19: the Import API refuses a record of stream `people`" in outcome.log
    assert "#/name" in outcome.log, "the service's own words"
    assert "yyyyy" not in outcome.log


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
    dead_letters = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted((each["line"], each["record"]["id"]) for each in dead_letters) == [
        (19, 17),
        (62, 60),
    ]
    assert all("/name" in each["reason"] for each in dead_letters)
    assert all(len(str(each["sequence"])) == 19 for each in dead_letters)
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
        """Log nothing."""


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
    (dead_letter,) = map(json.loads, path.read_text().splitlines())
    assert (dead_letter["line"], dead_letter["record"]["id"]) == (41, 39)
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
    assert "The first record beyond the limit: Line 4: field `/id`" in outcome.log
    assert "secret" not in outcome.log
    dead_letters = (tmp_path / "dead.jsonl").read_text().splitlines()
    assert [json.loads(each)["line"] for each in dead_letters] == [2, 3], "those that count"


def test_nothing_is_set_aside_if_the_service_refuses_everything(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    path = tmp_path / "dead.jsonl"
    api.set_faults([{"kind": "status", "status": 400, "body": {"error": "x"}, "times": "always"}])
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run(HUNDRED, **settings)
    assert (outcome.status, outcome.states) == (65, [])
    assert "records in a row" in outcome.log
    assert path.read_text() == ""


def test_refusing_single_record_batches_ends_the_run(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """The eighth record in a row ends the run; those before it may have been set aside."""
    path = tmp_path / "dead.jsonl"
    api.set_faults([{"kind": "status", "status": 400, "body": {"error": "x"}, "times": "always"}])
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    streams = [f"s{number}" for number in range(20)]
    messages = [*map(schema, streams), *(record(1, stream) for stream in streams), state(1)]
    outcome = target.run(messages, **settings)
    assert (outcome.status, outcome.states) == (65, [])
    assert "records in a row" in outcome.log
    assert len(path.read_text().splitlines()) <= 7


def test_half_a_surrogate_pair_is_set_aside_as_text(target: Target, tmp_path: Path) -> None:
    """The file stays JSON in UTF-8, whatever the record is."""
    path = tmp_path / "dead.jsonl"
    text = '{"id":1,"name":"\\ud800"}'
    bad = f'{{"type":"RECORD","stream":"people","record":{text}}}'
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run([schema(), bad, state(1)], **settings)
    assert (outcome.status, outcome.states) == (0, ["1"])
    (dead_letter,) = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert dead_letter["record_text"] == text
    assert dead_letter["reason"] == "field `/name`: it contains an unpaired surrogate"


def test_a_full_disk_under_the_dead_letters(target: Target) -> None:
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": "dead.jsonl"}
    messages = [schema(), record(0, id=None), state(1)]
    outcome = replace(target, max_file_bytes=0).run(messages, **settings)
    assert (outcome.status, outcome.states) == (74, [])
    assert "The dead-letter file dead.jsonl cannot be written: File too large. Raise" in outcome.log


VERSION_7 = {"version": 7}
ACTIVATION = {"type": "ACTIVATE_VERSION", "stream": "people", **VERSION_7}
INCOMPLETE_VERSION = [
    schema(),
    record(1, message=VERSION_7),
    record(0, id="bad", message=VERSION_7),
    state(1),
    ACTIVATION,
    state(2),
]


def test_the_activation_of_an_incomplete_version_is_set_aside(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """It follows the record in the file; the run continues, with a warning."""
    path = tmp_path / "dead.jsonl"
    rest = [schema("b"), record(1, "b", message=VERSION_7), ACTIVATION | {"stream": "b"}, state(3)]
    outcome = target.run(
        [*INCOMPLETE_VERSION, *rest], on_invalid_record="dead_letter", dead_letter_path=str(path)
    )
    assert (outcome.status, outcome.states[-1]) == (0, "3")
    dead_letters = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(each["line"], each.get("action")) for each in dead_letters] == [
        (3, None),
        (5, "activate_version"),
    ]
    assert dead_letters[1]["request"]["table_version"] == 7
    activated = [
        body["table_name"]
        for body in bodies(api)
        if body["messages"][0]["action"] == "activate_version"
    ]
    assert activated == ["b"]
    assert "WARNING" in outcome.log
    assert "version 7 is not activated" in outcome.log
    assert "1 record and 1 activation are set aside in" in outcome.log


def test_an_incomplete_version_is_not_activated_by_the_next_run(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """The dead-letter file says so, with the name of the table at the service."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    first = target.run(INCOMPLETE_VERSION[:4], table_prefix="raw_", **settings)
    assert (first.status, first.states) == (0, ["1"])
    second = target.run([schema(), ACTIVATION, state(2)], table_prefix="raw_", **settings)
    assert (second.status, second.states) == (0, ["2"])
    assert len(path.read_text().splitlines()) == 2
    activating = {"table_prefix": "raw_", "activate_incomplete_versions": True}
    third = target.run([schema(), ACTIVATION, state(3)], **activating, **settings)
    assert (third.status, third.states) == (0, ["3"])
    assert bodies(api)[-1]["messages"][0]["action"] == "activate_version"
    assert {body["table_name"] for body in bodies(api)} == {"raw_people"}


def test_a_learned_limit_applies_to_the_rest_of_the_run(target: Target, api: ImportApi) -> None:
    """Later batches are no larger than what the service accepted."""
    api.set_faults([{"kind": "status", "status": 413}])
    rows = [record(number, name="x" * 900) for number in range(1_000)]
    outcome = target.run(
        [schema(), *rows, state(1)],
        batch_size_bytes=100_000,
        max_buffer_bytes=100_000,  # so that most of the input is read after the first answer
        max_in_flight_requests=1,
    )
    assert (outcome.status, outcome.states) == (0, ["1"])
    sizes = [len(request["body"]) for request in api.requests() if request["body"]]
    assert all(size <= 50_000 for size in sizes[-8:])
    assert len(delivered(api)) == 1_000
