"""The rest of Stitch Connect: fixed answers where they hold locally, otherwise 501.

Responses have the forms of the Connect reference. An Import API source has no tap to check, so it
works as soon as it exists; its streams are the tables that arrived.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from target_stitch_import.local.api import answers
from target_stitch_import.local.api.accounts import DEFAULT_CREATED_AT

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.local.api.accounts import Client, Source
    from target_stitch_import.local.api.answers import Answer

DESTINATION_ID = 1
STEPS = [{"type": "form", "properties": []}, {"type": "fully_configured", "properties": []}]
"""The steps to configure a source or destination without settings."""
_NOT_IMPLEMENTED = (
    (r"/v4/sources/[^/]+/streams/metadata", "the selection of streams"),
    (r"/v4/sources/[^/]+/streams/[^/]+", "the schemas of streams"),
    (r"/v4/sources/[^/]+/sync", "replication jobs"),
    (r"/v4/source-types(/(?!import_api$)[^/]+)?", "source types other than import_api"),
    (r"/v4/destination-types(/[^/]+)?", "destination types"),
    (r"/v4/destinations(/[^/]+)?", "changes to destinations: see --destination"),
    (r"/v4/[^/]+/extractions(/[^/]+)?", "extractions"),
    (r"/v4/[^/]+/loads(/last)?", "the list of loads"),
    (r"/v3/accounts", "the creation of accounts: see --accounts"),
    (r"/v3/sessions/ephemeral", "sessions"),
    (r"/v3/.*", "version 3 of Stitch Connect"),
    (r"/notifications/public/v1/api/.*", "notifications"),
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where accepted data goes, as Connect sees it."""

    type: str
    """Such as `postgres`."""
    streams: Callable[[str], list[tuple[str, tuple[str, ...]]]]
    """The tables that arrived for a source of this name: names as sent, and their keys."""


def not_implemented(path: str) -> Answer | None:
    """Return 501 for a documented path that the local Import API does not implement, else None."""
    for pattern, what in _NOT_IMPLEMENTED:
        if re.fullmatch(pattern, path):
            message = f"the local Import API does not implement {what}"
            return answers.as_json(501, {"error": "NotImplemented", "data": {"message": message}})
    return None


def report_card(type_: str) -> dict[str, Any]:
    """Return the report card of a configured source or destination."""
    return {
        "type": type_,
        "current_step": 2,
        "current_step_type": "fully_configured",
        "steps": STEPS,
    }


def connection_check(client: Client, id_: int, created_at: str) -> dict[str, Any]:
    """Return the last connection check of a source or destination: it succeeded on creation."""
    check = uuid5(NAMESPACE_URL, f"{client.client_id}/{id_}")
    return {
        "target_exit_status": None,
        "tap_error_message": None,
        "check_exit_status": 0,
        "name": f"{client.client_id}.{id_}.check.{check}",
        "start_time": created_at,
        "mode": "check",
        "tap_exit_status": None,
        "target_error_message": None,
        "discovery_exit_status": None,
        "status": "succeeded",
        "completion_time": created_at,
        "error": False,
        "discovery_error_message": None,
    }


def streams(source: Source, destination: Destination) -> list[dict[str, Any]]:
    """Return a source's streams."""
    return [
        {
            "selected": True,
            "stream_id": number,
            "tap_stream_id": name,
            "stream_name": name,
            "metadata": {"selected": True, "table-key-properties": list(key_names)},
        }
        for number, (name, key_names) in enumerate(destination.streams(source.name), 1)
    ]


def destinations(client: Client, destination: Destination) -> list[dict[str, Any]]:
    """Return the only destination."""
    return [
        {
            "description": None,
            "properties": {},
            "updated_at": DEFAULT_CREATED_AT,
            "name": "Local Import API",
            "type": destination.type,
            "deleted_at": None,
            "system_paused_at": None,
            "stitch_client_id": client.client_id,
            "paused_at": None,
            "id": DESTINATION_ID,
            "display_name": None,
            "created_at": DEFAULT_CREATED_AT,
            "report_card": report_card(destination.type),
        }
    ]
