"""Requests of other web sites, and arbitrary headers: refused, never a 500."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from target_stitch_import.local import ImportApi
from target_stitch_import.local.options import Options, OptionsError
from tests.local.calls import ACCOUNTS, CUSTOMERS

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS = [
    "GET /v2/import/status",
    "POST /v2/import/batch",
    "POST /v2/import/push",
    "POST /v2/import/validate",
    "GET /v4/sources",
    "POST /v4/sources/126890/tokens",
    "PUT /v4/sources/126890",
    "GET /nowhere",
    "GET /_local/requests",
    "GET /_local/tables",
    "PUT /_local/faults",
    "POST /_local/reset",
    "GET /_local/openapi.json",
    "GET /",
    "GET /_page/script.js",
    "GET /request/1",
    "GET /table/a/b",
]


def ask(
    api: ImportApi, request: str, headers: list[tuple[str, bytes]], body: bytes = b""
) -> tuple[int, dict[str, str]]:
    """Send a request with exactly these headers; return status and headers of the answer."""
    port = api.url.rpartition(":")[2]
    lines = [f"{request} HTTP/1.1".encode()]
    lines += [name.encode() + b": " + value for name, value in headers]
    lines += [b"Content-Length: %d" % len(body), b"Connection: close", b"", body]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as connection:
        connection.sendall(b"\r\n".join(lines).replace(b"{port}", port.encode()))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in head[1:]]
    return int(head[0].split()[1]), {name.lower(): value for name, _, value in pairs}


@pytest.mark.parametrize("request_", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        [("Host", b"evil.example")],
        [("Host", b"evil.example:{port}")],
        [("Host", b"[")],
        [("Host", b"")],
        [("Host", b"127.0.0.1.evil.example")],
        [("Host", b"evil.example@localhost")],
        [("Host", b"localhost\\evil.example")],
        [("Host", b"10.0.0.1")],
        [("Host", b"\xff")],
        [("Host", b"localhost"), ("Origin", b"http://evil.example")],
        [("Host", b"localhost"), ("Origin", b"null")],
        [("Host", b"localhost"), ("Origin", b"")],
        [("Host", b"localhost"), ("Origin", b"http://[")],
        [("Host", b"localhost:{port}"), ("Origin", b"https://localhost:{port}")],
        [("Host", b"localhost:{port}"), ("Origin", b"http://localhost:1")],
        [("Host", b"localhost:{port}"), ("Origin", b"http://127.0.0.1:{port}")],
        [("Host", b"localhost:{port}"), ("Origin", b"http://evil.example"),
         ("Origin", b"http://localhost:{port}")],
        [("Host", b"localhost:{port}"), ("Origin", b"http://localhost:{port}"),
         ("Origin", b"http://evil.example")],
    ],
    ids=str,
)  # fmt: skip
def test_pages_of_other_sites_reach_nothing(
    api: ImportApi, request_: str, headers: list[tuple[str, bytes]]
) -> None:
    """A name that was pointed at the loopback address, and a cross-site request, get 403."""
    assert ask(api, request_, headers)[0] == 403
    assert api.requests() == []


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", b"localhost")],
        [("Host", b"LocalHost.:80")],
        [("Host", b"127.0.0.1:{port}")],
        [("Host", b"127.1.2.3")],
        [("Host", b"[::1]:9")],
        [("Host", b"localhost:{port}"), ("Origin", b"http://localhost:{port}")],
        [("Host", b"[::1]:{port}"), ("Origin", b"http://[::1]:{port}")],
    ],
    ids=str,
)
def test_own_names_and_pages_are_answered(api: ImportApi, headers: list[tuple[str, bytes]]) -> None:
    for request in ("GET /v2/import/status", "GET /_local/tables", "GET /"):
        assert ask(api, request, headers)[0] == 200


@pytest.mark.parametrize(
    ("allow_hosts", "host", "status"),
    [
        ((), "stitch", 403),
        (("stitch",), "stitch:8087", 200),
        (("Stitch",), "STITCH", 200),
        (("api.stitchdata.com",), "api.stitchdata.com", 200),
        (("api.stitchdata.com",), "x.api.stitchdata.com", 403),
    ],
)
def test_a_host_name_can_be_allowed(allow_hosts: tuple[str, ...], host: str, status: int) -> None:
    with ImportApi(allow_hosts=allow_hosts) as api:
        assert ask(api, "GET /v2/import/status", [("Host", host.encode())])[0] == status


@pytest.mark.parametrize(("host", "status"), [("192.0.2.7", 200), ("evil.example", 403)])
def test_all_interfaces_answer_to_any_address_but_to_no_other_name(host: str, status: int) -> None:
    """A page can point its own name anywhere, but not an address."""
    with ImportApi(host="0.0.0.0") as api:  # noqa: S104 - what is tested
        assert ask(api, "GET /v2/import/status", [("Host", host.encode())])[0] == status


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("allow_hosts", "http://stitch", "--allow-host"),
        ("allow_hosts", "stitch:80", "--allow-host"),
        ("allow_hosts", "", "--allow-host"),
        ("allow_origins", "localhost:3000", "--allow-origin"),
        ("allow_origins", "http://localhost:3000/", "--allow-origin"),
        ("allow_origins", "*", "--allow-origin"),
    ],
)
def test_an_invalid_allowed_host_or_origin_is_refused(option: str, value: str, words: str) -> None:
    given_: dict[str, Any] = {option: (value,)}
    with pytest.raises(OptionsError, match=words):
        Options(**given_)


# --- pages that were allowed

APP = "http://localhost:3000"


@pytest.fixture(scope="module")
def shared() -> Iterator[ImportApi]:
    """A local Import API that pages of one origin may call."""
    with ImportApi(allow_origins=(APP,)) as api:
        yield api


@pytest.mark.parametrize("path", ["/v2/import/batch", "/v2/import/status", "/v4/sources"])
def test_an_allowed_origin_may_send_and_read(shared: ImportApi, path: str) -> None:
    """Preflight and request, as a browser makes them."""
    given_ = [
        ("Host", b"127.0.0.1:{port}"),
        ("Origin", APP.encode()),
        ("Access-Control-Request-Method", b"POST"),
        ("Access-Control-Request-Headers", b"authorization,content-type"),
        ("Access-Control-Request-Private-Network", b"true"),
    ]
    status, headers = ask(shared, f"OPTIONS {path}", given_)
    assert status == 204
    assert headers["access-control-allow-origin"] == APP
    assert headers["access-control-allow-private-network"] == "true"
    assert {"authorization", "content-type"} <= set(
        headers["access-control-allow-headers"].split(", ")
    )
    more = [("Authorization", b"Bearer x"), ("Content-Type", b"application/json")]
    body = json.dumps(CUSTOMERS).encode()
    status, headers = ask(shared, "POST /v2/import/batch", given_[:2] + more, body)
    assert (status, headers["access-control-allow-origin"]) == (201, APP)


@pytest.mark.parametrize("request_", ["GET /_local/requests", "POST /_local/reset", "GET /"])
def test_an_allowed_origin_reaches_only_the_api(shared: ImportApi, request_: str) -> None:
    assert ask(shared, request_, [("Host", b"localhost"), ("Origin", APP.encode())])[0] == 403


def test_an_origin_that_is_not_allowed_is_refused(api: ImportApi, shared: ImportApi) -> None:
    for each, origin in ((api, APP), (shared, "http://localhost:3001")):
        given_ = [("Host", b"localhost"), ("Origin", origin.encode())]
        status, headers = ask(each, "GET /v2/import/status", given_)
        assert status == 403
        assert "access-control-allow-origin" not in headers


# --- any headers

NAMES = st.sampled_from(
    [
        *("Host", "Origin", "Authorization", "Content-Type", "Content-Encoding", "Expect"),
        *("Accept", "Cookie", "Referer", "X-Forwarded-For", "Access-Control-Request-Method"),
        *("Transfer-Encoding", "Content-Length", "Upgrade", "Range", "TE"),
    ]
)
VALUES = st.sampled_from(
    [
        *(b"", b"[", b"http://[", b"::1", b"[::1", b"localhost", b"localhost:{port}", b"\xb2"),
        *(b"Bearer T1", b"Bearer \xff", b"bearer", b"application/json", b"chunked", b"gzip"),
        *(b"9" * 30, b"-1", b"http://localhost:{port}", b"null", b"\xc3\xa4", b"a\tb", b"%00"),
    ]
) | st.binary(max_size=20)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@pytest.mark.timeout(300)
def test_no_headers_cause_a_server_error() -> None:
    """Every request gets an answer below 500, and the service stays healthy."""
    # With chunked encoding, the service would wait for the rest of an unfinished line.
    body = json.dumps(CUSTOMERS).encode() + b"\r\n"
    with ImportApi(accounts=ACCOUNTS, allow_origins=(APP,)) as api:

        @settings(max_examples=300, deadline=None, database=None)
        @example("GET /v2/import/status", [("Transfer-Encoding", b"chunked")])
        @given(request=st.sampled_from([*PATHS, "OPTIONS /x", "HEAD /"]), headers=HEADERS)
        def one(request: str, headers: list[tuple[str, bytes]]) -> None:
            named = any(name == "Host" for name, _ in headers)
            own = [] if named else [("Host", b"localhost")]
            status, _ = ask(api, request, [*own, *headers], body)
            assert status < 500

        one()
        assert ask(api, "GET /v2/import/status", [("Host", b"localhost")])[0] == 200
