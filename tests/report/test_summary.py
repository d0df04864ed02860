"""The members of the summary."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from target_stitch_import.report.summary import rfc_3339


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 1, 31, tzinfo=timezone.utc), "2024-01-31T00:00:00.000Z"),
        (datetime(2024, 1, 31, 1, 2, 3, 999_999, timezone.utc), "2024-01-31T01:02:03.999Z"),
        (
            datetime(2024, 1, 31, 1, tzinfo=timezone(timedelta(hours=2))),
            "2024-01-30T23:00:00.000Z",
        ),
    ],
)
def test_times_are_in_utc_to_the_millisecond(moment: datetime, text: str) -> None:
    assert rfc_3339(moment) == text
