"""Shared by the tests of the local Import API: one running service, fresh for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.local import ImportApi

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def running() -> Iterator[ImportApi]:
    """One local Import API for the whole run."""
    with ImportApi(accounts=ACCOUNTS, kept_bytes=None) as api:
        yield api


@pytest.fixture
def api(running: ImportApi) -> ImportApi:
    """Give the running API in its fresh state."""
    running.reset()
    return running
