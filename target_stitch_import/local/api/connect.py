"""Stitch Connect's endpoints for Import API sources and their tokens, without sockets.

Changes live in memory, until the service ends or is reset.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.api import answers
from target_stitch_import.local.api.accounts import (
    DEFAULT_CREATED_AT,
    MAX_TOKENS,
    Accounts,
    Client,
    Source,
    Token,
    bearer,
    derived_name,
    now_text,
)
from target_stitch_import.local.api.connect_stubs import (
    DESTINATION_ID,
    STEPS,
    Destination,
    connection_check,
    destinations,
    not_implemented,
    report_card,
    streams,
)
from target_stitch_import.local.api.values import MalformedError, parse

if TYPE_CHECKING:
    from target_stitch_import.local.api.answers import Answer
    from target_stitch_import.local.api.request import Request

MAX_NAME_CHARACTERS = 49  # "under 50 characters"
TYPE = "import_api"
_NAME = re.compile(r"[a-z_][a-z0-9_$]*")
_PATHS = {
    name: re.compile(pattern, re.ASCII)
    for name, pattern in {
        "sources": r"/v4/sources",
        "source": r"/v4/sources/(\d{1,18})",
        "tokens": r"/v4/sources/(\d{1,18})/tokens",
        "token": r"/v4/sources/(\d{1,18})/tokens/(\d{1,18})",
        "source check": r"/v4/sources/(\d{1,18})/last-connection-check",
        "streams": r"/v4/sources/(\d{1,18})/streams",
        "report card": rf"/v4/source-types/{TYPE}",
        "destinations": r"/v4/destinations",
        "destination check": r"/v4/destinations/(\d{1,18})/last-connection-check",
    }.items()
}
_DETAILS = {
    "pricing_tier": "standard",
    "pipeline_state": "released",
    "default_start_date": "-1 year",
    "default_scheduling_interval": 60,
    "protocol": "import_api",
    "access": True,
}
_UNAUTHORIZED = answers.as_json(
    401, {"error": "Unauthorized", "data": {"message": "invalid access token"}}
)
_NAME_RULE = (
    "The name field must be under 50 characters, and can only contain lowercase letters, numbers,"
    " underscores, or dollar signs. It must begin with a letter or an underscore."
)
_BODY_RULE = (
    "POST body may only include a non-empty type, a non-empty display_name and map of"
    " string properties"
)


class _FailedError(ValueError):
    """A 400 of Connect: its error name and message."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.answer = answers.as_json(400, {"error": error, "data": {"message": message}})


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to answer: client, IDs and body."""

    accounts: Accounts
    client: Client
    destination: Destination
    ids: tuple[int, ...]
    body: bytes


def handle(accounts: Accounts, destination: Destination, request: Request) -> Answer:
    """Answer one request to Stitch Connect."""
    name, ids = _endpoint(request.path) or ("", ())
    unsupported = not_implemented(request.path)
    if not name and unsupported is None:
        return answers.NOT_FOUND
    client = accounts.client_of(bearer(request.headers.get("authorization")))
    if client is None:
        return _UNAUTHORIZED
    method = "GET" if request.method == "HEAD" else request.method
    action = _ACTIONS.get((method, name))
    if action is None:
        return unsupported or answers.METHOD_NOT_ALLOWED
    with accounts.lock:
        try:
            call = _Call(accounts, client, destination, ids, request.body)
            return answers.as_json(200, action(call))
        except _FailedError as failed:
            return failed.answer


def _endpoint(path: str) -> tuple[str, tuple[int, ...]] | None:
    """Return the name of a path's endpoint in `_PATHS`, and the IDs in the path."""
    for name, pattern in _PATHS.items():
        match = pattern.fullmatch(path)
        if match is not None:
            return name, tuple(map(int, match.groups()))
    return None


def _report_card(_call: _Call) -> Any:
    return {
        "type": TYPE,
        "current_step": 1,
        "current_step_type": "form",
        "steps": STEPS,
        "details": _DETAILS,
    }


def _shown(source: Source) -> dict[str, Any]:
    """Return a source as Connect shows it; its tokens' secrets are never part of it."""
    return {
        "properties": {},
        "updated_at": source.updated_at,
        "schedule": None,
        "name": source.name,
        "type": TYPE,
        "deleted_at": source.deleted_at,
        "system_paused_at": None,
        "stitch_client_id": source.client_id,
        "paused_at": source.paused_at,
        "id": source.id,
        "display_name": source.display_name,
        "created_at": source.created_at,
        "report_card": report_card(TYPE),
    }


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = parse(body)
    except MalformedError:
        value = None
    if not isinstance(value, dict):
        raise _FailedError("InvalidBody", _BODY_RULE)
    return value


def _find(client: Client, source_id: int) -> Source:
    for source in client.sources:
        if source.id == source_id and source.deleted_at is None:
            return source
    raise _FailedError("InvalidId", f"source not found ({source_id})")


def _list(call: _Call) -> Any:
    return [_shown(source) for source in call.client.sources if source.deleted_at is None]


def _show(call: _Call) -> Any:
    return _shown(_find(call.client, call.ids[0]))


def _create(call: _Call) -> Any:
    given = _object(call.body)
    type_, display_name = given.get("type"), given.get("display_name")
    properties = given.get("properties", {})
    usable = (
        isinstance(type_, str)
        and isinstance(display_name, str)
        and isinstance(properties, dict)
        and given.keys() <= {"type", "display_name", "properties", "destination_id"}
        and all(isinstance(value, str) for value in properties.values())
    )
    if not usable or not type_ or not display_name:
        raise _FailedError("InvalidBody", _BODY_RULE)
    if type_ != TYPE:
        raise _FailedError("InvalidType", f"invalid source type ({type_})")
    name = derived_name(display_name)
    derived = f"{display_name} -> {name}"
    live = [source for source in call.client.sources if source.deleted_at is None]
    if not name:
        raise _FailedError(
            "InvalidDisplayName", f"invalid name after deriving it from display_name ({derived})"
        )
    if any(source.display_name == display_name for source in live):
        raise _FailedError("InvalidName", f"non-unique name ({display_name})")
    if any(source.name == name for source in live):
        raise _FailedError(
            "InvalidName", f"non-unique name after deriving it from display_name ({derived})"
        )
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise _FailedError("InvalidName", _NAME_RULE)
    now = now_text()
    source = Source(
        id=max((each.id for each in call.accounts.sources()), default=0) + 1,
        display_name=display_name,
        name=name,
        created_at=now,
        updated_at=now,
        client_id=call.client.client_id,
    )
    call.client.sources.append(source)
    return _shown(source)


def _update(call: _Call) -> Any:
    source = _find(call.client, call.ids[0])
    given = _object(call.body)
    paused_at = given.get("paused_at", source.paused_at)
    if paused_at is not None and not isinstance(paused_at, str):
        raise _FailedError("InvalidBody", "paused_at must be a time or null")
    source.paused_at = paused_at
    if isinstance(given.get("display_name"), str) and given["display_name"]:
        source.display_name = given["display_name"]
    source.updated_at = now_text()
    return _shown(source)


def _delete(call: _Call) -> Any:
    source = _find(call.client, call.ids[0])
    source.deleted_at = source.updated_at = now_text()
    return _shown(source)


def _tokens(call: _Call) -> Any:
    tokens = sorted(_find(call.client, call.ids[0]).tokens, key=lambda token: -token.id)
    return [
        {"token_id": token.id, "created_at": token.created_at or DEFAULT_CREATED_AT}
        for token in tokens
    ]


def _create_token(call: _Call) -> Any:
    source = _find(call.client, call.ids[0])
    if len(source.tokens) >= MAX_TOKENS:
        raise _FailedError(
            "TokenLimit", f"source ({source.id}) already has {MAX_TOKENS} active access tokens"
        )
    highest = max(
        (token.id for each in call.accounts.sources() for token in each.tokens), default=0
    )
    call.accounts.last_token_id = max(highest, call.accounts.last_token_id) + 1
    token = Token(call.accounts.last_token_id, f"at_{secrets.token_hex(24)}", now_text())
    source.tokens = [*source.tokens, token]
    return {"id": token.id, "access_token": token.token}


def _revoke_token(call: _Call) -> Any:
    source = _find(call.client, call.ids[0])
    kept = [token for token in source.tokens if token.id != call.ids[1]]
    if len(kept) == len(source.tokens):
        raise _FailedError("InvalidId", f"token not found ({call.ids[1]})")
    call.accounts.revoked.update(token.token for token in source.tokens if token.id == call.ids[1])
    source.tokens = kept
    source.updated_at = now_text()
    return _shown(source)


def _check_source(call: _Call) -> Any:
    source = _find(call.client, call.ids[0])
    return connection_check(call.client, source.id, source.created_at)


def _check_destination(call: _Call) -> Any:
    if call.ids[0] != DESTINATION_ID:
        raise _FailedError("InvalidId", f"destination not found ({call.ids[0]})")
    return connection_check(call.client, DESTINATION_ID, DEFAULT_CREATED_AT)


def _streams(call: _Call) -> Any:
    return streams(_find(call.client, call.ids[0]), call.destination)


def _destinations(call: _Call) -> Any:
    return destinations(call.client, call.destination)


_ACTIONS = {
    ("GET", "sources"): _list,
    ("POST", "sources"): _create,
    ("GET", "source"): _show,
    ("PUT", "source"): _update,
    ("DELETE", "source"): _delete,
    ("GET", "tokens"): _tokens,
    ("POST", "tokens"): _create_token,
    ("DELETE", "token"): _revoke_token,
    ("GET", "source check"): _check_source,
    ("GET", "streams"): _streams,
    ("GET", "report card"): _report_card,
    ("GET", "destinations"): _destinations,
    ("GET", "destination check"): _check_destination,
}
