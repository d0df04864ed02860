"""Which texts are date-times."""

from __future__ import annotations

import pytest

from target_stitch_import.schema.date_times import is_date_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01T00:00:00Z", True),
        ("2024-01-01t00:00:00.1z", False),
        ("2024-01-01T00:00:00-23:59", True),
        ("2024-01-01T00:00:00+24:00", False),
        ("2024-01-01T00:00:60Z", False),
        ("2024-01-01T24:00:00Z", False),
        ("2024-01-01T00:00Z", False),
        ("2024-01-01T00:00:00", False),
        ("2024-01-01T00:00:00Z\n", False),
        ("\uff12\uff10\uff12\uff14-01-01T00:00:00Z", False),
    ],
)
def test_date_times_are_those_of_rfc_3339(text: str, expected: bool) -> None:  # noqa: FBT001
    assert is_date_time(text) == expected
