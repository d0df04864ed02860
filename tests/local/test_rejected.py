"""`GET /_local/rejected`: how many rows were rejected while loading, by table and reason."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.local.calls import batch, call, upsert

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi


def rejected(api: ImportApi, since: datetime | str | None = None) -> requests.Response:
    at = since.isoformat() if isinstance(since, datetime) else since
    return requests.get(f"{api.url}/_local/rejected", params={"since": at}, timeout=10)


def send(api: ImportApi, table: str, rows: int, **more: Any) -> None:
    """Send rows, each also with the fields in `more`."""
    schema = {"properties": {"id": {"type": "integer"}, "_sdc_batched_at": {}}}
    messages = [upsert({"id": number} | more, number) for number in range(1, rows + 1)]
    answer = call(api, body=batch(table, *messages, schema=schema, keys=("id",)))
    assert answer.status_code == 201, answer.text


def test_rows_are_counted_by_table_and_reason(api: ImportApi) -> None:
    assert rejected(api).json() == []
    send(api, "good", 5)
    assert rejected(api).json() == []
    send(api, "people", 3, _sdc_batched_at="x")
    send(api, "orders", 7, _sdc_batched_at="x")
    groups = rejected(api).json()
    assert [(each["schema"], each["table"], each["rows"]) for each in groups] == [
        ("import_api", "orders", 7),
        ("import_api", "people", 3),
    ]
    assert all("_sdc_batched_at" in each["reason"] for each in groups)


def test_a_reason_is_listed_once_whatever_its_values(api: ImportApi) -> None:
    numbers = [upsert({"id": at, "n": 10**20 + at}, at) for at in range(30)]
    assert call(api, body=batch("t", *numbers, keys=("id",))).status_code == 201
    assert rejected(api).json() == [
        {
            "schema": "import_api",
            "table": "t",
            "reason": "integer out of range for PostgreSQL",
            "rows": 30,
        }
    ]


@pytest.mark.parametrize("hours", [-12, 0, 5])
def test_only_rows_rejected_since_a_moment_are_counted(api: ImportApi, hours: int) -> None:
    """A moment in any zone."""
    zone = timezone(timedelta(hours=hours))
    send(api, "people", 3, _sdc_batched_at="x")
    now = datetime.now(zone)
    send(api, "people", 2, _sdc_batched_at="x")
    assert [each["rows"] for each in rejected(api, now).json()] == [2]
    assert [each["rows"] for each in rejected(api, now - timedelta(hours=1)).json()] == [5]
    assert rejected(api, now + timedelta(hours=1)).json() == []


@pytest.mark.parametrize("since", ["", "now", "2024-01-31", "2024-01-31T00:00:00"])
def test_an_invalid_since_is_refused(api: ImportApi, since: str) -> None:
    answer = rejected(api, since)
    assert answer.status_code == 400
    assert "since: expected a date-time such as 2024-01-31T23:59:59Z" in answer.text
