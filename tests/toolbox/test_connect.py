"""Stitch Connect's client: its requests, and what each response means."""

from __future__ import annotations

import pytest

from target_stitch_import.errors import (
    CredentialsError,
    InputError,
    ProtocolError,
    ServiceUnavailableError,
    TargetError,
)
from target_stitch_import.toolbox.connect import ConnectApi, NewToken, Token
from tests.support.connect import CONNECT_TOKEN, CREATED, answer
from tests.support.servers import server


def request_lines(requests: list[bytes]) -> list[str]:
    """Return method and path of each request."""
    return [each.partition(b" HTTP/")[0].decode() for each in requests]


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        ("[815713587]", [Token(815713587)]),
        ("[]", []),
        (f'[{{"token_id":7,"created_at":"{CREATED}"}}]', [Token(7, CREATED)]),
        (
            f'[{{"token_id":8,"created_at":"{CREATED}","colour":1}},7]',
            [Token(8, CREATED), Token(7)],
        ),
    ],
)
def test_both_forms_of_a_token_list_are_read(body: str, listed: list[Token]) -> None:
    with server([answer(200, body)]) as (url, seen):
        assert ConnectApi(url, CONNECT_TOKEN, "test").tokens(5) == listed
    assert request_lines(seen) == ["GET /v4/sources/5/tokens"]


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ('{"id":828792559,"access_token":"at_x"}', 828792559),
        ('{"access_token":"at_x","connection":{"properties":{"token":{"1":"at_x"}}}}', None),
    ],
)
def test_both_forms_of_a_new_token_are_read(body: str, number: int | None) -> None:
    """The secret is not in the token's `repr`."""
    with server([answer(200, body)]) as (url, _):
        new = ConnectApi(url, CONNECT_TOKEN, "test").create_token(5)
    assert new == NewToken("at_x", number)
    assert "at_x" not in repr(new)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "", ProtocolError),
        (200, '{"message":"hello"}', ProtocolError),
        (200, "[[[[", ProtocolError),
        (301, "", ProtocolError),
        (307, "", ProtocolError),
        (400, '{"error":"InvalidId","data":{"message":"source not found (5)"}}', InputError),
        (400, "<html>", ProtocolError),
        (401, "", CredentialsError),
        (403, CONNECT_TOKEN, CredentialsError),
        (404, '{"status":"ERROR"}', InputError),
        (404, "", InputError),
        (200, "[" + " " * 11_000_000 + "]", ProtocolError),
        (429, "", ServiceUnavailableError),
        (500, CONNECT_TOKEN, ServiceUnavailableError),
        (502, "", ServiceUnavailableError),
    ],
)
def test_each_response_has_its_error(status: int, body: str, kind: type[TargetError]) -> None:
    """Each request is sent once, redirects are not followed, and no error has the token."""
    with server([answer(status, body)] * 4) as (url, seen):
        for call in (ConnectApi.create_token, ConnectApi.source):
            with pytest.raises(kind) as raised:
                call(ConnectApi(url, CONNECT_TOKEN, "test"), 5)
            assert CONNECT_TOKEN not in str(raised.value)
    assert request_lines(seen) == ["POST /v4/sources/5/tokens", "GET /v4/sources/5"]
    assert all(b"Content-Type: application/json\r\n" in each for each in seen)


def test_a_missing_response_is_an_unavailable_service() -> None:
    with pytest.raises(ServiceUnavailableError, match="connection refused"):
        ConnectApi("http://127.0.0.1:9", CONNECT_TOKEN, "test").sources()


def test_an_ambiguous_creation_is_reported() -> None:
    """It is not retried, because that could create a second token."""
    with (
        server([b""]) as (url, seen),
        pytest.raises(ServiceUnavailableError, match="may have been executed anyway"),
    ):
        ConnectApi(url, CONNECT_TOKEN, "test").create_token(2)
    assert request_lines(seen) == ["POST /v4/sources/2/tokens"]


CHANGES = [("GET", 504, "later"), ("POST", 429, "later"), ("POST", 504, "executed anyway")]


@pytest.mark.parametrize(("method", "status", "words"), CHANGES)
def test_an_unclear_change_is_reported_as_possibly_executed(
    method: str, status: int, words: str
) -> None:
    with server([answer(status, "")]) as (url, _):
        api = ConnectApi(url, CONNECT_TOKEN, "test")
        with pytest.raises(ServiceUnavailableError, match=words):
            api.tokens(2) if method == "GET" else api.create_token(2)


@pytest.mark.parametrize("head", [b"204 No Content\r\n", b"200 OK\r\nContent-Length: 0\r\n"])
def test_a_revocation_needs_no_body(head: bytes) -> None:
    with server([b"HTTP/1.1 " + head + b"Connection: close\r\n\r\n"]) as (url, _):
        ConnectApi(url, CONNECT_TOKEN, "test").revoke_token(2, 21)


@pytest.mark.parametrize("body", ["<html>", "[1]", '{"error":"x"}', '{"status":"ERROR"}', "{"])
def test_a_response_of_another_server_is_not_a_revocation(body: str) -> None:
    with server([answer(200, body)]) as (url, _), pytest.raises(ProtocolError):
        ConnectApi(url, CONNECT_TOKEN, "test").revoke_token(2, 21)


def test_a_truncated_response_is_an_error() -> None:
    whole = answer(200, "[21]")
    cuts = [whole[:at] for at in range(len(whole))]
    with server(cuts) as (url, _):
        api = ConnectApi(url, CONNECT_TOKEN, "test")
        for _cut in cuts:
            with pytest.raises(ServiceUnavailableError):
                api.tokens(5)


def test_the_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:S3CRET@127.0.0.1:99999")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(TargetError) as raised:
        ConnectApi("https://connect.example.com", CONNECT_TOKEN, "test").sources()
    assert "through the proxy an address that cannot be read" in str(raised.value)
    assert "S3CRET" not in str(raised.value)
