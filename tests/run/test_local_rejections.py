"""Rejected rows, as the local Import API reports them to the target."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from target_stitch_import.run.local_rejections import local_rejections
from tests.support.servers import server

NOW = datetime(2024, 1, 31, 23, 59, 59, tzinfo=timezone.utc)


def answer(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def test_rejections_are_reported_without_values() -> None:
    """The database's messages quote values; reasons that are equal without them are merged."""
    rejected = [
        {"schema": "s", "table": "t", "reason": reason, "rows": rows}
        for reason, rows in (
            ("Conversion Error: Could not convert string 'secret' to INT32", 1),
            ("Conversion Error: Could not convert string 'hidden' to INT32", 2),
            ("Out of Range Error: Overflow in addition of 12345", 4),
            ("column [x__st] is reserved", 8),
        )
    ]
    with server([answer(json.dumps(rejected).encode())]) as (url, seen):
        assert local_rejections(url, NOW) == {
            "t": {
                "a value that the database cannot hold (Conversion Error)": 3,
                "a value that the database cannot hold (Out of Range Error)": 4,
                "column [x__st] is reserved": 8,
            }
        }
    assert seen[0].startswith(b"GET /_local/rejected?since=2024-01-31T23%3A59%3A59%2B00%3A00 ")


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        answer(b"no JSON"),
        answer(b"{}"),
        answer(b'[{"table": 1}]'),
        answer(b"[]", "404 Not Found"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[",
        b"nonsense\r\n\r\n",
    ],
    ids=["closed", "text", "an object", "another list", "status", "cut off", "no HTTP"],
)
def test_an_unusable_report_of_rejections_is_ignored(reply: bytes) -> None:
    with server([reply]) as (url, _):
        assert local_rejections(url, NOW) is None


def test_an_unreachable_local_api_is_ignored() -> None:
    with server([]) as (url, _):
        pass
    assert local_rejections(url, NOW) is None


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with server([answer(b"[]")]) as (url, _):
        assert local_rejections(url, NOW) == {}
