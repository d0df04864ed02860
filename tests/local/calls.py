"""Requests to the local Import API, and the bodies that tests start from."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi
    from target_stitch_import.local.server.runtime import LocalApi

JSON = "application/json"
ACCOUNTS: dict[str, Any] = {
    "region": "us",
    "clients": [
        {
            "client_id": 7723,
            "connect_tokens": ["AC"],
            "sources": [
                {
                    "id": 126890,
                    "display_name": "Import API",
                    "created_at": "2020-01-02T15:49:27Z",
                    "paused_at": None,
                    "tokens": [
                        {"id": 544973525, "token": "T1", "created_at": "2020-01-02T15:49:27Z"}
                    ],
                },
                {
                    "id": 126891,
                    "display_name": "Paused",
                    "paused_at": "2020-01-03T00:00:00Z",
                    "tokens": [{"id": 544973526, "token": "TP"}],
                },
            ],
        },
        {
            "client_id": 9999,
            "connect_tokens": ["AX"],
            "sources": [{"id": 126900, "tokens": [{"id": 544973527, "token": "TX"}]}],
        },
    ],
    "other_region_tokens": ["TE"],
}
CUSTOMERS: dict[str, Any] = {
    "table_name": "customers",
    "schema": {
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "has_magic": {"type": "boolean"},
        }
    },
    "messages": [
        {
            "action": "upsert",
            "sequence": 1565880017,
            "data": {"id": 1, "name": "Finn", "age": 15, "has_magic": False},
        }
    ],
    "key_names": ["id"],
}
PUSHED: list[dict[str, Any]] = [
    {
        "client_id": 7723,
        "table_name": "customers",
        "sequence": 1565880017,
        "data": {"id": 1, "name": "Finn"},
        "key_names": ["id"],
        "action": "upsert",
    }
]


def call(
    api: ImportApi | LocalApi,
    path: str = "/v2/import/batch",
    body: Any = None,
    *,
    method: str = "POST",
    token: str | None = "T1",  # noqa: S107 - made up, as all of the accounts
    media_type: str | None = JSON,
    data: bytes | None = None,
) -> requests.Response:
    """Send one request; `body` is sent as JSON, `data` as it is."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if media_type is not None and method == "POST":
        headers["Content-Type"] = media_type
    return requests.request(
        method,
        api.url + path,
        headers=headers,
        json=body if data is None and body is not None else None,
        data=data,
        timeout=30,
        allow_redirects=False,
    )


def upsert(data: dict[str, Any], sequence: int = 1, **more: Any) -> dict[str, Any]:
    """Return an upsert message."""
    return {"action": "upsert", "sequence": sequence, "data": data, **more}


def batch(
    table: str,
    *messages: dict[str, Any],
    schema: dict[str, Any] | None = None,
    keys: tuple[str, ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return a batch body; keys are integers unless a schema says otherwise."""
    given = schema or {"properties": {key: {"type": ["integer", "string"]} for key in keys}}
    return {
        "table_name": table,
        "schema": given,
        "messages": list(messages),
        "key_names": list(keys),
        **more,
    }


def send(api: ImportApi, *bodies: dict[str, Any]) -> None:
    """Send batches one after another, each of which must be accepted."""
    for body in bodies:
        answer = call(api, body=body)
        assert answer.status_code == 201, answer.text


def customers(**message: Any) -> dict[str, Any]:
    """Return the customers batch, its one message changed."""
    body = copy.deepcopy(CUSTOMERS)
    data = message.pop("data", {})
    body["messages"][0].update(message)
    body["messages"][0]["data"].update(data)
    return body


def columns(api: ImportApi, table: str, *, system: bool = False) -> dict[str, str]:
    """Return a table's columns and types, in order."""
    rows = api.query(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'import_api'"  # noqa: S608
        f" AND table_name = '{table}' ORDER BY column_index"
    )
    return {name: type_ for name, type_ in rows if system or "_sdc_" not in name}


def tables(api: ImportApi) -> list[str]:
    """Return the visible tables with rows of data."""
    return [
        name
        for (name,) in api.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'import_api'"
            " AND table_name <> '_sdc_rejected' ORDER BY ALL"
        )
    ]


def rejected(api: ImportApi) -> list[tuple[Any, ...]]:
    """Return table and reason of each rejected record."""
    return api.query("SELECT table_name, reason FROM import_api._sdc_rejected ORDER BY ALL")


def fill(api: ImportApi) -> None:
    """Send accepted, rejected and refused requests of several kinds."""
    send(
        api,
        customers(),
        batch("orders", upsert({"id": 1, "total": 2.5, "tags": ["a", "b"]}), keys=("id",)),
        batch("bad", upsert({"id": 1, "Name": 1, "name": 2}), keys=("id",)),
    )
    call(api, body=customers(data={"name": 5}), token="T1")  # noqa: S106 - made up
    call(api, body=CUSTOMERS, token="at_never-shown")  # noqa: S106 - made up
