"""Verdicts on responses, and waits, as tables of cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.delivery.answer import Answer, Content, End, Failure, content_of
from target_stitch_import.delivery.verdict import (
    Acknowledged,
    BodyRefused,
    Stop,
    TooLarge,
    TryAgain,
    judge,
    retry_after_seconds,
    wait_seconds,
)
from target_stitch_import.errors import CredentialsError, ProtocolError

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


NESTED = b'{"status":"OK","a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
CONTENTS = {
    Content.ACKNOWLEDGEMENT: [
        b"",
        b"{}",
        b'{"status":"OK","message":"Batch Accepted!"}',
        b'{"status":"Accepted"}',
        b'\xef\xbb\xbf{"status":"OK"}',
        b' \r\n{"status":"OK"}\r\n',
        b'{"errors":null,"message":"error"}',
        b'{"a":{"error":1,"status":"ERROR"}}',
    ],
    Content.ERROR: [
        b'{"status":"ERROR"}',
        b'{"status":"Error"}',
        b'{"status":" error "}',
        b'{"status":"\\u0045RROR"}',
        b'\xef\xbb\xbf{"status":"ERROR"}',
        b'{"status":"ERROR","error":"Not Authenticated."}',
        b'{"status":"ERROR","status":"OK"}',
        b'{"status":"OK","status":"ERROR"}',
        b'{"message":"' + b"x" * 50_000 + b'","status":"ERROR"}',
    ],
    Content.UNCLEAR: [
        b"{",
        b'{"status":"OK"',
        b'{"status":"OK"}}',
        b'{"status":"OK"}<html>',
        b'{"status":"OK","a":NaN}',
        b'{"status":"OK","a":"\xff"}',
        b"{status:OK}",
        '{"status":"OK"}'.encode("utf-16"),
        '{"status":"OK"}'.encode("utf-16-be"),
        NESTED,
    ],
    Content.ERROR_MEMBER: [b'{"error":"Forbidden"}', b'{"status":"OK","error":null}'],
    Content.OTHER_STATUS: [
        b'{"status":1}',
        b'{"status":null}',
        b'{"status":["ERROR"]}',
        b'{"status":{"code":"ERROR"}}',
    ],
    Content.LIST: [b"[]", b'[{"status":"OK"}]', b"[" * 100_000],
    Content.PAGE: [b"<!DOCTYPE html>", b"\n<html>", b"\xef\xbb\xbf<html>", b"<html>" * 50_000],
    Content.TEXT: [b"Accepted", b"true", b"null", b'"OK"', b"1", b" ", b"\x1f\x8b", b"\0"],
}


@pytest.mark.parametrize(
    ("content", "body"),
    [(content, body) for content, bodies in CONTENTS.items() for body in bodies],
    ids=lambda value: repr(value)[:40],
)
def test_the_whole_body_of_a_2xx_is_judged(content: Content, body: bytes) -> None:
    for status in (200, 201, 202, 204, 299):
        answer = Answer(status, body)
        verdict = judge(answer, NOW)
        if content is Content.ACKNOWLEDGEMENT:
            assert verdict == Acknowledged()
        elif content in {Content.ERROR, Content.UNCLEAR}:
            assert isinstance(verdict, TryAgain)
            assert verdict.ambiguous == (content is Content.UNCLEAR)
        else:
            assert isinstance(verdict, Stop)
            assert type(verdict.error) is ProtocolError
            assert f"status {status} is {content.value}, so it is not" in str(verdict.error)


@pytest.mark.parametrize(
    ("end", "body", "content"),
    [
        (End.CLOSED, b"", Content.UNCLEAR),
        (End.CLOSED, b" ", Content.UNCLEAR),
        (End.CLOSED, b'{"status":"O', Content.UNCLEAR),
        (End.CLOSED, b'{"status":"OK"}', Content.ACKNOWLEDGEMENT),
        (End.CLOSED, b"<html>", Content.PAGE),
        (End.TRUNCATED, b" ", Content.UNCLEAR),
        (End.TRUNCATED, b'{"status":"OK"}   ', Content.UNCLEAR),
        (End.TRUNCATED, b"<html>", Content.PAGE),
    ],
)
def test_a_body_without_a_known_end_is_judged_by_its_content(
    end: End, body: bytes, content: Content
) -> None:
    assert content_of(body, end) is content


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_temporary_errors_are_retried(status: int) -> None:
    verdict = judge(Answer(status, b"try later", retry_after="7"), NOW)
    assert verdict == TryAgain(f"{status} try later", 7.0)


NO_CONNECTION = [
    Failure.UNREACHABLE,
    Failure.UNRESOLVED,
    Failure.REFUSED,
    Failure.PROXY_REFUSED,
]
RETRIED = [*NO_CONNECTION, Failure.LOST, Failure.TIMED_OUT, Failure.CUT_OFF]


@pytest.mark.parametrize("failure", RETRIED)
def test_missing_responses_are_retried(failure: Failure) -> None:
    verdict = judge(Answer(failure=failure), NOW)
    assert isinstance(verdict, TryAgain)
    assert verdict.ambiguous == (failure not in NO_CONNECTION)
    assert bool(verdict.advice) == (failure in NO_CONNECTION)


@pytest.mark.parametrize(
    ("status", "text", "error", "words"),
    [
        (301, "", ProtocolError, "redirect"),
        (302, "", ProtocolError, "redirect"),
        (303, "", ProtocolError, "redirect"),
        (307, "", ProtocolError, "redirect"),
        (308, "", ProtocolError, "redirect"),
        (401, '{"message":"Not Authorized"}', CredentialsError, "Check `token`"),
        (401, '{"message":"Invalid region."}', CredentialsError, "the other region"),
        (401, '{"error":"Forbidden"}Connection is not active.', CredentialsError, "Resume it"),
        (403, "", CredentialsError, "refused the token"),
        (404, "Not Found", ProtocolError, "not from the Import API: 404 Not Found"),
        (405, "", ProtocolError, "not from the Import API"),
        (415, "", ProtocolError, "not from the Import API"),
        (418, "", ProtocolError, "not from the Import API"),
        (501, "", ProtocolError, "not from the Import API"),
        (100, "", ProtocolError, "not from the Import API"),
    ],
)
def test_a_permanent_error_ends_the_run(status: int, text: str, error: type, words: str) -> None:
    verdict = judge(Answer(status, text.encode()), NOW)
    assert isinstance(verdict, Stop)
    assert type(verdict.error) is error
    assert words in str(verdict.error)


def test_an_untrusted_certificate_ends_the_run() -> None:
    verdict = judge(Answer(failure=Failure.UNTRUSTED, detail="self-signed certificate"), NOW)
    assert isinstance(verdict, Stop)
    assert "self-signed certificate" in str(verdict.error)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("Record 17 did not conform to schema: #/a", 17),
        ("Record 0 for table t did not conform", 0),
        ("Record is missing key property id", None),
        ("Record 99999999999 did", None),
        ("no", None),
    ],
)
def test_refused_content_names_its_record(text: str, record: int | None) -> None:
    for status in (400, 422):
        body = b'{"table_name":"t","key_names":["id"],"schema":{"properties":{"a":{}}}}'
        verdict = judge(Answer(status, text.encode()), NOW, body)
        assert isinstance(verdict, BodyRefused)
        assert verdict.record == record


def test_a_413_is_judged_as_too_large() -> None:
    assert judge(Answer(413, b"too large"), NOW) == TooLarge("413 too large")


def test_control_characters_of_a_response_are_not_shown() -> None:
    verdict = judge(Answer(400, b"\x1b[31mred\n"), NOW)
    assert isinstance(verdict, BodyRefused)
    assert "\x1b" not in verdict.reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("1000000000", 1_000_000_000),
        ("9" * 400, 999_999_999_999),
        ("٣", 0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tue, 14 Nov 2023 22:13:50", 30),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("Tue, 99 Nov 2023 22:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds(value: str | None, seconds: float) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_have_full_jitter_up_to_thirty_seconds(tries: int, chance: float) -> None:
    wait = wait_seconds(tries, 0, chance)
    assert 0 <= wait <= min(30, 0.5 * 2 ** min(tries - 1, 50))
    assert wait_seconds(tries, 0, 1) == min(30, 0.5 * 2 ** min(tries - 1, 50))


@given(st.integers(1, 100), st.floats(0.1, 1e6), st.floats(0, 1))
def test_retry_after_is_the_minimum_wait(tries: int, asked: float, chance: float) -> None:
    assert asked <= wait_seconds(tries, asked, chance) <= asked + 1
