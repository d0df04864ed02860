"""A token for Stitch Connect, and raw responses of a server that stands in for it."""

from __future__ import annotations

CONNECT_TOKEN = "ac_a-connect-token-that-must-show-up-nowhere"  # noqa: S105 - a test's own
CREATED = "2020-01-02T15:49:27Z"


def answer(status: int, body: str) -> bytes:
    """Return a response byte for byte."""
    head = f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()
