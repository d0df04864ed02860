"""Transit: our reader compared with the reference library's writer, and pushes with types."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import datetime, timezone
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transit.transit_types import Keyword, Symbol  # type: ignore[import-untyped]
from transit.writer import Writer  # type: ignore[import-untyped]

from target_stitch_import.local.api.transit import read_transit
from target_stitch_import.local.api.values import MalformedError, Moment
from tests.local.calls import PUSHED, call

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi


def written(value: Any, protocol: str = "json") -> bytes:
    """Write a value as the reference library does."""
    out = StringIO()
    Writer(out, protocol).write(value)
    return out.getvalue().encode()


AT = datetime(2020, 1, 13, 21, 25, 3, 123000, tzinfo=timezone.utc)
ID = uuid.UUID("531a379e-31bb-4ce1-8690-158dceb64be6")


@pytest.mark.parametrize("protocol", ["json", "json_verbose"])
@pytest.mark.parametrize(
    ("value", "read"),
    [
        ([None, True, 1, -1, "", "text"], [None, True, 1, -1, "", "text"]),
        (["~tilde", "^caret", "`tick", "~~", "^ "], ["~tilde", "^caret", "`tick", "~~", "^ "]),
        ([2**53, 2**53 + 1, 2**64, -(2**70)], [2**53, 2**53 + 1, 2**64, -(2**70)]),
        ([1.5, 0.1], [Decimal("1.5"), Decimal("0.1")]),
        ([Keyword("kw"), Symbol("sym"), ID], ["kw", "sym", str(ID)]),
        ([{"a": 1, "b": {"c": [2]}}], [{"a": 1, "b": {"c": [2]}}]),
        ([{Keyword("long-key"): 1}, {Keyword("long-key"): 2}], [{"long-key": 1}, {"long-key": 2}]),
        ([{1: "one"}], [{"1": "one"}]),
        ([[1, [2, [3]]], []], [[1, [2, [3]]], []]),
        ([frozenset({1})], [[1]]),
        ([(1, 2)], [[1, 2]]),
    ],
)
def test_each_type_of_the_reference_writer_is_read(value: Any, read: Any, protocol: str) -> None:
    assert read_transit(written(value, protocol)) == read


@pytest.mark.parametrize(
    ("protocol", "read"),
    [("json", "2020-01-13T21:25:03.123Z"), ("json_verbose", "2020-01-13T21:25:03.123000+00:00")],
)
def test_a_moment_is_read_as_its_own_type(protocol: str, read: str) -> None:
    """Milliseconds and texts both become a `Moment`, which differs from a string."""
    [value] = read_transit(written([AT], protocol))
    assert (type(value), value) == (Moment, read)


KEYS = st.text(min_size=1, max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=40))
def test_any_value_of_the_reference_writer_is_read(value: Any) -> None:
    """Records with recurring keys go through the cache on both sides."""
    assert read_transit(written(value)) == value


def test_the_cache_restarts_when_it_is_full() -> None:
    records = [{f"key-{at}": at} for at in range(44 * 44 + 50)] * 2
    assert read_transit(written(records)) == records


@pytest.mark.parametrize(
    "text",
    [
        '["^0"]',
        '["^"]',
        '["~#tag"]',
        '"~#tag"',
        '["^ ","a"]',
        '["~zNaN"]',
        '["~iX"]',
        '["~n' + "9" * 5000 + '"]',
        '["~fInfinity"]',
        '["~tsoon"]',
        '["~m99999999999999999999"]',
        '["~b%%"]',
        '["~?x"]',
        '["~Q1"]',
        '["~#ratio",["~n1","~n0"]]',
        '["~#ratio",["NaN","~n1"]]',
        '["^ ",["^ "],1]',
        "{",
        "[" * 5000 + "]" * 5000,
    ],
    ids=lambda text: text[:24],
)
def test_invalid_transit_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        read_transit(text.encode())


@given(st.text() | VALUES.map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but MalformedError comes out of any input."""
    with suppress(MalformedError):
        read_transit(text.encode("utf-8", "surrogatepass"))


def test_pushed_types_reach_the_warehouse(api: ImportApi) -> None:
    """Only Transit can type values on push: times, exact decimals, big integers."""
    record = dict(PUSHED[0])
    record["data"] = {
        "id": 1,
        "at": AT,
        "price": Decimal("12345678901234567890.12"),
        "kind": Keyword("magic"),
        "text_at": "2020-01-01T00:00:00Z",
    }
    answer = call(
        api, "/v2/import/push", data=written([record]), media_type="application/transit+json"
    )
    assert answer.status_code == 201, answer.text
    assert api.query('SELECT id, "at", price, kind, text_at FROM import_api.customers') == [
        (
            1,
            AT.replace(tzinfo=None),
            Decimal("12345678901234567890.12"),
            "magic",
            "2020-01-01T00:00:00Z",
        )
    ]
