"""Faults: what a client sees of each, how often they apply, and what is stored."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_stitch_import.local.options import Options
from target_stitch_import.local.server.runtime import LocalApi
from tests.local.calls import CUSTOMERS, PUSHED, batch, call, customers, upsert

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

RESET = "reset"
CUT = "cut"


def outcome(api: ImportApi, path: str = "/v2/import/batch", body: Any = CUSTOMERS) -> int | str:
    """Send one request; give its status, or how the connection broke."""
    try:
        return call(
            api, path, body, method="GET" if path.endswith("status") else "POST"
        ).status_code
    except requests.exceptions.ChunkedEncodingError:
        return CUT
    except requests.ConnectionError:
        return RESET


@pytest.mark.parametrize(
    ("faults", "outcomes", "stored"),
    [
        ([{"kind": "status", "status": 500}], [500, 201], 1),
        ([{"kind": "status", "status": 500, "times": 2}], [500, 500, 201], 1),
        ([{"kind": "status", "status": 200}], [200, 201], 1),
        ([{"kind": "status", "status": 204}, {"kind": "status", "status": 304}],
         [204, 304, 201], 1),
        ([{"kind": "status", "status": 418, "times": "always"}], [418, 418, 418], 0),
        ([{"kind": "status", "status": 500}, {"kind": "status", "status": 429}],
         [500, 429, 201], 1),
        ([{"kind": "down"}], [503, 201], 1),
        ([{"kind": "queue"}], [202, 201], 2),
        ([{"kind": "reset_before"}], [RESET, 201], 1),
        ([{"kind": "reset_after"}], [RESET, 201], 2),
        ([{"kind": "truncate"}], [CUT, 201], 2),
        ([{"kind": "redirect", "location": "http://127.0.0.1:9/"}], [307, 201], 1),
        ([{"kind": "redirect", "status": 301}], [301, 201], 1),
        ([{"kind": "latency", "seconds": 0.01}], [201, 201], 2),
        ([{"kind": "latency", "seconds": 0.01}, {"kind": "status", "status": 502}], [502, 201], 1),
        ([{"kind": "status", "status": 500, "table": "other"}], [201, 201], 2),
        ([{"kind": "reset_after", "table": "customers"}], [RESET, 201], 2),
        ([{"kind": "status", "status": 500, "path": "/v2/import/push"}], [201], 1),
        ([], [201], 1),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, list) else str(value),
)  # fmt: skip
def test_a_fault_changes_the_response_to_a_batch(
    api: ImportApi, faults: list[dict[str, Any]], outcomes: list[int | str], stored: int
) -> None:
    """`stored` counts the requests kept as accepted, however they were answered.

    A fault of the kind `status` stores nothing, even if its status is 2xx.
    """
    api.set_faults(faults)
    assert [outcome(api) for _ in outcomes] == outcomes
    assert len(api.requests()) == stored


@pytest.mark.parametrize(
    ("fault", "path", "body", "status"),
    [
        ({"kind": "down", "times": "always"}, "/v2/import/validate", PUSHED, 200),
        ({"kind": "status", "status": 503, "times": "always"}, "/v2/import/validate", PUSHED, 200),
        ({"kind": "status", "status": 500}, "/v2/import/validate", PUSHED, 500),
        ({"kind": "down"}, "/v2/import/status", None, 503),
        ({"kind": "queue"}, "/v2/import/status", None, 200),
        ({"kind": "queue"}, "/v2/import/push", PUSHED, 202),
        ({"kind": "down", "times": "always"}, "/v2/nowhere", None, 404),
    ],
)
def test_a_fault_applies_only_to_its_requests(
    api: ImportApi, fault: dict[str, Any], path: str, body: Any, status: int
) -> None:
    """Validate never answers 503, only loading requests are queued, unknown paths stay unknown."""
    api.set_faults([fault])
    assert outcome(api, path, body) == status


@pytest.mark.parametrize(
    ("fault", "body", "media_type"),
    [
        ({"status": 503, "body": "plain words"}, b"plain words", "text/plain"),
        ({"status": 500, "body": {"a": [1]}}, b'{"a":[1]}', "application/json"),
        ({"status": 504}, b'{"status":"ERROR","message":"Gateway Timeout"}', "application/json"),
        ({"status": 299}, b'{"status":"ERROR","message":"Status 299"}', "application/json"),
    ],
)
def test_a_status_fault_has_its_body_and_headers(
    api: ImportApi, fault: dict[str, Any], body: bytes, media_type: str
) -> None:
    api.set_faults([{"kind": "status", "headers": {"Retry-After": "7"}, **fault}])
    answer = call(api, body=CUSTOMERS)
    assert (answer.status_code, answer.content) == (fault["status"], body)
    assert answer.headers["Content-Type"].startswith(media_type)
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_keeps_the_connection_usable(api: ImportApi, status: int) -> None:
    """HTTP allows them no body: the connection stays usable, and the next answer is complete."""
    api.set_faults([{"kind": "status", "status": status, "body": {"a": 1}}])
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer T1"
        first, second = (
            session.post(f"{api.url}/v2/import/batch", json=CUSTOMERS, timeout=10) for _ in "12"
        )
    assert (first.status_code, first.content) == (status, b"")
    assert second.status_code == 201


def test_a_proxy_header_does_not_prevent_a_reset(api: ImportApi) -> None:
    """The request's own connection is reset, whatever a header says about the client."""
    api.set_faults([{"kind": "reset_after"}])
    with pytest.raises(requests.ConnectionError):
        requests.post(
            f"{api.url}/v2/import/batch",
            json=CUSTOMERS,
            headers={"Authorization": "Bearer T1", "X-Forwarded-For": "192.0.2.1"},
            timeout=10,
        )


def test_latency_delays_one_request_and_not_another() -> None:
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    api = LocalApi(Options(port=0), sleep)
    api.start()
    try:
        api.faults.put([{"kind": "latency", "seconds": 1.5, "table": "slow"}])
        for body in (customers(), batch("slow", upsert({"n": 1})), customers()):
            assert call(api, body=body).status_code == 201
            delays.append(0)
    finally:
        api.close()
    assert delays == [0, 1.5, 0, 0]


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate"])
def test_a_disconnected_client_logs_no_error(caplog: pytest.LogCaptureFixture, kind: str) -> None:
    delayed, gone = threading.Event(), threading.Event()

    async def sleep(_seconds: float) -> None:
        delayed.set()
        await asyncio.to_thread(gone.wait, 10)
        for _ in range(10):  # in which the server notices
            await asyncio.sleep(0)

    api = LocalApi(Options(port=0), sleep)
    api.start()
    try:
        api.faults.put([{"kind": "latency", "seconds": 1}, {"kind": kind}])
        host, port = api.url.removeprefix("http://").split(":")
        body = json.dumps(CUSTOMERS).encode()
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(
                b"POST /v2/import/batch HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer T1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            assert delayed.wait(10)
        gone.set()
        assert call(api, body=CUSTOMERS).status_code == 201
    finally:
        api.close()
    assert not caplog.records


def test_reset_before_drops_a_request_whose_body_never_came(api: ImportApi) -> None:
    """It does not wait for the body, and is a reset, not a normal close."""
    api.set_faults([{"kind": "reset_before"}])
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v2/import/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        )
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


@pytest.mark.parametrize(
    "faults",
    [
        {"kind": "down"},
        [{"kind": "lightning"}],
        [{"kind": "down", "times": 0}],
        [{"kind": "down", "times": "often"}],
        [{"kind": "latency", "seconds": -1}],
        [{"kind": "status", "status": 99}],
        [{"kind": "status", "headers": {"a": "b\r\nc: d"}}],
        [{"kind": "status", "headers": {"a b": "c"}}],
        [{"kind": "status", "headers": {"a": "\u20ac"}}],
        [{"kind": "status", "headers": {"a": "b\0"}}],
        [{"kind": "status", "headers": {"Content-Length": "3"}}],
        [{"kind": "status", "headers": {"Transfer-Encoding": "chunked"}}],
        [{"kind": "redirect", "location": "/\r\nc: d"}],
        [{"kind": "status", "colour": "red"}],
        ["down"],
    ],
)
def test_an_invalid_fault_list_is_refused(api: ImportApi, faults: Any) -> None:
    """And the previous list stays."""
    api.set_faults([{"kind": "down"}])
    answer = requests.put(f"{api.url}/_local/faults", json=faults, timeout=10)
    assert answer.status_code == 400
    assert requests.get(f"{api.url}/_local/faults", timeout=10).json()[0]["kind"] == "down"


def test_a_body_that_cannot_be_read_as_json_is_sent(api: ImportApi) -> None:
    """Also one nested more deeply than JSON can be decoded."""
    body = "[" * 100_000
    api.set_faults([{"kind": "status", "status": 500, "body": body}])
    answer = call(api, body=CUSTOMERS)
    assert (answer.status_code, answer.text) == (500, body)


def test_a_redirect_is_listed_with_the_status_that_is_sent(api: ImportApi) -> None:
    api.set_faults([{"kind": "redirect"}])
    [listed] = requests.get(f"{api.url}/_local/faults", timeout=10).json()
    assert listed["status"] == 307
    assert "&#34;status&#34;:307" in requests.get(f"{api.url}/", timeout=10).text


def test_faults_and_requests_are_controlled_over_http(api: ImportApi) -> None:
    """Faults are put, requests read in order without a token, and a reset clears all."""
    assert (
        requests.put(f"{api.url}/_local/faults", json=[{"kind": "queue"}], timeout=10).status_code
        == 200
    )
    raw = json.dumps(CUSTOMERS, indent=3).encode()
    call(api, data=raw)
    call(api, "/v2/import/push", PUSHED)
    call(api, body={})
    kept = requests.get(f"{api.url}/_local/requests", timeout=10)
    assert [(each["number"], each["path"], each["status"]) for each in kept.json()] == [
        (1, "/v2/import/batch", 202),
        (2, "/v2/import/push", 201),
    ]
    assert kept.json()[0]["body"] == raw.decode()
    assert kept.headers["X-Dropped-Requests"] == "0"
    assert "authorization" not in kept.json()[0]["headers"]
    assert not re.search(r"\bT1\b", kept.text), "the token; times of day may begin like it"
    assert kept.json() == api.requests()
    assert requests.post(f"{api.url}/_local/reset", timeout=10).status_code == 200
    assert api.requests() == []
    assert requests.get(f"{api.url}/_local/tables", timeout=10).json() == []
