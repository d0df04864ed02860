"""`stitch-import push` and `validate`: what arrives, what is refused, and the messages."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_stitch_import.local import ImportApi
from target_stitch_import.local.api.transit import read_transit
from target_stitch_import.local.api.values import Moment
from target_stitch_import.toolbox.transit import to_transit
from tests.support.singer import lines
from tests.support.target import TOKEN, Outcome
from tests.support.toolbox import document, tool

if TYPE_CHECKING:
    from pathlib import Path

AS_THEY_ARE = [
    '{"id":1,  "cost":3.140, "big":12345678901234567890.50, "e":1E-7}',
    '{"id":2,"text":"\\u00e9~^`","at":"2024-01-31T23:59:59Z","list":[1,{"x":null}]}',
]


def send(
    folder: Path,
    api: ImportApi,
    records: bytes,
    *options: str,
    command: str = "push",
    **config: Any,
) -> Outcome:
    """Run a command with records on stdin."""
    given = (command, "--table", "people", "--key", "id", *options, "-")
    config = {"api_url": api.url, "token": TOKEN, "client_id": 7723, **config}
    return tool(folder, *given, stdin=records, **config)


def pushed(api: ImportApi) -> list[Any]:
    """Return the records of each accepted request."""
    return [json.loads(each["body"]) for each in api.requests()]


def test_records_arrive_unchanged_and_in_order(api: ImportApi, tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_bytes(lines([*AS_THEY_ARE, "", *({"id": at} for at in range(3, 26))]))
    options = ("--table", "people", "--key", "id", str(path))
    config: dict[str, Any] = {"client_id": "7723", "batch_size_rows": 10}
    outcome = tool(tmp_path, "push", *options, api_url=api.url, token=TOKEN, **config)
    assert (outcome.status, outcome.states) == (0, ["25 records pushed to table people."])
    for text in AS_THEY_ARE:
        assert f'"data":{text}' in api.requests()[0]["body"]
    assert list(map(len, pushed(api))) == [10, 10, 5]
    records = [record for request in pushed(api) for record in request]
    assert [each["data"]["id"] for each in records] == list(range(1, 26))
    sequences = [each["sequence"] for each in records]
    assert all(a < b for a, b in pairwise(sequences))
    assert sequences[0] > 10**18  # nanoseconds, as of all clients that load the same tables
    assert api.query("select count(*) from import_api.people") == [(25,)]


def test_the_last_record_of_a_key_stays(api: ImportApi, tmp_path: Path) -> None:
    records = lines([{"id": 1, "name": str(at)} for at in range(50)])
    assert send(tmp_path, api, records, batch_size_rows=7).status == 0
    assert api.query("select name from import_api.people") == [("49",)]


def test_requests_fill_up_to_their_bytes(api: ImportApi, tmp_path: Path) -> None:
    records = lines([{"id": at, "text": "x" * 100} for at in range(100)])
    assert send(tmp_path, api, records, batch_size_bytes=3000).status == 0
    sizes = [len(each["body"]) for each in api.requests()]
    assert max(sizes) <= 3000
    assert min(sizes[:-1]) > 3000 - 250


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
        {"kind": "reset_before"},
        {"kind": "reset_after"},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [[], ["--transit"]])
def test_failed_requests_are_retried(
    api: ImportApi, tmp_path: Path, fault: Any, form: list[str]
) -> None:
    """With the same bytes, and before any later request."""
    api.set_faults([fault])
    outcome = send(tmp_path, api, lines([{"id": 1}, {"id": 2}]), *form, batch_size_rows=1)
    assert outcome.status == 0
    assert "Retrying in" in outcome.log
    bodies = [each["body"] for each in api.requests()]
    assert len(bodies) == 2 + (fault["kind"] == "reset_after")
    assert len(set(bodies)) == len(list(groupby(bodies))) == 2


def test_a_service_that_stays_unavailable_ends_the_push(api: ImportApi, tmp_path: Path) -> None:
    """The log says which records arrived before."""
    api.set_faults([{"kind": "queue"}, {"kind": "down", "times": "always"}])
    records = lines([{"id": 1}, {"id": 2}])
    outcome = send(tmp_path, api, records, "--json", batch_size_rows=1, max_retry_seconds=0)
    assert outcome.status == 69
    assert "after 1 attempt" in outcome.log
    assert document(outcome)["exit_status"] == 69
    assert "1 record acknowledged, the last one of line 1." in outcome.log
    assert len(pushed(api)) == 1


def test_retries_end(api: ImportApi, tmp_path: Path) -> None:
    api.set_faults([{"kind": "down", "times": "always"}])
    outcome = send(tmp_path, api, lines([{"id": 1}]), max_retry_seconds=0.5)
    assert outcome.status == 69
    assert "No record is acknowledged.\nThe Import API did not accept" in outcome.log
    assert outcome.log.endswith(" Run the command again later.\n")


WRONG_LINES = [
    ("junk", "it is not a JSON object"),
    ('{"id":NaN}', "it is not a JSON object"),
    ("[1]", "it is not a JSON object"),
    ('{"id":3', "it is not a JSON object"),
    ('{"id":3}{"id":4}', "it is not a JSON object"),
    ('{"id":' + "[" * 5000 + "]" * 5000 + "}", "it is nested too deeply"),
    ('{"name":"a"}', "data: data must include keys"),
    ('{"id":null}', "data: keys cannot not be null in data"),
    ('{"id":[1]}', "data: data must include keys"),
    (json.dumps({"id": "k" * 1025}), "String keys cannot be longer than 1024 characters"),
    (json.dumps({"id": 1, "x": [0] * 10_001}), "data has too many data points"),
]


@pytest.mark.parametrize(("text", "words"), WRONG_LINES, ids=lambda each: each[:12])
@pytest.mark.parametrize("form", [[], ["--transit"]])
def test_a_refused_line_ends_the_push_at_that_line(
    api: ImportApi, tmp_path: Path, text: str, words: str, form: list[str]
) -> None:
    """Earlier lines arrive, later ones do not; the message names the line."""
    records = lines([*({"id": at} for at in range(9)), "", text, *({"id": 20} for _ in range(9))])
    outcome = send(tmp_path, api, records, "--json", *form)
    assert outcome.status == 65
    assert "Line 11 is refused: " in outcome.log
    answer = document(outcome)
    assert (answer["table"], answer["records"]) == ("people", 9)
    (refused,) = answer["refused"]
    assert refused["line"] == 11
    assert words in refused["reason"]
    assert api.query("select max(id) from import_api.people") == [(8,)]


def test_text_that_is_not_utf_8_is_refused(api: ImportApi, tmp_path: Path) -> None:
    outcome = send(tmp_path, api, b'{"id":1}\n{"id":"\xff"}\n')
    assert (outcome.status, "Line 2 is refused: it is not UTF-8." in outcome.log) == (65, True)
    assert outcome.states == [
        "1 record pushed to table people. Continue with line 2 after fixing it."
    ]


def test_validate_lists_what_is_refused_and_loads_nothing(api: ImportApi, tmp_path: Path) -> None:
    wrong = [text for text, _ in WRONG_LINES]
    texts = [json.dumps({"id": 0})] + [each for text in wrong for each in (text, '{"id":1}')]
    outcome = send(tmp_path, api, lines(texts), "--json", command="validate")
    assert outcome.status == 65
    answer = document(outcome)
    assert [each["line"] for each in answer["refused"]] == list(range(2, 24, 2))
    assert (answer["valid"], answer["complete"]) == (12, True)
    for (_, words), refused in zip(WRONG_LINES, answer["refused"], strict=True):
        assert words in refused["reason"]
    assert api.tables() == []


@pytest.mark.parametrize("form", [[], ["--transit"]])
def test_validate_accepts_valid_records(api: ImportApi, tmp_path: Path, form: list[str]) -> None:
    outcome = send(tmp_path, api, lines(AS_THEY_ARE), *form, command="validate")
    assert (outcome.status, outcome.states) == (0, ["Valid: 2 records."])
    assert api.tables() == []


def test_validate_stops_after_many_invalid_lines(api: ImportApi, tmp_path: Path) -> None:
    outcome = send(tmp_path, api, lines([{"name": "a"}] * 100), command="validate")
    assert (outcome.status, len(outcome.states)) == (65, 21)
    assert outcome.states[-1] == "Stopped after 20 refused records."


def test_bodies_that_are_too_large_are_halved(tmp_path: Path) -> None:
    with ImportApi(max_body_bytes=2_000) as small:
        records = lines([{"id": at, "text": "x" * 100} for at in range(50)])
        assert send(tmp_path, small, records).status == 0
        assert small.query("select count(*) from import_api.people") == [(50,)]
        outcome = send(tmp_path, small, lines([{"id": 1}, {"id": 2, "text": "x" * 3000}]))
        assert outcome.status == 65
        assert "Line 2 is refused: 413" in outcome.log


@pytest.mark.parametrize(
    ("token", "client_id", "words"),
    [
        ("good", 9999, "the token belongs to another client. Check `client_id`"),
        ("bad", 7723, "refused the token"),
        ("european", 7723, "other region"),
        ("paused", 7723, "paused or deleted"),
    ],
)
def test_wrong_credentials_are_reported(
    strict_api: ImportApi, tmp_path: Path, token: str, client_id: int, words: str
) -> None:
    config: dict[str, Any] = {"token": token, "client_id": client_id}
    for command in ("push", "validate"):
        outcome = send(tmp_path, strict_api, lines([{"id": 1}]), command=command, **config)
        assert (outcome.status, words in outcome.log) == (77, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key", "id", "-"], "Missing option '--table'"),
        (["--table", "people", "-"], "Missing option '--key'"),
        (["--table", "people", "--key", "id"], "Missing argument 'FILE'"),
        (["--table", "people", "--key", "id", "none.jsonl"], "none.jsonl"),
        (["--table", "people", "--key", "id", "-"], "`client_id` is missing"),
        (["--table", "people", "--key", "id", "--client-id", "x", "-"], "--client-id"),
    ],
)
def test_missing_options_are_reported(
    api: ImportApi, tmp_path: Path, options: list[str], words: str
) -> None:
    outcome = tool(tmp_path, "push", *options, api_url=api.url, token=TOKEN)
    assert (outcome.status, words in outcome.log) == (78, True)


def test_transit_types_date_times(api: ImportApi, tmp_path: Path) -> None:
    records = [
        {"id": 1, "at": "2024-02-29T23:59:59.123456Z", "text": "~2024", "list": ["^ ", {"`": 1}]},
        {"id": 2, "at": "2024-03-01 01:00:00+02:30", "text": "on 2024-03-01T00:00:00Z"},
        {"id": 3, "at": "0001-01-01T00:00:00Z", "text": "2024-03-01T00:00:00"},
    ]
    assert send(tmp_path, api, lines(records), "--transit").status == 0
    query = 'select id, "at"::varchar, typeof("at"), "text" from import_api.people order by id'
    assert api.query(query) == [
        (1, "2024-02-29 23:59:59.123456", "TIMESTAMP", "~2024"),
        (2, "2024-02-29 22:30:00", "TIMESTAMP", "on 2024-03-01T00:00:00Z"),
        (3, "0001-01-01 00:00:00", "TIMESTAMP", "2024-03-01T00:00:00"),
    ]
    api.reset()
    assert send(tmp_path, api, lines(records)).status == 0
    assert api.query('select distinct typeof("at") from import_api.people') == [("VARCHAR",)]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.decimals(allow_nan=False, allow_infinity=False, places=12).map(lambda d: float(d) + 0.0)
    | st.text(st.characters(codec="utf-8"))
    | st.sampled_from(["~", "^ ", "~#x", "^0", "`", "~~", "~t2024"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES))
def test_a_reader_of_transit_returns_the_record(record: dict[str, Any]) -> None:
    text = json.dumps(record)
    expected = json.loads(text, parse_float=Decimal)
    assert read_transit(b"[%b]" % to_transit(text.encode())) == [expected]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("1", "1"),
        ("-9007199254740991", "-9007199254740991"),
        ("9007199254740992", '"~i9007199254740992"'),
        ("-9223372036854775808", '"~i-9223372036854775808"'),
        ("9223372036854775808", '"~n9223372036854775808"'),
        ("1" * 5000, f'"~n{"1" * 5000}"'),
        ("0.1", "0.1"),
        ("1e3", "1000.0"),
        ("0.12345678901234567890", '"~f0.12345678901234567890"'),
        ("1e400", '"~f1e400"'),
        ('"2024-01-31T23:59:59z"', '"~t2024-01-31T23:59:59Z"'),
        ('"2024-01-01T00:30:00.5+01:00"', '"~t2023-12-31T23:30:00.5Z"'),
        ('"2024-01-01T00:30:00-0130"', '"~t2024-01-01T02:00:00Z"'),
        ('"2024-01-31"', '"2024-01-31"'),
        ('"2024-02-30T00:00:00Z"', '"2024-02-30T00:00:00Z"'),
        ('"0001-01-01T00:00:00+01:00"', '"0001-01-01T00:00:00+01:00"'),
        ('"~x"', '"~~x"'),
    ],
    ids=lambda each: each[:30],
)
def test_each_value_is_written_in_its_transit_form(text: str, sent: str) -> None:
    assert to_transit(f'{{"x":{text}}}'.encode()).decode() == f'{{"x":{sent}}}'


@pytest.mark.parametrize(
    "text", ['{"x":1e99999999999999999999}', '{"x":"\\ud800"}', '{"x":NaN}', '{"x"', "[" * 9999]
)
def test_values_that_transit_cannot_represent_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it contains|it is not|nested|not a JSON"):
        to_transit(text.encode())


def test_a_moment_in_transit_is_read_as_a_moment() -> None:
    (read,) = read_transit(b"[%b]" % to_transit(b'{"at":"2024-01-31T23:59:59+00:00"}'))
    assert isinstance(read["at"], Moment)
