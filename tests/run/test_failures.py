"""Requests without a response: the cause, the retries, and the message."""

from __future__ import annotations

import base64
import socket

import pytest
import urllib3

from target_stitch_import.delivery.answer import Failure
from target_stitch_import.endpoints import Endpoint
from target_stitch_import.local import ImportApi as LocalApi
from target_stitch_import.run.failures import answer_of
from target_stitch_import.run.http import ImportApiClient
from tests.support.processes import end, running, stream, write_messages
from tests.support.servers import server
from tests.support.singer import record, schema, state
from tests.support.target import TOKEN, Target, delivered


def test_a_refused_connection_is_retried_and_reported(target: Target) -> None:
    settings = {"api_url": "http://127.0.0.1:9", "max_retry_seconds": 0.5}
    outcome = target.run([schema(), record(1), state(1)], **settings)
    assert (outcome.status, outcome.states) == (69, [])
    assert "connection refused" in outcome.log
    assert outcome.log.count("WARNING  | target-stitch-import | No request has reached the ") == 1
    assert "refused (127.0.0.1:9: [Errno 111] Connection refused). Check that the" in outcome.log


def test_a_service_that_comes_later_gets_everything(target: Target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running(target, api_url=f"http://127.0.0.1:{port}", batch_delay_seconds=0.1) as process:
        write_messages(process, schema(), record(1), state(1))
        stderr = stream(process.stderr)
        log = b""
        while b"No request has reached the Import API yet" not in log:
            log += stderr.readline()
        with LocalApi(port=port) as late:
            status, states, rest = end(process)
            assert (status, states, delivered(late)) == (0, [b"1"], [{"id": 1}])
    assert "No request has reached" not in rest


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (urllib3.exceptions.ConnectTimeoutError("t"), Failure.UNREACHABLE),
        (urllib3.exceptions.NewConnectionError(None, "x"), Failure.UNREACHABLE),  # type: ignore[arg-type]
        (OSError("Tunnel connection failed: 407 Who are you?"), Failure.PROXY_REFUSED),
        (urllib3.exceptions.SSLError(PermissionError(13, "x")), Failure.UNTRUSTED),
        (urllib3.exceptions.ProxySchemeUnknown("ftp"), Failure.UNSENDABLE),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "t"), Failure.TIMED_OUT),  # type: ignore[arg-type]
        (urllib3.exceptions.ProtocolError("gone", ConnectionResetError()), Failure.LOST),
    ],
)
def test_an_error_is_classified_even_if_wrapped(error: Exception, failure: Failure) -> None:
    pool = urllib3.HTTPConnectionPool("localhost")
    for each in (error, urllib3.exceptions.MaxRetryError(pool, "/", error)):
        assert answer_of(each, "http://localhost", {}).failure == failure


def test_a_proxy_of_an_unknown_kind_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://127.0.0.1:1")
    url = "https://api.example.com/v2/import/batch"
    assert (
        ImportApiClient(Endpoint(url, url, TOKEN, 10.0)).send_batch(b"{}").failure
        == Failure.UNSENDABLE
    )


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:hunter[2pass@127.0.0.1:1",
        "http://user:hunter#2pass@127.0.0.1:1",
        "http://user:hunter]2@[::1",
        "http://",
        "http://:3128",
        "//",
        "ftp://user:hunter2@127.0.0.1:1",
        "http://user:hunter2@127.0.0.1:99999",
        "http://user:hunter2@127.0.0.1:port",
    ],
)
def test_an_invalid_proxy_url_is_reported_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    url = "https://api.example.com/v2/import/batch"
    answer = ImportApiClient(Endpoint(url, url, TOKEN, 10.0)).send_batch(b"{}")
    assert answer.failure is not None
    assert "hunter" not in answer.detail
    assert "2pass" not in answer.detail
    assert "api.example.com:443" in answer.detail


@pytest.mark.parametrize("status", [407, 403, 502])
def test_the_response_of_a_proxy_is_shown_without_its_password(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disguises = (
        *("hunter2pass", "HUNTER2PASS", "someone:hunter2pass", "hunter%32pass", "&#104;unter2pass"),
        base64.b64encode(b"someone:hunter2pass").decode(),
    )
    words = " ".join(disguises)
    refusal = f"HTTP/1.1 {status} refused for {words}\r\nA: {words}\r\n\r\n{words}".encode()
    with server([refusal]) as (proxy, seen):
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("://", "://someone:hunter2pass@"))
        monkeypatch.setenv("NO_PROXY", "")
        url = "https://api.example.com/v2/import/batch"
        answer = ImportApiClient(Endpoint(url, url, TOKEN, 10.0)).send_batch(b"{}")
    assert seen[0].startswith(b"CONNECT api.example.com:443")
    assert answer.failure is Failure.PROXY_REFUSED
    assert f"{status} refused for […]" in answer.detail
    assert not [each for each in disguises if each in answer.detail]
