"""Places in records are shown as JSON Pointers, wherever they are found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.pointers import at, parts, pointer_to
from target_stitch_import.schema.checks import Passed, RecordCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.singer.outline import record_defect

NAME = "a/b~c"
SHOWN = "/a~1b~0c"
DATE_TIME = {"type": "string", "format": "date-time"}


@given(st.lists(st.text("/~01a") | st.integers(0, 99)))
def test_a_pointer_leads_to_where_its_path_does(path: list[str | int]) -> None:
    document: Any = "found"
    for step in reversed(path):
        document = {step: document} if isinstance(step, str) else [None] * step + [document]
    assert at(document, pointer_to(path)) == "found"
    assert parts(pointer_to(path)) == [str(step) for step in path]


@pytest.mark.parametrize(
    ("keys", "schema", "value"),
    [
        ([NAME], {"type": ["null", "string"]}, "null"),
        ([], {"type": "integer"}, '"x"'),
        ([], {"type": "number"}, "1e99999"),
        ([], {"type": "string"}, r'"\u0000"'),
        ([], DATE_TIME, '"0000-00-00T00:00:00Z"'),
    ],
)
def test_a_refusal_names_the_field_as_a_pointer(
    keys: list[str], schema: dict[str, Any], value: str
) -> None:
    refused = examined(keys, {"properties": {NAME: schema}}, value)
    assert isinstance(refused, Refused)
    assert refused.field == SHOWN


def test_a_missing_property_is_named_as_a_pointer() -> None:
    refused = check([], {"required": [NAME]}).examine(Raw(b"{}"))
    assert isinstance(refused, Refused)
    assert refused.field == SHOWN


def test_a_value_that_is_not_json_is_named_as_a_pointer() -> None:
    defect = record_defect(b'{"%b":NaN}' % NAME.encode())
    assert defect is not None
    assert defect.field == SHOWN


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_rewritten_field_is_named_as_a_pointer(is_alone: bool) -> None:  # noqa: FBT001
    schema = {"properties": {NAME: DATE_TIME, "n": DATE_TIME}}
    of, record = check([], schema), b'{"%b":"2024-01-01T00:00:00"}' % NAME.encode()
    passed = (
        of.examine(Raw(record)) if is_alone else of.accepted(b'[{"data":%b}]' % record, len(record))
    )
    assert passed is not None
    assert not isinstance(passed, Refused)
    assert list(passed.notes) == [SHOWN]


def test_a_field_that_is_invalid_after_its_repair_is_named_as_a_pointer() -> None:
    refused = examined(
        [], {"properties": {NAME: DATE_TIME}}, '"2024-02-30T00:00:00Z"', "invalid_dates_to_null"
    )
    assert str(refused).startswith(f"field `{SHOWN}`: repaired by `invalid_dates_to_null`")


def check(keys: list[str], schema: dict[str, Any], *repairs: str) -> RecordCheck:
    root = read_schema(json.dumps({"type": "object"} | schema).encode()).root
    return RecordCheck(root, keys, repairs=repairs, max_record_bytes=1_000_000)


def examined(
    keys: list[str], schema: dict[str, Any], value: str, *repairs: str
) -> Passed | Refused:
    return check(keys, schema, *repairs).examine(Raw(f'{{"{NAME}":{value}}}'.encode()))
