"""Checks that skip columns of known types: they accept nothing that the exact check refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.known_types import known_columns
from target_stitch_import.schema.node import TYPES

VALUES = {
    "integer": st.integers(-(2**63), 2**64 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "string": st.sampled_from(["", "a", "2024-01-01", "2024-01-01T00:00:00", "\0", "x" * 300]),
    "date-time": st.sampled_from(["2024-01-01T00:00:00Z", "0001-01-01T00:00:00.123456Z"]),
    "null": st.none(),
}
ANYTHING: st.SearchStrategy[Any] = (
    st.one_of(*VALUES.values()) | st.lists(st.integers()) | st.just({})
)
SOME_TYPES = st.frozensets(
    st.sampled_from(["string", "number", "integer", "boolean", "null"]), min_size=1
)
RULES = st.sampled_from(
    [
        {},
        {"format": "date-time"},
        {"maxLength": 3},
        {"minimum": 0},
        {"multipleOf": 0.5},
        {"enum": [1, "a", None]},
        {"pattern": "a"},
        {"not": {"type": "null"}},
    ]
)
PLAIN = st.builds(lambda types, rules: {"type": sorted(types), **rules}, SOME_TYPES, RULES)
COLUMNS = PLAIN | st.lists(PLAIN, min_size=1, max_size=2).map(lambda each: {"anyOf": each}) | RULES
KINDS = st.frozensets(st.sampled_from(sorted(VALUES)), min_size=1, max_size=2) | st.just(TYPES)


@settings(max_examples=1_000, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), COLUMNS),
    st.dictionaries(st.sampled_from("abcd"), KINDS, min_size=1),
    st.sampled_from(
        [{}, {"additionalProperties": False}, {"required": ["a"]}, {"maxProperties": 2}]
    ),
    st.sampled_from([(), ("a",)]),
    st.data(),
)
def test_known_types_accept_no_record_that_the_exact_check_refuses(
    columns: dict[str, Any],
    kinds: dict[str, frozenset[str]],
    rules: dict[str, Any],
    keys: tuple[str, ...],
    data: st.DataObject,
) -> None:
    schema = {"type": "object", "properties": columns, **rules}
    rows = st.fixed_dictionaries(
        {n: st.one_of(*(VALUES.get(k, ANYTHING) for k in of)) for n, of in kinds.items()}
    )
    texts = [json.dumps(row).encode() for row in data.draw(st.lists(rows, min_size=1, max_size=3))]
    check = RecordCheck(
        read_schema(json.dumps(schema).encode()).root, keys, naive_datetimes="fail",
        max_record_bytes=10_000,
    )  # fmt: skip
    messages = b"[%b]" % b",".join(b'{"data":%b}' % text for text in texts)
    if check.accepted(messages, max(map(len, texts)), kinds) is not None:
        assert not any(isinstance(check.examine(Raw(text)), Refused) for text in texts)


ENOUGH = [
    # what a column may be, the types of its values, whether these say all
    ({"type": "integer"}, {"integer"}, True),
    ({"type": "number"}, {"integer"}, True),
    ({"type": "integer"}, {"number"}, False),
    ({"type": "integer"}, {"integer", "null"}, False),
    ({"type": ["null", "integer"]}, {"integer", "null"}, True),
    ({"type": "integer", "minimum": 0}, {"integer"}, False),
    ({"type": "string"}, {"string"}, True),
    ({"type": "string", "maxLength": 5}, {"string"}, False),
    ({"type": "string", "format": "date-time"}, {"string"}, False),
    ({"type": "string", "format": "date-time"}, {"date-time"}, True),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"string", "null"}, True),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"integer", "null"}, False),
    ({"anyOf": [{"type": "string"}, {"type": "null"}], "maxLength": 5}, {"string"}, False),
    ({"type": "number", "multipleOf": 0.01}, {"number"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("column", "types", "is_known"), ENOUGH)
def test_a_column_is_skipped_if_its_schema_accepts_every_value_of_its_type(
    column: dict[str, Any], types: set[str], is_known: bool  # noqa: FBT001
) -> None:  # fmt: skip
    schema = {"type": "object", "properties": {"a": column}}
    root = read_schema(json.dumps(schema).encode()).root
    assert known_columns(root, (), {"a": types}) == ({"a"} if is_known else set())


def test_a_string_key_is_not_skipped() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
    root = read_schema(json.dumps(schema).encode()).root
    types = {"a": {"string"}, "b": {"integer"}}
    assert known_columns(root, ("a", "b"), types) == {"b"}
