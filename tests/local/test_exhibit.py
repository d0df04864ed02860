"""How the page shows a request's body: within bounds, and with invalid values marked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.local.server.exhibit import (
    MAX_DEPTH,
    MAX_LINES,
    MAX_RAW_CHARACTERS,
    SHOWN_MESSAGES,
    exhibit,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
)


def texts(body: Any, *places: str) -> list[str]:
    """Return the marked lines of a body."""
    found = exhibit(json.dumps(body).encode(), places)
    return [line.text for part in found.parts for line in part.lines if line.marked]


@given(JSON)
def test_any_value_is_shown_whole(value: Any) -> None:
    """The lines together are the JSON of the value."""
    found = exhibit(json.dumps({"a": value}).encode(), ())
    lines = "".join(line.text for part in found.parts for line in part.lines)
    assert json.loads(lines) == {"a": value}


@pytest.mark.parametrize(
    ("body", "place", "marked"),
    [
        ({"messages": [{"data": {"a": 1, "b": 2}}]}, "/messages/0/data/b", ['"b": 2']),
        ({"messages": [{"data": {"a/b": 1}}]}, "/messages/0/data/a~1b", ['"a/b": 1']),
        ({"messages": [{"data": {"a": [1, 2]}}]}, "/messages/0/data/a", ['"a": [1,2]']),
        ({"messages": [{"data": {"a": [{}, {"b": 1}]}}]}, "/messages/0/data/a/1", ["{"]),
        ({"messages": [{"data": {"a": [1, 2]}}]}, "/messages/0/data/a/1", ['"a": [1,2]']),
        ({"messages": [{"data": {"a": []}}]}, "/messages/0/data/a", ['"a": []']),
        ({"messages": [5]}, "/messages/0", ["5"]),
        ({"messages": "x"}, "/messages", ['"messages": "x"']),
        ({"table_name": 5, "messages": []}, "/table_name", ['"table_name": 5,']),
        ([{"a": 1}, {"a": 2}], "/1/a", ['"a": 2']),
        ([{"a": 1}], "/9/a", []),
        ([{"a": 1}], "", []),
    ],
)
def test_invalid_values_are_marked(body: Any, place: str, marked: list[str]) -> None:
    assert texts(body, place) == marked


def test_a_large_body_is_cut() -> None:
    wide = {f"c{at}": at for at in range(5 * MAX_LINES)}
    found = exhibit(json.dumps({"messages": [wide] * 1000}).encode(), ["/messages/777/c1"])
    assert [part.title for part in found.parts[:2]] == ["Message 777", "All but the messages"]
    assert len(found.parts) == SHOWN_MESSAGES + 2
    assert found.left_out == 1000 - SHOWN_MESSAGES - 1
    assert max(len(part.lines) for part in found.parts) == MAX_LINES + 1


def test_invalid_values_are_shown_beyond_the_cut() -> None:
    wide = {f"c{at}": at for at in range(5 * MAX_LINES)}
    last = 5 * MAX_LINES - 1
    assert texts([wide], f"/0/c{last}") == [f'"c{last}": {last}']
    found = exhibit(json.dumps([wide]).encode(), [f"/0/c{at}" for at in range(5 * MAX_LINES)])
    assert len(found.parts[0].lines) == 2 * MAX_LINES + 1
    deep: Any = 5
    for _ in range(2 * MAX_DEPTH):
        deep = {"a": deep}
    assert len(texts([deep], "/0" + 2 * MAX_DEPTH * "/a")) == 1


def test_a_deep_body_is_cut_at_the_greatest_depth() -> None:
    found = exhibit(b'{"a":' + b"[" * 800 + b"]" * 800 + b"}", ())
    assert max(line.depth for line in found.parts[0].lines) == MAX_DEPTH + 1


@pytest.mark.parametrize(
    ("body", "reason", "culprit"),
    [
        (b'{"a": &}', "JSON is malformed: invalid character (byte 6)", "&"),
        (b'{"a": "' + b"x" * 50_000 + b"\x01", "invalid (byte 50007)", "\x01"),
        (b'{"a": ', "Input data was truncated", ""),
        (b"\xff\xfe", "not UTF-8 (byte 99)", ""),
        (b"{}" * 50_000, "trailing (byte )", ""),
    ],
)
def test_a_body_that_is_not_json_is_shown_as_text(body: bytes, reason: str, culprit: str) -> None:
    found = exhibit(body, (), reason)
    assert (found.parts, found.culprit) == ((), culprit)
    assert 0 < len(found.before) <= MAX_RAW_CHARACTERS
