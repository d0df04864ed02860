"""The schema that is sent: the tap's own text, completed where something is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.sent import sent_schema


def sent(schema: str, keys: tuple[str, ...] = ()) -> str:
    text = schema.encode()
    return sent_schema(text, read_schema(text), keys).decode()


@pytest.mark.parametrize(
    "schema",
    [
        "{}",
        '{ "properties" : {"id":{"minimum":1.10e0}} }',
        '{"properties":{"id":{"$ref":"#/definitions/a~1b"}},"definitions":{"a/b":{}}}',
        '{"properties":{"id":{"$ref":"#"},"x":{"$ref":"#/properties/id"}}}',
        (
            '{"properties":{"id":{},"x":{"items":[{}],"allOf":[{"not":{}}]},"y":{"$ref":"#/properties/x'
            '/items/0"},"z":{"$ref":"#/properties/x/allOf/0/not"}}}'
        ),
    ],
)
def test_a_complete_schema_is_sent_unchanged(schema: str) -> None:
    assert sent(schema, ("id",) if "id" in schema else ()) == schema


@pytest.mark.parametrize(
    ("schema", "completed"),
    [
        ("{}", '{"properties":{"id":{}}}'),
        ('{"type":"object"}', '{"type":"object","properties":{"id":{}}}'),
        (
            '{"properties": { "a" : {"maximum":1.10, "x":"\\u00e9"}},"b":1E5 }',
            '{"properties":{"a":{"maximum":1.10, "x":"\\u00e9"},"id":{}},"b":1E5}',
        ),
        # The service looks for references by the keywords of Draft 4.
        (
            (
                '{"properties":{"id":{},"a":{"$ref":"#/$defs/x"},"b":{"items":[{"$ref":"#/$defs/x"}]}},'
                '"$defs":{"x":{"multipleOf":0.10}}}'
            ),
            (
                '{"properties":{"id":{},"a":{"$ref":"#/definitions/x"},"b":{"items":[{"$ref":'
                '"#/definitions/x"}]}},"$defs":{"x":{"multipleOf":0.10}},"definitions":{"x":'
                '{"multipleOf":0.10}}}'
            ),
        ),
        # Names are new ones, and what is moved may lead on.
        (
            (
                '{"properties":{"id":{"$ref":"#/y/b%20"}},"y":{"b ":{"not":{"$ref":"#/z"}}},"z":{},'
                '"definitions":{"b_":{}}}'
            ),
            (
                '{"properties":{"id":{"$ref":"#/definitions/b__2"}},'
                '"y":{"b ":{"not":{"$ref":"#/definitions/z"}}},"z":{},'
                '"definitions":{"b_":{},"b__2":{"not":{"$ref":"#/definitions/z"}},"z":{}}}'
            ),
        ),
        # A reference that stands for the whole.
        (
            '{"$ref":"#/$defs/x","$defs":{"x":{"properties":{"id":{"maximum":1.0}}}},"type":"null"}',
            '{"properties":{"id":{"maximum":1.0}},"definitions":{}}',
        ),
        (
            '{"$ref":"#/definitions/x","definitions":{"x":{"properties":{"a":{"$ref":"#"}}}}}',
            (
                '{"properties":{"a":{"$ref":"#"},"id":{}},"definitions":{"x":{"properties":{"a":'
                '{"$ref":"#"}}}}}'
            ),
        ),
    ],
)
def test_only_missing_parts_are_added(schema: str, completed: str) -> None:
    assert sent(schema, ("id",)) == completed
    assert sent(completed, ("id",)) == completed


def test_completing_a_schema_with_an_invalid_name_is_a_defect() -> None:
    with pytest.raises(SchemaDefectError, match="not valid Unicode"):
        sent('{"properties":{"\\ud800":{}}}', ("id",))


TARGETS = st.sampled_from(
    ["#/$defs/a", "#/$defs/a/items", "#/x-y/0", "#/definitions/a", "#/properties/p", "#"]
)
LEAVES = st.sampled_from([{"type": "integer"}, {"type": ["null", "string"]}, {}])
SCHEMAS = st.recursive(
    LEAVES | TARGETS.map(lambda target: {"$ref": target}),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries({"items": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("pq"), inner)}),
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.sampled_from([None, 1, "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pq"), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from("pq"), SCHEMAS),
    st.fixed_dictionaries({"a": SCHEMAS}),
    st.none() | TARGETS,
    st.dictionaries(st.sampled_from("pq"), VALUES),
)
def test_a_completed_schema_means_the_same_and_stays_unchanged(
    properties: Any, shared: Any, whole: str | None, record: Any
) -> None:
    document = {
        "properties": {"p": {}} | properties,
        "$defs": shared,
        "x-y": [{"items": {"$ref": "#/$defs/a"}}],
        "definitions": shared,
    } | ({"$ref": whole} if whole else {})
    text = json.dumps(document).encode()
    try:
        read = read_schema(text)
    except SchemaDefectError:
        return
    after = sent_schema(text, read, ("q",))
    read_after = read_schema(after)
    assert "$ref" not in json.loads(after)
    assert "q" in json.loads(after)["properties"]
    assert sent_schema(after, read_after, ("q",)) == after
    raw = Raw(json.dumps(record).encode())
    before, behind = (
        RecordCheck(each.root, (), max_record_bytes=10**7).examine(raw)
        for each in (read, read_after)
    )
    assert isinstance(before, Refused) == isinstance(behind, Refused)
