"""The Import API's documented responses: each status and body, word for word.

Bodies are JSON, except for the two plain-text ones in the reference (405, and 415 of batch).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON_MEDIA_TYPE = "application/json;charset=UTF-8"
TEXT_MEDIA_TYPE = "text/plain;charset=UTF-8"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: status, body bytes, media type and further headers."""

    status: int
    body: bytes
    media_type: str = JSON_MEDIA_TYPE
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    places: tuple[str, ...] = ()
    """JSON Pointers to what is wrong in the request's body, for the web page."""

    @property
    def accepted(self) -> bool:
        """Return whether the request was accepted (any 2xx)."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """The error in the body's own words; empty if the request was accepted."""
        if self.accepted:
            return ""
        text = self.body.decode("utf-8", "replace")
        try:
            body = msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):  # a fault's body can be any text
            return text
        if not isinstance(body, dict) or body.get("errors"):
            return text
        words = [body[name] for name in ("message", "error") if isinstance(body.get(name), str)]
        return ": ".join(words) or text


def as_json(status: int, value: Any, headers: Mapping[str, str] = NO_HEADERS) -> Answer:
    """Return a JSON answer with `value` as its body."""
    return Answer(status, msgspec.json.encode(value), JSON_MEDIA_TYPE, headers)


def as_text(status: int, text: str, headers: Mapping[str, str] = NO_HEADERS) -> Answer:
    """Return a plain-text answer."""
    return Answer(status, text.encode(), TEXT_MEDIA_TYPE, headers)


BATCH_ACCEPTED = as_json(201, {"status": "OK", "message": "Batch Accepted!"})
BATCH_QUEUED = as_json(
    202, {"status": "Accepted", "message": "The batch is queued to be processed."}
)
BATCH_VALID = as_json(200, {"status": "OK", "message": "Batch is valid!"})
NOT_AUTHORIZED = as_json(401, {"message": "Not Authorized"})
NOT_AUTHENTICATED = as_json(401, {"status": "ERROR", "error": "Not Authenticated.", "errors": None})
INVALID_REGION = as_json(401, {"message": "Invalid region."})
CONNECTION_NOT_ACTIVE = as_json(
    401, {"error": "Forbidden", "errors": {"error": "Connection is not active."}}
)
CLIENT_MISMATCH = as_json(
    403,
    {
        "status": "ERROR",
        "error": "Forbidden",
        "errors": {"error": "Access token is not associated with this client."},
    },
)
NOT_FOUND = as_json(404, {"status": "ERROR", "message": "Not Found"})
METHOD_NOT_ALLOWED = as_text(405, "Method not allowed.")
BATCH_MEDIA_TYPE = as_text(415, "Content-Type must be application/json")
NOT_AN_ARRAY = as_json(400, {"status": "ERROR", "message": "An array of records is expected"})


def too_large(size_bytes: int) -> Answer:
    """Return the refusal of a body of `size_bytes`: 413."""
    text = f"Request rejected: request size ({size_bytes} bytes) exceeds the maximum"
    return as_json(413, {"status": "ERROR", "message": text})


def malformed(detail: str) -> Answer:
    """Return the refusal of a body that is not JSON (or not Transit): 400."""
    return as_json(
        400,
        {
            "status": "ERROR",
            "message": "Malformed json in the body!",
            "error": detail,
            "input": None,
        },
    )


def batch_error(text: str, places: tuple[str, ...] = ()) -> Answer:
    """Return the refusal of a batch: 400, with the batch endpoint's one-member body."""
    return replace(as_json(400, {"error": text}), places=places)


def push_media_type(media_type: str) -> Answer:
    """Return the refusal of a push or validate request for its media type: 415."""
    text = (
        f"Unsupported content-type {media_type}."
        " Please send application/json or application/transit+json"
    )
    return as_json(415, {"status": "ERROR", "message": text})


def unprocessable(errors: list[Any], places: tuple[str, ...] = ()) -> Answer:
    """Return the refusal of a push: 422, with one reason for each failing record."""
    body = {
        "status": "ERROR",
        "error": "Request cannot be processed; see errors.",
        "errors": errors,
    }
    return replace(as_json(422, body), places=places)


def of_status(status: int) -> Answer:
    """Return an answer without details: `status`, and its meaning as the message."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = f"Status {status}"
    return as_json(status, {"status": "ERROR", "message": phrase})


def health(reason: str | None = None) -> Answer:
    """Return the answer to a status request: healthy, or 503 with a `reason`."""
    body = {
        "name": "pipeline.gate",
        "version": "0.3.3-SNAPSHOT",
        "revision": "a154360ad8c43182965049dbf6239aa7c1f3c84d",
        "status": "OK" if reason is None else "ERROR",
        "reason": reason,
    }
    return as_json(200 if reason is None else 503, body)
