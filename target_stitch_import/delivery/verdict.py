"""Judges every response of the Import API, and computes the wait before a retry.

Invariant: only a complete 2xx response in the Import API's own form counts as an acknowledgement,
and nothing is sent again that was acknowledged or finally refused.
"""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from msgspec import Struct

from target_stitch_import.delivery.answer import Answer, Content, Failure
from target_stitch_import.delivery.redaction import names_in, shown, words_of
from target_stitch_import.errors import (
    CredentialsError,
    ProtocolError,
    TargetError,
)

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
RETRY_AFTER_SPREAD_SECONDS = 1.0

TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Responses with these statuses are worth a retry, from the Import API and from Stitch Connect."""
_REFUSED_CONTENT = frozenset({400, 422})


class Acknowledged(Struct, frozen=True):
    """The service has accepted the request; it is never sent again."""


class TryAgain(Struct, frozen=True):
    """The same bytes are to be sent again, after at least `at_least_seconds`.

    `ambiguous` means that the service may have processed the request.
    """

    reason: str
    at_least_seconds: float = 0.0
    ambiguous: bool = False
    failure: Failure | None = None

    @property
    def advice(self) -> str:
        """What to check, in sentences; empty if there is no advice."""
        return self.failure.advice if self.failure else ""


class TooLarge(Struct, frozen=True):
    """The body is over the service's limit."""

    reason: str


class BodyRefused(Struct, frozen=True):
    """The service refuses the body's content; `record` is the index that it names, if any."""

    reason: str
    record: int | None = None


class Stop(Struct, frozen=True):
    """No later request can succeed either, so the run ends with `error`."""

    error: TargetError


Verdict: TypeAlias = Acknowledged | TryAgain | TooLarge | BodyRefused | Stop


def judge(answer: Answer, wall_clock_seconds: float, body: bytes = b"") -> Verdict:
    """Return the verdict on a response; `wall_clock_seconds` is since 1970.

    `body` is the body of the request: the names that it declares may appear in the verdict.
    """
    if answer.failure in {Failure.UNTRUSTED, Failure.UNSENDABLE}:
        return Stop(
            ProtocolError(
                f"Cannot connect to the Import API, {answer.failure.value}: {answer.detail}. Check "
                "`api_url`, the machine's clock and certificates, proxy variables and "
                "REQUESTS_CA_BUNDLE."
            )
        )
    if answer.failure is not None or answer.status is None:
        failure = answer.failure or Failure.LOST
        detail = f" ({answer.detail})" if answer.detail else ""
        reason = f"{failure.value}{detail}"
        return TryAgain(reason, ambiguous=failure.is_ambiguous, failure=failure)
    status = answer.status
    content = answer.content if answer.is_success else None
    if content is Content.ACKNOWLEDGEMENT:
        return Acknowledged()
    words = words_of(answer.body)
    said = f"{status} {shown(words, names_in(body))}".strip()
    if content is not None:
        return _no_acknowledgement(content, status, said)
    if status in TEMPORARY_STATUSES:
        wait = retry_after_seconds(answer.retry_after, wall_clock_seconds)
        return TryAgain(said, wait)
    if status == 413:
        return TooLarge(said)
    if status in _REFUSED_CONTENT:
        return BodyRefused(said, _named_record(words))
    return Stop(_final_error(status, said, words))


def _no_acknowledgement(content: Content, status: int, said: str) -> TryAgain | Stop:
    if content is Content.ERROR:
        return TryAgain(f"a 2xx response that reports an error: {said}")
    if content is Content.UNCLEAR:
        return TryAgain(f"an unclear 2xx response: {said}", ambiguous=True)
    return Stop(
        ProtocolError(
            f"The response with status {status} is {content.value}, so it is not from the Import "
            "API and nothing counts as delivered. Check `api_url`, and whether a proxy or login "
            "page is in between."
        )
    )


def _named_record(text: str) -> int | None:
    """Return the index in `Record 17 did not conform ...`; it is only a hint."""
    _, found, rest = text.partition("Record ")
    index = rest.split(" ", 1)[0]
    return int(index) if found and index.isdecimal() and len(index) < 6 else None


def _final_error(status: int, said: str, text: str) -> TargetError:
    if status in {401, 403}:
        if "Invalid region" in text:
            return CredentialsError(
                f"The Import API responded with {said}: the token belongs to the other region. "
                "Change `region` from `us` to `eu`, or from `eu` to `us`."
            )
        if "not active" in text:
            return CredentialsError(
                f"The Import API responded with {said}: the integration that the token belongs to "
                "is paused or deleted in Stitch. Resume it there, then run again."
            )
        if "not associated with this client" in text:
            return CredentialsError(
                f"The Import API responded with {said}: the token belongs to another client. "
                "Check `client_id` and `token`."
            )
        return CredentialsError(
            f"The Import API refused the token: {said}. Check `token`, or create a new one in "
            "the Import API integration's settings."
        )
    if 300 <= status < 400:
        return ProtocolError(
            f"The Import API responded with a redirect ({status}), which is never followed. "
            "Check `api_url` and whether a proxy or login page is in between."
        )
    return ProtocolError(
        f"The response is not from the Import API: {said}. Check `api_url` and proxies."
    )


def retry_after_seconds(value: str | None, wall_clock_seconds: float) -> float:
    """Return the seconds that a `Retry-After` header asks for; 0 if it is missing or invalid."""
    if not value:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    now = datetime.fromtimestamp(wall_clock_seconds, tz=timezone.utc)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, IndexError, TypeError, ArithmeticError):  # such as an offset of 1,000 hours
        return 0.0


def wait_seconds(tries: int, at_least_seconds: float, chance: float) -> float:
    """Return the seconds to wait before the next attempt.

    Args:
        tries: How many attempts have failed, at least 1.
        at_least_seconds: What `Retry-After` asked for, or 0.
        chance: A random number from 0 to 1: full jitter, so that clients do not synchronise.
    """
    if at_least_seconds > 0:
        return at_least_seconds + chance * RETRY_AFTER_SPREAD_SECONDS
    longest: float = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 10))
    return chance * longest
