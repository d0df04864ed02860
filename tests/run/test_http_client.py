"""Requests as they go over a connection, and connections that end, or have unrequested data."""

from __future__ import annotations

import gc
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests

from target_stitch_import.delivery.answer import Answer, Failure
from target_stitch_import.delivery.verdict import Acknowledged, TryAgain, judge
from target_stitch_import.run.http_client import HttpClient
from tests.support.programs import require
from tests.support.servers import keeping_server, server
from tests.support.tls import Authorities, nested_tls_proxy

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

OK = b'HTTP/1.1 201 Created\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
CLOSING = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
ORIGIN = "https://api.example.com/v2/import/batch"


def client(url: str) -> HttpClient:
    return HttpClient(url, "T0KEN", "an agent")


def sent(client: HttpClient, url: str, body: bytes | None = b"{}", method: str = "POST") -> Answer:
    return client.send(method, url, body, connect_seconds=10.0, seconds=10.0)


def parts(request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Return a request's first line, its headers in a fixed order, and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    return first, sorted(headers), body


@pytest.mark.parametrize("proxy", ["", "http://{}", "http://some%20one:p%40ss@{}"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("body", [None, b"", b"{}", b"x" * 100_000])
def test_a_request_is_the_same_as_with_the_requests_library(
    method: str, body: bytes | None, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {
        "User-Agent": "an agent",
        "Content-Type": "application/json",
        "Accept-Encoding": "gzip",
        "Authorization": "Bearer T0KEN",
    }
    with server([OK, OK]) as (here, seen):
        monkeypatch.setenv("NO_PROXY", "" if proxy else "127.0.0.1")
        monkeypatch.setenv("HTTP_PROXY", proxy.format(here.removeprefix("http://")))
        url = f"{'http://api.example.com' if proxy else here}/a%20b/c?d=e%2F"
        assert sent(client(url), url, body, method).status == 201
        requests.request(method, url, data=body, headers=headers, timeout=10)
    ours, theirs = map(parts, seen)
    assert ours == theirs


def test_the_host_header_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    with server([OK] * 3) as (proxy, seen):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "")
        for host in ("api.example.com.:8080", "API.example.com:80", "[2001:DB8::1]:443"):
            sent(client(f"http://{host}/"), f"http://{host}/")
    hosts = [each for request in seen for each in parts(request)[1] if each.startswith(b"Host")]
    assert hosts == [
        b"Host: api.example.com:8080",
        b"Host: api.example.com",
        b"Host: [2001:db8::1]:443",
    ]


def test_the_token_is_sent_only_where_requested() -> None:
    with server([CLOSING] * 4) as (url, seen):
        one = client(url)
        for with_token in (True, False, True, False):
            one.send("GET", url, connect_seconds=10.0, seconds=10.0, with_token=with_token)
    assert [b"T0KEN" in each for each in seen] == [True, False, True, False]


@contextmanager
def hasty_server(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answer before a request was read, and reset the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            wire, _ = listener.accept()
            if context:
                wire = context.wrap_socket(wire, server_side=True)
            wire.recv(1_000)
            wire.sendall(answer)
            wire.close()

        threading.Thread(target=serve, daemon=True).start()
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


def early_answers(answer: bytes, context: ssl.SSLContext | None = None) -> list[Answer]:
    """Return what several requests receive if the server answers before it has read them.

    The reset of the connection can overtake the answer, but not every time.
    """
    answers = []
    for _ in range(8):
        with hasty_server(answer, context) as url:
            answers.append(sent(client(url), url, b"x" * 20_000_000))
    return answers


@pytest.mark.parametrize("answer", [OK, CLOSING, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_a_response_before_the_end_of_the_request_does_not_acknowledge(answer: bytes) -> None:
    answers = early_answers(answer)
    assert {each.failure for each in answers} == {Failure.LOST}
    assert all(isinstance(judge(each, 0.0), TryAgain) for each in answers)
    words = "the connection ended before the whole request was received"
    assert any(each.detail.endswith(f": {words}") for each in answers)


def test_a_refusal_before_the_end_of_the_request_is_read() -> None:
    assert 413 in {each.status for each in early_answers(TOO_LARGE)}


def test_a_connection_is_closed_when_the_response_says_so() -> None:
    with keeping_server([OK, CLOSING, OK]) as (url, counts):
        one = client(url)
        for _ in range(3):
            assert judge(sent(one, url), 0.0) == Acknowledged()
        assert counts == [2, 1]


@pytest.mark.parametrize(
    "failing", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"no HTTP"]
)
def test_a_failed_request_frees_its_body_at_once(failing: bytes) -> None:
    """Not by the collection of garbage, before which many more may fail."""
    body = bytes(100_000)
    with server([failing]) as (url, _):
        gc.disable()
        try:
            before = sys.getrefcount(body)
            assert sent(client(url), url, body).failure is not None
            assert sys.getrefcount(body) == before
        finally:
            gc.enable()


@pytest.fixture
def contexts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the TLS contexts of a proxy that speaks TLS, and of the service behind it."""
    require("openssl")
    made = Authorities(tmp_path)
    made.leaf("proxy")
    made.leaf("service", extensions=("subjectAltName=DNS:api.example.com",))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "root.pem"))
    monkeypatch.setenv("NO_PROXY", "")
    return made.context("proxy"), made.context("service")


def test_a_refusal_before_the_end_of_the_request_is_read_over_tls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    assert 413 in {each.status for each in early_answers(TOO_LARGE, contexts[0])}


def test_an_unrequested_response_is_not_used(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside of a TLS connection to a proxy, it may have been read already."""
    refused = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    with nested_tls_proxy(*contexts, [[OK, OK], [refused]]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        one = client(ORIGIN)
        assert sent(one, ORIGIN).status == 201
        assert sent(one, ORIGIN).status == 400


@pytest.mark.parametrize("answer", [b"", OK[:10], OK[:-1]])
def test_a_response_cut_off_through_a_tls_proxy_is_a_failure(
    answer: bytes, contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    with nested_tls_proxy(*contexts, [[answer]]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        cut = sent(client(ORIGIN), ORIGIN)
    assert cut.failure is (Failure.CUT_OFF if answer else Failure.LOST)
