"""Responses over a real connection: only complete ones acknowledge."""

from __future__ import annotations

import gzip
import socket
import threading
from http.client import HTTPException
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.delivery.answer import Answer, End, Failure
from target_stitch_import.delivery.verdict import Acknowledged, TryAgain, judge
from target_stitch_import.endpoints import Endpoint
from target_stitch_import.run.http import ImportApiClient
from target_stitch_import.run.http_client import HttpClient
from target_stitch_import.run.wire import WholeAnswer, read_answer
from tests.support.programs import require
from tests.support.servers import dripping_server, keeping_server, server
from tests.support.tls import Authorities, peer

if TYPE_CHECKING:
    from pathlib import Path

JSON = b'{"status":"OK","message":"Batch Accepted!"}'
ZIPPED = gzip.compress(JSON, mtime=0)
TYPE = b"Content-Type: application/json;charset=UTF-8\r\n"
CREATED = b"HTTP/1.1 201 Created\r\n" + TYPE
CHUNKED = CREATED + b"Transfer-Encoding: chunked\r\n"
CODED = b"Content-Encoding: gzip\r\n"
TWICE_CHUNKED = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked"


def sized(head: bytes, body: bytes) -> bytes:
    """Return a response with a Content-Length."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunks(body: bytes, trailers: bytes = b"") -> bytes:
    """Return a body in two chunks, the second with an extension."""
    first, second = body[:20], body[20:]
    return b"\r\n%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\n%b\r\n" % (
        20,
        first,
        len(second),
        second,
        trailers,
    )


WHOLE = {
    "length": sized(CREATED, JSON),
    "keep-alive": sized(CREATED + b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", JSON),
    "close": sized(CREATED + b"Connection: close\r\n", JSON),
    "HTTP/1.0": sized(b"HTTP/1.0 200 OK\r\n", JSON),
    "line feeds alone": sized(b"HTTP/1.1 200 OK\r\n", JSON).replace(b"\r\n", b"\n"),
    "empty": sized(b"HTTP/1.1 202 Accepted\r\n", b""),
    "no content": b"HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n",
    "no reason": sized(b"HTTP/1.1 200\r\n", JSON),
    "reset content": b"HTTP/1.1 205 Reset Content\r\nConnection: close\r\n\r\n",
    "chunked": CHUNKED + chunks(JSON),
    "chunked, with trailers": CHUNKED + chunks(JSON, b"Expires: never\r\nA: b\r\n"),
    "chunked, empty": CHUNKED + b"\r\n0\r\n\r\n",
    "gzip": sized(CREATED + CODED, ZIPPED),
    "gzip, chunked": CHUNKED + CODED + chunks(ZIPPED),
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + sized(CREATED, JSON),
    "to the end of the connection": CREATED + b"Connection: close\r\n\r\n" + JSON,
    "HTTP/1.0, to the end of the connection": b"HTTP/1.0 200 OK\r\n\r\n" + JSON,
}


def client(url: str) -> ImportApiClient:
    return ImportApiClient(Endpoint(url, url, "T1", request_timeout_seconds=10.0))


@pytest.mark.parametrize("name", WHOLE)
def test_only_a_complete_response_acknowledges(name: str) -> None:
    """Cut at any byte, it is retried; with one client, and a connection for each cut.

    If the headers do not define the end of the body, the JSON does.
    """
    whole = WHOLE[name]
    cuts = [whole[:at] for at in range(len(whole))]
    with server([*cuts, whole]) as (url, _):
        api = client(url)
        for cut in cuts:
            answer = api.send_batch(b"{}")
            verdict = judge(answer, 0.0)
            assert isinstance(verdict, TryAgain), cut
            assert verdict.ambiguous, cut
            if "end of the connection" not in name:
                assert answer.failure is (Failure.CUT_OFF if cut else Failure.LOST), cut
        assert judge(api.send_batch(b"{}"), 0.0) == Acknowledged()


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        sized(CREATED + CODED, ZIPPED[:-1]),
        sized(CREATED + CODED, ZIPPED + b"!"),
        sized(CREATED + CODED, JSON),
        sized(CREATED + CODED, gzip.compress(b"{}" + b" " * 100_000)),
        sized(CREATED, b'{"message":"' + b"x" * 5_000 + b'","status":"ERROR"}'),
        sized(CREATED, b'{"message":"' + b"x" * 100_000 + b'"}'),
        sized(CREATED, b"{}" + b" " * 100_000),
        sized(CREATED, b"\xef\xbb\xbf" + b'{"status":"Error"}'),
        sized(CREATED, b'{"a":' * 10_000),
    ],
    ids=lambda text: repr(text)[:60],
)
def test_an_unclear_or_error_response_is_retried(text: bytes) -> None:
    with server([text]) as (url, _):
        assert isinstance(judge(client(url).send_batch(b"{}"), 0.0), TryAgain)


@pytest.mark.parametrize("odd", ['{"status":', '{"status":"ERROR"}', "<html>", "{}" + " " * 70_000])
def test_the_connection_of_an_odd_response_is_not_reused(odd: str) -> None:
    good = sized(CREATED, JSON)
    with keeping_server([good, good, sized(CREATED, odd.encode()), good, good]) as (url, requests):
        api = client(url)
        for _ in range(5):
            api.send_batch(b"{}")
        assert requests == [3, 2]


def read_in_pieces(text: bytes, *ends: int) -> WholeAnswer:
    """Read an answer that arrives in pieces with these ends, before the connection ends."""
    edges = [0, *sorted(end % len(text) for end in ends), len(text)]
    pieces = iter([text[at:end] for at, end in pairwise(edges) if end > at])
    return read_answer(lambda: next(pieces, b""), 64_000)


@given(st.sampled_from([*WHOLE]), st.lists(st.integers(0, 1_000), max_size=8))
def test_how_an_answer_arrives_makes_no_difference(name: str, ends: list[int]) -> None:
    read = read_in_pieces(WHOLE[name], *ends)
    assert read == read_in_pieces(WHOLE[name])
    assert read.body in {JSON, b""}


@pytest.mark.parametrize(
    ("headers", "body", "read", "end", "keeps"),
    [
        (b"Content-Length: 2", b"{}", b"{}", End.FRAMED, True),
        (b"content-length:2", b"{}", b"{}", End.FRAMED, True),
        (b"Content-Length: 2, 2", b"{}", b"{}", End.FRAMED, True),
        (b"Content-Length: 2\r\nContent-Length: 2", b"{}", b"{}", End.FRAMED, True),
        (b"Content-Length: 2\r\nno header at all", b"{}", b"{}", End.FRAMED, True),
        (b"A: b\r\n\tc\r\nContent-Length: 2", b"{}", b"{}", End.FRAMED, True),
        (b" folded\r\nContent-Length: 2", b"{}", b"{}", End.FRAMED, True),
        (b"Content-Length: 2\r\nConnection: Keep-Alive, Close", b"{}", b"{}", End.FRAMED, False),
        (b"Content-Length: 2", b"{}HTTP/1.1 200 OK", b"{}", End.FRAMED, False),
        (b"Transfer-Encoding: CHUNKED", b"2 ;a\r\n{}\r\n0\r\n\r\n", b"{}", End.FRAMED, True),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 9", b"0\n\n", b"", End.FRAMED, True),
        (b"Transfer-Encoding: identity", b"{}", b"{}", End.CLOSED, False),
        (b"Transfer-Encoding: identity\r\nContent-Length: 2", b"{}", b"{}", End.FRAMED, True),
        (b"Transfer-Encoding:\r\nContent-Length: 2", b"{}", b"{}", End.FRAMED, True),
        (TWICE_CHUNKED, b"2\r\n{}\r\n0\r\n\r\n", b"{}", End.FRAMED, True),
        (b"Server: none", b"{}", b"{}", End.CLOSED, False),
    ],
)
def test_the_end_of_a_body_follows_from_the_headers(
    headers: bytes, body: bytes, read: bytes, end: End, *, keeps: bool
) -> None:
    answer = read_in_pieces(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n" + body)
    assert (answer.body, answer.end, answer.keeps_connection) == (read, end, keeps)


@pytest.mark.parametrize(("size", "end"), [(64_000, End.FRAMED), (64_001, End.TRUNCATED)])
def test_a_body_is_read_up_to_the_limit(size: int, end: End) -> None:
    body = b"{}".ljust(size)
    for text in (sized(CREATED, body), sized(CREATED + CODED, gzip.compress(body))):
        assert read_in_pieces(text).end is end


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        (b"HTTP/1.1 204 X\r\n\r\n", True),
        (b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 304 X\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 101 X\r\n\r\n", False),
        (b"HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 202 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 202 X\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 202 X\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_a_connection_is_reused_only_after_an_unambiguous_response(
    text: bytes, *, keeps: bool
) -> None:
    """A body after a response that has none would be read as the response to the next request."""
    answer = read_in_pieces(text)
    assert (answer.body, answer.end, answer.keeps_connection) == (b"", End.FRAMED, keeps)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000,
        CHUNKED + b"\r\n2\r\n{}}\r\n0\r\n\r\n",
        CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"\r\n\r\n{}\r\n0\r\n\r\n",
    ],
    ids=lambda text: repr(text)[:60],
)
def test_invalid_responses_are_errors(text: bytes) -> None:
    with pytest.raises(HTTPException):
        read_in_pieces(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101, "the response has more than 100 headers"),
        (CREATED + b"Content-Length: x\r\n\r\n", "the length of the response cannot be read"),
        (CHUNKED + b"\r\nx\r\n", "the size of a chunk of the response cannot be read"),
        (CHUNKED + b"\r\n1\r\n{}\r\n", "a chunk of the response is longer than its size"),
        (sized(CREATED + CODED, ZIPPED + b"!"), "the response has data after its gzip stream"),
    ],
)
def test_a_malformed_response_is_described(text: bytes, words: str) -> None:
    with server([text]) as (url, _):
        answer = client(url).send_batch(b"{}")
    assert answer.failure is Failure.LOST
    assert answer.detail.endswith(f": {words}")


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "headers": (CREATED, b"A: b\r\n"),
    "one header": (CREATED + b"A: ", b"b"),
    "body": (CREATED + b"Content-Length: 1000000000\r\n\r\n", b" "),
    "chunk size": (CHUNKED + b"\r\n", b"0"),
    "chunks": (CHUNKED + b"\r\n", b"1\r\n \r\n"),
    "trailers": (CHUNKED + chunks(JSON)[:-2], b"A: b\r\n"),
    "interim answers": (b"", CONTINUE),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize("each_seconds", [0.0, 0.02], ids=["fast", "slow"])
@pytest.mark.parametrize("part", ENDLESS)
def test_an_answer_without_end_is_given_up_in_time(part: str, each_seconds: float) -> None:
    """Each byte arrives long before any timeout of a read."""
    with dripping_server(*ENDLESS[part], each_seconds) as url:
        endpoint = Endpoint(url, url, "token", request_timeout_seconds=0.3)
        answer = ImportApiClient(endpoint).send_batch(b"{}")
    # What is too long is known before the time is up.
    assert answer.failure in {Failure.TIMED_OUT, Failure.LOST} or answer.end is End.TRUNCATED
    assert isinstance(judge(answer, 0.0), TryAgain)


@pytest.mark.parametrize(
    ("start", "rest"),
    [(b"HTTP/1.1 200 ", b"O"), (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), (b"", b"")],
    ids=["status line", "headers", "nothing"],
)
def test_a_proxy_whose_answer_has_no_end_is_given_up_in_time(
    start: bytes, rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dripping_server(start, rest, 0.02) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        url = "https://api.example.com"
        answer = ImportApiClient(
            Endpoint(url, url, "token", request_timeout_seconds=0.3)
        ).send_batch(b"{}")
    assert answer.failure in {Failure.TIMED_OUT, Failure.UNREACHABLE}


def posted_in_time(url: str) -> Answer:
    """Return the result of sending a large body with a short deadline."""
    client = HttpClient(url, "token", "an agent")
    return client.send("POST", url, b"x" * 20_000_000, connect_seconds=10.0, seconds=0.5)


def test_a_body_read_slowly_over_tls_times_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read of the server happens long before the deadline."""
    require("openssl")
    made = Authorities(tmp_path)
    made.leaf("good")
    left = threading.Event()

    def sip(connection: socket.socket) -> None:
        with made.context("good").wrap_socket(connection, server_side=True) as wire:
            while wire.recv(10_000) and not left.wait(0.01):
                pass

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "root.pem"))
    with peer(sip, b"") as (url, _):
        assert posted_in_time(url).failure is Failure.TIMED_OUT
        left.set()


def test_a_body_that_nobody_reads_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert posted_in_time(url).failure is Failure.TIMED_OUT
