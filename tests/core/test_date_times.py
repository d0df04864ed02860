"""Which texts are valid date-times."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_stitch_import.schema.date_times import are_date_times, is_date_time

MOMENT = '"2024-02-29T00:00:00Z"'
PIECES = st.sampled_from(
    [
        *('"', ",", "[", "null", "\\", "T", "Z", MOMENT[:-1]),
        *("2024-02-29", "00:00:00", ".1", "+05:30"),
    ]
)
STRINGS = st.lists(PIECES, max_size=5).map("".join).map(json.dumps)
TEXTS = st.sampled_from([MOMENT, "null", MOMENT.replace("Z", ".1+05:30"), f"[{MOMENT}]"]) | STRINGS


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


@settings(max_examples=1_000)
@given(st.lists(TEXTS, min_size=1, max_size=4), st.booleans())
def test_date_times_accepted_together_are_each_valid(texts: list[str], null: bool) -> None:  # noqa: FBT001
    values = list(map(json.loads, texts))
    if are_date_times(",".join(texts).encode(), null=null):
        assert all(null if each is None else isinstance(each, str) for each in values)
        assert all(map(is_date_time, values))


@pytest.mark.parametrize(
    "text",
    [
        '"\\"2024-02-29T00:00:00Z"',
        '"x\\"2024-02-29T00:00:00Z"',
        '["2024-02-29T00:00:00Z","2024-02-29T00:00:00Z"]',
        '"null,"',
        '"2024-02-29T00:00:00null,Z"',
    ],
)
def test_a_text_that_contains_a_date_time_is_not_one(text: str) -> None:
    assert json.loads(text)
    for texts in ([MOMENT, text], [text, MOMENT], ["null", text], ["null", MOMENT, text]):
        assert not are_date_times(",".join(texts).encode(), null=True)
