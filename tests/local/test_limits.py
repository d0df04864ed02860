"""Limits and hostile bodies: refused while reading, never a crash, nothing stored."""

# ruff: noqa: ISC004 - the tables' long texts

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.local import ImportApi
from tests.local.calls import ACCOUNTS, CUSTOMERS, PUSHED, batch, call, customers, upsert

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTE = b" " * 1_000_000
DIGITS = "1" * 5_000


def chunks(count: int) -> Iterator[bytes]:
    """Yield a body in chunks."""
    yield json.dumps(CUSTOMERS).encode()
    for _ in range(count):
        yield MEGABYTE


@pytest.mark.parametrize(("megabytes", "status"), [(19, 201), (20, 413), (60, 413)])
@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_over_the_limit_is_refused(
    api: ImportApi, megabytes: int, status: int, *, has_length: bool
) -> None:
    """The client gets the answer even if it is still sending."""
    body: Any = b"".join(chunks(megabytes)) if has_length else chunks(megabytes)
    answer = call(api, data=body)
    assert answer.status_code == status
    if status == 413:
        assert "exceeds the maximum" in answer.json()["message"]
        assert api.requests() == []


@pytest.mark.parametrize(
    ("media_type", "size", "status"),
    [("application/json", 20_000_001, b"413"), ("text/plain", 100, b"415")],
)
def test_expect_100_continue_is_refused_before_the_body_is_sent(
    api: ImportApi, media_type: str, size: int, status: bytes
) -> None:
    """`Expect: 100-continue` gets the refusal instead of 100."""
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            "POST /v2/import/batch HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            f"Content-Type: {media_type}\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        assert connection.recv(1000).split()[1] == status


def test_a_smaller_limit_applies() -> None:
    with ImportApi(accounts=ACCOUNTS, max_body_bytes=1000) as small:
        assert call(small, data=json.dumps(CUSTOMERS).encode().ljust(1000)).status_code == 201
        assert call(small, data=json.dumps(CUSTOMERS).encode().ljust(1001)).status_code == 413


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nope",
        b"\xff\xfe",
        b'{"table_name": "\xff"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"table_name": NaN}',
        b'{"table_name": Infinity}',
        b'{"table_name": 1e99999999999999999999}',
        b'{"table_name": ' + b"9" * 10_000 + b"}",
        b'{"table_name": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        json.dumps(CUSTOMERS).encode() + b"x",
        json.dumps(CUSTOMERS).encode()[:-1],
        json.dumps(CUSTOMERS).encode("utf-16"),
        b"null",
        b'"text"',
        b"1",
    ],
    ids=lambda raw: repr(raw[:24]),
)
@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/v2/import/batch", "application/json"),
        ("/v2/import/push", "application/json"),
        ("/v2/import/push", "application/transit+json"),
        ("/v2/import/validate", "application/json"),
    ],
)
def test_a_body_that_is_not_a_request_is_refused(
    api: ImportApi, path: str, media_type: str, raw: bytes
) -> None:
    answer = call(api, path, data=raw, media_type=media_type)
    assert answer.status_code == 400
    assert set(answer.json()) & {"error", "message"}
    assert api.requests() == []


def test_deep_nesting_is_never_a_server_error(api: ImportApi) -> None:
    """The answer is 201 or 400, never 500."""
    for depth in (100, 500, *range(970, 1000, 3)):
        for opening, closing in (('{"a":', "}"), ("[", "]")):
            data = f'{{"v":{opening * depth}1{closing * depth}}}'
            body = (
                '{"table_name":"t","schema":{},"messages":'
                f'[{{"action":"upsert","sequence":1,"data":{data}}}]}}'
            )
            answer = call(api, data=body.encode())
            assert answer.status_code == 201 or "nested too deeply" in answer.text
            assert answer.status_code == 201 or depth > 100


DEEP: dict[str, Any] = {}
for _ in range(90):
    DEEP = {"properties": {"a": DEEP}}
DEEPER: dict[str, Any] = {}
for _ in range(150):
    DEEPER = {"properties": {"a": DEEPER}}


@pytest.mark.parametrize(
    ("schema", "error"),
    [
        ({"type": "text"}, "unknown type: [text]"),
        ({"properties": {"a": {"type": ["null", "date"]}}}, "unknown type: [date]"),
        ({"properties": {"a": True}},
         "key null: expected type is one of JSONObject, found: Boolean"),
        ({"properties": []},
         "key properties: expected type is one of JSONObject, found: JSONArray"),
        ({"anyOf": {}}, "key anyOf: expected type is one of JSONArray, found: JSONObject"),
        ({"properties": {"a": {"pattern": "("}}}, "pattern [(] is not a regular expression"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}},
         "reference to another document: http://127.0.0.1:9/x"),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, "reference that leads nowhere: #/nowhere"),
        pytest.param(
            {"anyOf": [{"$ref": f"#/anyOf/{DIGITS}"}]},
            f"reference that leads nowhere: #/anyOf/{DIGITS}",
            id="an index of thousands of digits",
        ),
        ({"properties": {"a": {"$ref": "#name"}}}, "reference that leads nowhere: #name"),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "text"}}},
         "unknown type: [text]"),
        ({"properties": {"a": {"$ref": "#/$defs/a"}},
          "$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}}}}, None),
        ({"definitions": {"unused": {"type": "text"}}}, "unknown type: [text]"),
        ({"definitions": 5}, "key definitions: expected type is one of JSONObject, found: Integer"),
        ({"patternProperties": {"(": {}}}, "pattern [(] is not a regular expression"),
        ({"properties": {"a": {"pattern": "(a{1000}){1000}"}}}, None),
        ({"patternProperties": {"(a{1000}){1000}": {}}, "additionalProperties": False}, None),
        ({"required": ["b", "b"]}, None),
        ({"required": ["b", 1]}, "key required: expected an array of strings"),
        ({"dependencies": {"a": ["c"]}}, None),
        ({"dependencies": {"a": "b"}},
         "key a: expected type is one of JSONArray or JSONObject, found: String"),
        ({"dependencies": {"a": [1]}}, "key a: expected an array of strings"),
        (DEEPER, "nested too deeply"),
        (DEEP, None),
        ({"properties": {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}},
         "reference that leads in a circle"),
        ({"anyOf": [{}, {"not": {"$ref": "#"}}]}, "reference that leads in a circle"),
        ({"dependencies": {"a": {"allOf": [{"$ref": "#"}]}}}, "reference that leads in a circle"),
        ({"dependencies": {"a": {"properties": {"b": {"$ref": "#"}}}}}, None),
        ({"properties": {"a": {"type": "string", "format": "email", "pattern": "^(x+)+$"}}}, None),
        ({"properties": {"a": {"exclusiveMinimum": 10, "const": 3, "if": 7}}}, None),
    ],
)  # fmt: skip
def test_an_invalid_schema_is_refused_with_its_error(
    api: ImportApi, schema: dict[str, Any], error: str | None
) -> None:
    """A schema that cannot be applied is refused; keywords not in Draft 4 are not enforced."""
    answer = call(api, body=batch("t", upsert({"b": 1}), schema=schema))
    assert (answer.status_code, answer.json().get("error")) == (
        (201, None) if error is None else (400, f"Invalid JSON schema: {error}")
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([], "#: expected type: JSONObject, found: JSONArray"),
        ({}, "#: 3 schema violations found #: required key [table_name] not found"
             " #: required key [schema] not found #: required key [messages] not found"),
        ({**CUSTOMERS, "x": 1, "y": 2}, "#: 2 schema violations found"
         " #: extraneous key [x] is not permitted #: extraneous key [y] is not permitted"),
        ({**CUSTOMERS, "table_name": ""}, "#/table_name: expected minLength: 1, actual: 0"),
        ({**CUSTOMERS, "schema": []}, "#/schema: expected type: JSONObject, found: JSONArray"),
        ({**CUSTOMERS, "key_names": None}, "#/key_names: expected type: JSONArray, found: Null"),
        ({**CUSTOMERS, "key_names": [1]}, "#/key_names/0: expected type: String, found: Integer"),
        ({**CUSTOMERS, "key_names": ["no"]}, "#/key_names: key [no] is not a property of schema"),
        ({**CUSTOMERS, "table_version": 1.5},
         "#/table_version: expected type: Integer, found: Double"),
        ({**CUSTOMERS, "table_version": 2**63},
         "#/table_version: expected type: Integer, found: BigInteger"),
        ({**CUSTOMERS, "table_version": True},
         "#/table_version: expected type: Integer, found: Boolean"),
        ({**CUSTOMERS, "messages": [upsert({})] * 20_001},
         "#/messages: expected maximum item count: 20000, found: 20001"),
        (customers(sequence=2**63), "#: sequence can not be above 9223372036854775807"),
        (customers(sequence="1"), "#/messages/0: #: 0 subschemas matched instead of one"
         " #/messages/0/sequence: expected type: Integer, found: String"),
        (customers(sequence=1.5), "#/messages/0: #: 0 subschemas matched instead of one"
         " #/messages/0/sequence: expected type: Integer, found: Double"),
        (customers(action="delete"), "#/messages/0: #: 0 subschemas matched instead of one"
         " #/messages/0/action: delete is not a valid enum value"),
        (customers(version=1), "#/messages/0: #: 0 subschemas matched instead of one"
         " #/messages/0: extraneous key [version] is not permitted"),
        (customers(action="activate_version"), "#/messages/0: #: 0 subschemas matched instead of"
         " one #/messages/0: extraneous key [data] is not permitted"),
        ({**CUSTOMERS, "messages": [1]}, "#/messages/0: #: 0 subschemas matched instead of one"
         " #/messages/0: expected type: JSONObject, found: Integer"),
    ],
)  # fmt: skip
def test_an_invalid_batch_is_refused_with_its_error(api: ImportApi, body: Any, error: str) -> None:
    answer = call(api, data=json.dumps(body).encode())
    assert answer.json() == {"error": f"Request failed validation:{error}"}
    assert answer.status_code == 400


def test_a_batch_with_an_invalid_repeated_key_is_refused_with_an_error(api: ImportApi) -> None:
    """Every value of a repeated key is decoded; the error's words come from the last one."""
    body = json.dumps(CUSTOMERS)
    answer = call(api, data=b'{"table_name": 1, ' + body[1:].encode())
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "Request failed validation:#: a repeated key has an invalid value"
    }


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"id": [1]}, "Record is missing key property id"),
        ({}, "Record is missing key property id"),
        ({"id": "k" * 1025}, "String keys cannot be longer than 1024 characters"),
        ({"id": "k" * 1024}, None),
        ({"id": 1} | {f"c{at}": 1 for at in range(10_000)},
         "Record 0 has too many data points: 10001"),
        ({"id": 1, "xs": [[None] * 100] * 100}, "Record 0 has too many data points: 10001"),
        ({"id": 1, "xs": list(range(9_999))}, None),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_keys_and_data_points_are_limited(
    api: ImportApi, data: dict[str, Any], error: str | None
) -> None:
    answer = call(api, body=batch("t", upsert(data), keys=("id",)))
    assert answer.json().get("error") == error


def test_the_first_bad_record_decides(api: ImportApi) -> None:
    """Record by record, the key before the schema."""
    bad_schema, bad_key = upsert({"id": 1, "name": 5}), upsert({"name": 5})
    schema = CUSTOMERS["schema"]
    for messages, error in (
        ([bad_schema, bad_key], "Record 0 did not conform to schema:"
         " #/name: expected: String, found: Integer"),
        ([bad_key, bad_schema], "Record is missing key property id"),
    ):  # fmt: skip
        answer = call(api, body=batch("t", *messages, schema=schema, keys=("id",)))
        assert answer.json() == {"error": error}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"client_id": "77 23"}, {"client_id": ["should be an integer", "should be a number"]}),
        ({"table_name": 5}, {"table_name": ["should be a string"]}),
        ({"sequence": "1"}, {"sequence": ["should be an integer", "should be a number"]}),
        ({"sequence": 1.5}, {"sequence": ["should be an integer"]}),
        ({"sequence": 2**63}, {"sequence": ["can not be above 9223372036854775807"]}),
        ({"action": "delete"}, {"action": ["is not a valid action"]}),
        ({"action": "switch_view"}, {"table_version": ["can't be blank"],
         "data": ["unknown key"], "key_names": ["unknown key"]}),
        ({"namespace": 5}, {"namespace": ["should be a string"]}),
        ({"key_names": []}, {"key_names": ["can't be blank"]}),
        ({"key_names": "id"}, {"key_names": ["should be an array"]}),
        ({"data": {"id": None}}, {"data": ["keys cannot not be null in data"]}),
        ({"data": {"id": "k" * 1025}},
         {"data": ["String keys cannot be longer than 1024 characters"]}),
        ({"data": {"id": 1, "xs": [1] * 10_000}}, {"data": ["data has too many data points"]}),
        ({"table_version": "1"}, {"table_version": ["should be an integer", "should be a number"]}),
        ({"colour": 1}, {"colour": ["unknown key"]}),
    ],
)  # fmt: skip
def test_an_invalid_pushed_record_is_refused_with_its_reason(
    api: ImportApi, change: dict[str, Any], reason: dict[str, Any]
) -> None:
    answer = call(api, "/v2/import/push", [PUSHED[0] | change])
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"reason": reason}]


def test_push_reports_up_to_a_hundred_bad_records(api: ImportApi) -> None:
    bad = {**PUSHED[0], "sequence": None}
    answer = call(api, "/v2/import/push", [PUSHED[0], *[bad] * 150])
    assert len(answer.json()["errors"]) == 100


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ([], 400),
        ([PUSHED[0]] * 20_001, 400),
        ([{**PUSHED[0], "client_id": None}], 401),
        ([PUSHED[0], {**PUSHED[0], "client_id": 7724}], 422),
        ([1], 422),
    ],
    ids=["empty", "too many", "no client", "two clients", "no object"],
)
def test_an_invalid_push_is_refused_as_a_whole(
    api: ImportApi, records: list[Any], status: int
) -> None:
    assert call(api, "/v2/import/push", records).status_code == status
