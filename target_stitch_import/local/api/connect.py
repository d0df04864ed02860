"""Stitch Connect's endpoints for Import API sources and their tokens; no sockets.

Changes live in memory, until the service ends or is reset.
"""

from __future__ import annotations

import re
import secrets
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
from target_stitch_import.local.api.values import MalformedError, parse

if TYPE_CHECKING:
    from target_stitch_import.local.api.answers import Answer

MAX_NAME_CHARACTERS = 49  # "under 50 characters"
TYPE = "import_api"
_NAME = re.compile(r"[a-z_][a-z0-9_$]*")
_PATH = re.compile(r"/v4/sources(?:/(\d{1,18})(?:(/tokens)(?:/(\d{1,18}))?)?)?")
_FORM = {"type": "form", "properties": []}
_DONE = {"type": "fully_configured", "properties": []}
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


def handle(
    accounts: Accounts, method: str, path: str, authorization: str | None, body: bytes
) -> Answer:
    """Answer one request to a path under `/v4/`."""
    client = accounts.client_of(bearer(authorization))
    report = path == f"/v4/source-types/{TYPE}"
    match = _PATH.fullmatch(path)
    if match is None and not report:
        return answers.NOT_FOUND
    if client is None:
        return _UNAUTHORIZED
    if match is None:
        return _report_card() if method == "GET" else answers.METHOD_NOT_ALLOWED
    source_id, tokens, token_id = match.groups()
    level = "token" if token_id else "tokens" if tokens else "source" if source_id else "sources"
    action = _ACTIONS.get((method, level))
    if action is None:
        return answers.METHOD_NOT_ALLOWED
    with accounts.lock:
        try:
            numbers = tuple(int(each) for each in (source_id, token_id) if each)
            return answers.as_json(200, action(accounts, client, numbers, body))
        except _FailedError as failed:
            return failed.answer


def _report_card() -> Answer:
    card = {
        "type": TYPE,
        "current_step": 1,
        "current_step_type": "form",
        "steps": [_FORM, _DONE],
        "details": _DETAILS,
    }
    return answers.as_json(200, card)


def _shown(source: Source) -> dict[str, Any]:
    """Give a source as Connect shows it; its tokens' secrets are never part of it."""
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
        "report_card": {
            "type": TYPE,
            "current_step": 2,
            "current_step_type": "fully_configured",
            "steps": [_FORM, _DONE],
        },
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


def _list(_accounts: Accounts, client: Client, _ids: tuple[int, ...], _body: bytes) -> Any:
    return [_shown(source) for source in client.sources if source.deleted_at is None]


def _show(_accounts: Accounts, client: Client, ids: tuple[int, ...], _body: bytes) -> Any:
    return _shown(_find(client, ids[0]))


def _create(accounts: Accounts, client: Client, _ids: tuple[int, ...], body: bytes) -> Any:
    given = _object(body)
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
    live = [source for source in client.sources if source.deleted_at is None]
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
        id=max((each.id for each in accounts.sources()), default=0) + 1,
        display_name=display_name,
        name=name,
        created_at=now,
        updated_at=now,
        client_id=client.client_id,
    )
    client.sources.append(source)
    return _shown(source)


def _update(_accounts: Accounts, client: Client, ids: tuple[int, ...], body: bytes) -> Any:
    source = _find(client, ids[0])
    given = _object(body)
    paused_at = given.get("paused_at", source.paused_at)
    if paused_at is not None and not isinstance(paused_at, str):
        raise _FailedError("InvalidBody", "paused_at is a time or null")
    source.paused_at = paused_at
    if isinstance(given.get("display_name"), str) and given["display_name"]:
        source.display_name = given["display_name"]
    source.updated_at = now_text()
    return _shown(source)


def _delete(_accounts: Accounts, client: Client, ids: tuple[int, ...], _body: bytes) -> Any:
    source = _find(client, ids[0])
    source.deleted_at = source.updated_at = now_text()
    return _shown(source)


def _tokens(_accounts: Accounts, client: Client, ids: tuple[int, ...], _body: bytes) -> Any:
    tokens = sorted(_find(client, ids[0]).tokens, key=lambda token: -token.id)
    return [
        {"token_id": token.id, "created_at": token.created_at or DEFAULT_CREATED_AT}
        for token in tokens
    ]


def _create_token(accounts: Accounts, client: Client, ids: tuple[int, ...], _body: bytes) -> Any:
    source = _find(client, ids[0])
    if len(source.tokens) >= MAX_TOKENS:
        raise _FailedError(
            "TokenLimit", f"source ({source.id}) already has {MAX_TOKENS} active access tokens"
        )
    highest = max((token.id for each in accounts.sources() for token in each.tokens), default=0)
    accounts.last_token_id = max(highest, accounts.last_token_id) + 1
    token = Token(accounts.last_token_id, f"at_{secrets.token_hex(24)}", now_text())
    source.tokens = [*source.tokens, token]
    return {"id": token.id, "access_token": token.token}


def _revoke_token(accounts: Accounts, client: Client, ids: tuple[int, ...], _body: bytes) -> Any:
    source = _find(client, ids[0])
    kept = [token for token in source.tokens if token.id != ids[1]]
    if len(kept) == len(source.tokens):
        raise _FailedError("InvalidId", f"token not found ({ids[1]})")
    accounts.revoked.update(token.token for token in source.tokens if token.id == ids[1])
    source.tokens = kept
    source.updated_at = now_text()
    return _shown(source)


_ACTIONS = {
    ("GET", "sources"): _list,
    ("POST", "sources"): _create,
    ("GET", "source"): _show,
    ("PUT", "source"): _update,
    ("DELETE", "source"): _delete,
    ("GET", "tokens"): _tokens,
    ("POST", "tokens"): _create_token,
    ("DELETE", "token"): _revoke_token,
}
