"""Stitch Connect as tests need it: a token, and answers byte for byte."""

from __future__ import annotations

CONNECT_TOKEN = "ac_a-connect-token-that-must-show-up-nowhere"  # noqa: S105 - a test's own
CREATED = "2020-01-02T15:49:27Z"


def answer(status: int, body: str) -> bytes:
    """Return an answer as it goes over the wire."""
    head = f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


def asked(seen: list[bytes]) -> list[str]:
    """Return the first lines of requests."""
    return [each.partition(b" HTTP/")[0].decode() for each in seen]
