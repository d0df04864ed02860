"""The response to one request, or the failure that prevented one, as a value without a verdict."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from msgspec import Struct


class Failure(Enum):
    """Why there is no complete response. The value describes it to users."""

    UNREACHABLE = "no connection"
    UNRESOLVED = "no connection: the host name does not resolve"
    REFUSED = "connection refused"
    PROXY_REFUSED = "the proxy refused the connection"
    LOST = "the connection was lost"
    TIMED_OUT = "no response in time"
    CUT_OFF = "the response is incomplete"
    UNTRUSTED = "TLS failed"
    UNSENDABLE = "the request cannot be sent"

    @property
    def is_ambiguous(self) -> bool:
        """Return whether the service may have processed the request anyway."""
        return self in {Failure.LOST, Failure.TIMED_OUT, Failure.CUT_OFF}

    @property
    def brief(self) -> str:
        """A short description of a failure to connect; empty for all other failures."""
        return _WITHOUT_CONNECTION.get(self, ("", ""))[0]

    @property
    def advice(self) -> str:
        """What to check after a failure to connect, in sentences; empty for all other failures."""
        return _WITHOUT_CONNECTION.get(self, ("", ""))[1]


_WITHOUT_CONNECTION = {
    Failure.UNREACHABLE: (
        "no connection",
        "Check this machine's network, and firewalls and proxies on the way.",
    ),
    Failure.UNRESOLVED: (
        "name does not resolve",
        (
            "Check this machine's network and DNS; the name is from `region`, `api_url` or "
            "HTTPS_PROXY."
        ),
    ),
    Failure.REFUSED: (
        "connection refused",
        (
            "Check that the service runs there, and firewalls; host and port are from `region`, "
            "`api_url` or HTTPS_PROXY."
        ),
    ),
    Failure.PROXY_REFUSED: (
        "proxy refuses",
        (
            "Check what the proxy in HTTPS_PROXY allows, and its user and password: "
            "http://USER:PASSWORD@HOST:PORT. A host that needs no proxy goes into NO_PROXY."
        ),
    ),
}
"""A short description of each failure to connect, and what to check, in sentences."""


class End(Enum):
    """How far the body of a complete response was read."""

    FRAMED = "to the end that its headers announce"
    CLOSED = "to the end of the connection, which may have come before that of the body"
    TRUNCATED = "up to the size limit"


class Content(Enum):
    """The kinds of bodies of 2xx responses; the value describes the kind to users."""

    ACKNOWLEDGEMENT = "an acknowledgement"
    ERROR = "an error"
    UNCLEAR = "unclear"
    ERROR_MEMBER = "a JSON object with an `error`"
    OTHER_STATUS = "a JSON object whose `status` is not text"
    LIST = "a JSON list"
    PAGE = "a web page"
    TEXT = "text"


class Answer(Struct, frozen=True):
    """A status with its unchanged body, or a failure with a `detail` that may be shown."""

    status: int | None = None
    body: bytes = b""
    retry_after: str | None = None
    failure: Failure | None = None
    detail: str = ""
    end: End = End.FRAMED

    @property
    def is_success(self) -> bool:
        """Return whether the status is 2xx; that alone is no acknowledgement."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def content(self) -> Content:
        """The kind of the body, if the status is 2xx."""
        return content_of(self.body, self.end)


def content_of(body: bytes, end: End) -> Content:
    """Return the kind of the body of a 2xx response; `end` is how far the body was read."""
    if not body:
        # If only the end of the connection ended the response, its body may have been lost.
        return Content.ACKNOWLEDGEMENT if end is End.FRAMED else Content.UNCLEAR
    opening = body.lstrip(_BEFORE_TEXT)[:1]
    if opening != b"{":
        if not opening and end is not End.FRAMED:
            return Content.UNCLEAR
        return _FOREIGN.get(opening, Content.TEXT)  # even if the body is truncated
    members = _members(body) if end is not End.TRUNCATED else None
    if members is None:
        return Content.UNCLEAR
    # A JSON object may have the same name twice.
    statuses = [value for name, value in members if name == "status"]
    if any(isinstance(each, str) and each.strip().upper() == "ERROR" for each in statuses):
        return Content.ERROR
    if any(name == "error" for name, _ in members):
        return Content.ERROR_MEMBER
    if not all(isinstance(each, str) for each in statuses):
        return Content.OTHER_STATUS
    return Content.ACKNOWLEDGEMENT


def _members(body: bytes) -> tuple[tuple[str, Any], ...] | None:
    """Return the members of a JSON object; None if it is not one, or cannot be read whole."""
    try:
        read = _JSON.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, tuple) else None


def _no_number(text: str) -> None:
    raise ValueError(text)


_JSON = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=_no_number)
_BEFORE_TEXT = b" \t\r\n\0\xef\xbb\xbf\xfe\xff"
"""White space and byte-order marks, also of the wider Unicode encodings."""
_FOREIGN = {b"<": Content.PAGE, b"[": Content.LIST}
