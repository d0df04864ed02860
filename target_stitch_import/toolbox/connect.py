"""A client of Stitch Connect: Import API sources, and the access tokens that write to them.

Invariant: a request that changes something is sent once and never retried; a secret leaves this
module only as `NewToken.access_token`, and is in no error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from target_stitch_import.config.checks import is_token
from target_stitch_import.delivery.answer import Content, Failure
from target_stitch_import.delivery.redaction import shown, words_of
from target_stitch_import.delivery.verdict import TEMPORARY_STATUSES
from target_stitch_import.errors import (
    ConfigurationError,
    CredentialsError,
    InputError,
    ProtocolError,
    ServiceUnavailableError,
)
from target_stitch_import.names import CONNECT_TOKEN_VARIABLE
from target_stitch_import.run.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Collection

    from target_stitch_import.delivery.answer import Answer
    from target_stitch_import.errors import TargetError

SOURCE_TYPE = "import_api"
MAX_TOKENS = 2
"""The maximum number of active tokens of a source; two, so that a token can be rotated."""

MAX_ANSWER_BYTES = 10_000_000
"""Enough for all sources of an account, which are listed in one response."""
_BEFORE_EXECUTION = frozenset({408, 425, 429})
"""The statuses of requests that were not executed."""
_MAYBE_EXECUTED = "It may have been executed anyway: check that before trying again."


class Source(msgspec.Struct, frozen=True):
    """A source. `name` is the schema that its tables land in; times are RFC 3339.

    The `properties` in Connect's responses are not read: they may contain secrets.
    """

    id: int
    name: str
    display_name: str = ""
    type: str = SOURCE_TYPE
    stitch_client_id: int | None = None
    created_at: str | None = None
    paused_at: str | None = None
    system_paused_at: str | None = None
    deleted_at: str | None = None

    @property
    def state(self) -> str:
        """The state of the source: active, paused or deleted."""
        if self.deleted_at:
            return "deleted"
        return "paused" if self.paused_at or self.system_paused_at else "active"


class Token(msgspec.Struct, frozen=True):
    """An active token, without its secret; `created_at` is RFC 3339, None if it is unknown."""

    token_id: int
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just created, with its secret, which Stitch shows only once."""

    access_token: str = field(repr=False)
    id: int | None = None

    @property
    def shown_id(self) -> str:
        """The ID, for messages."""
        return "of unknown ID" if self.id is None else str(self.id)


class _Detail(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    """A 400 as documented, such as `{"error": "InvalidId", "data": {"message": "..."}}`."""

    error: str
    data: _Detail


_Answer = TypeVar("_Answer")


class ConnectApi:
    """Stitch Connect at `base_url`, with the Connect API token of an account.

    Raises:
        ConfigurationError: The token is missing, or has invalid characters.

    Each request raises these:

        InputError: Connect refuses the request; the text has its reason.
        CredentialsError: Connect refuses the token.
        ServiceUnavailableError: Connect does not respond, or is not healthy.
        ProtocolError: Something other than Connect responds.
    """

    def __init__(
        self, base_url: str, token: str, user_agent: str, timeout_seconds: float = 60.0
    ) -> None:
        if not is_token(token):
            raise ConfigurationError(
                f"The environment variable {CONNECT_TOKEN_VARIABLE} is missing, or contains a "
                "space or another character that is not valid in a token. Set it to a Stitch "
                "Connect API token."
            )
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._client = HttpClient(base_url, token, user_agent, max_answer_bytes=MAX_ANSWER_BYTES)

    def sources(self) -> list[Source]:
        """Return all sources of the account, of any type."""
        return self._call("GET", "/v4/sources", list[Source])

    def source(self, source_id: int) -> Source:
        """Return one source."""
        return self._call("GET", f"/v4/sources/{source_id}", Source)

    def create_source(self, display_name: str) -> Source:
        """Create and return an Import API source; Stitch derives its name from `display_name`."""
        body = {"type": SOURCE_TYPE, "display_name": display_name}
        return self._call("POST", "/v4/sources", Source, body)

    def tokens(self, source_id: int) -> list[Token]:
        """Return a source's active tokens.

        The documentation shows two forms of the list: bare IDs, and objects with their times.
        """
        listed = self._call("GET", f"/v4/sources/{source_id}/tokens", list[int | Token])
        return [Token(each) if isinstance(each, int) else each for each in listed]

    def create_token(self, source_id: int) -> NewToken:
        """Create and return a token."""
        return self._call("POST", f"/v4/sources/{source_id}/tokens", NewToken)

    def revoke_token(self, source_id: int, token_id: int) -> None:
        """Revoke a token: clients that still use it are refused from now on."""
        self._call("DELETE", f"/v4/sources/{source_id}/tokens/{token_id}", Any)

    def _call(self, method: str, path: str, type_: type[_Answer], body: Any = None) -> _Answer:
        answer = self._client.send(
            method,
            self._base_url + path,
            None if body is None else msgspec.json.encode(body),
            connect_seconds=self._timeout_seconds,
            seconds=self._timeout_seconds,
        )
        if answer.failure:
            raise self._unanswered(method, answer.failure, answer.detail)
        if not answer.is_success:
            names = {*path.split("/"), *map(str, (body or {}).values())}
            raise self._refused(method, path, answer, names)
        content = answer.body
        if method == "DELETE":
            # A successful DELETE may have no body, or one that is not documented.
            is_done = answer.content is Content.ACKNOWLEDGEMENT
            content = b"null" if is_done else b""
        try:
            return msgspec.json.decode(content, type=type_)
        except (ValueError, RecursionError):
            raise ProtocolError(
                f"The response to {method} {path} is not from Stitch Connect. Check `region`, "
                "`api_url` and proxies."
            ) from None

    def _unanswered(self, method: str, failure: Failure, detail: str) -> TargetError:
        text = f"{failure.value} ({detail})"
        if failure in {Failure.UNTRUSTED, Failure.UNSENDABLE}:
            return ProtocolError(
                f"Stitch Connect at {self._base_url} cannot be reached: {text}. Check `api_url`, "
                "the machine's clock and certificates, and the environment's proxies."
            )
        hint = f" {failure.advice}" if failure.advice else ""
        if method != "GET" and failure.is_ambiguous:
            # The request may have been executed: a retry could execute it twice.
            hint = f" {_MAYBE_EXECUTED}"
        return ServiceUnavailableError(
            f"Stitch Connect at {self._base_url} did not respond: {text}.{hint}"
        )

    def _refused(
        self, method: str, path: str, answer: Answer, names: Collection[str]
    ) -> TargetError:
        status, words = answer.status, shown(words_of(answer.body), names)
        said = f"{status} {words}".strip()
        if status in {401, 403}:
            return CredentialsError(
                f"Stitch Connect refused the token: {said}. Check {CONNECT_TOKEN_VARIABLE}: it is "
                "a Connect API token, not an Import API access token; and `region`."
            )
        if status in TEMPORARY_STATUSES:
            # A gateway may report an error of a request that reached the service.
            is_clear = method == "GET" or status in _BEFORE_EXECUTION
            hint = "Try again later." if is_clear else _MAYBE_EXECUTED
            return ServiceUnavailableError(f"Stitch Connect is not available: {said}. {hint}")
        try:
            msgspec.json.decode(answer.body, type=_Refusal)
        except (ValueError, RecursionError):
            if status == 404 and path.startswith("/v4/sources/"):
                return InputError(
                    f"Stitch Connect found nothing at {path}: {said}. Check the IDs, `region` and "
                    "`api_url`."
                )
            return ProtocolError(
                f"The response is not from Stitch Connect: {said}. Check `region`, `api_url` and "
                "proxies; redirects are never followed."
            )
        return InputError(f"Stitch Connect refused the request: {words}.")
