"""Which schemas are taken, what is enforced of them, and where a defect is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from target_stitch_import.schema.draft4 import SchemaDefectError, enforced


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "at `#`: expected a schema object, found list"),
        ({"type": "strnig"}, 'at `#/type`: unknown type "strnig"'),
        ({"properties": {"a/b": {"type": ["null", "x"]}}}, "at `#/properties/a~1b/type`: unknown"),
        ({"properties": {"a": {"type": 5}}}, "unknown type 5"),
        ({"properties": {"a": {"type": [{"type": "string"}]}}}, "at `#/properties/a/type`"),
        ({"properties": {"a": True}}, "at `#/properties/a`: expected a schema object, found bool"),
        ({"properties": []}, "at `#/properties`: expected an object of schemas"),
        ({"properties": {"a": {"items": True}}}, "at `#/properties/a/items`"),
        ({"properties": {"a": {"items": [True]}}}, "at `#/properties/a/items/0`"),
        ({"anyOf": {"type": "null"}}, "at `#/anyOf`: expected a list of schemas"),
        ({"properties": {"a": {"$ref": "http://example.com/x"}}}, "is never fetched"),
        ({"properties": {"a": {"$ref": "#/definitions/x"}}}, "leads nowhere"),
        ({"$ref": "#"}, "leads in a circle"),
        ({"allOf": [{"$ref": "#"}]}, "leads in a circle"),
        (
            {
                "properties": {"a": {"$ref": "#/definitions/x"}},
                "definitions": {
                    "x": {"anyOf": [{"$ref": "#/definitions/y"}]},
                    "y": {"not": {"$ref": "#/definitions/x"}},
                },
            },
            "leads in a circle",
        ),
    ],
)
def test_a_defect_is_named_with_its_place(schema: Any, words: str) -> None:
    with pytest.raises(SchemaDefectError) as caught:
        enforced(json.dumps(schema).encode())
    assert words in str(caught.value)


def test_a_defect_reaches_no_terminal_raw() -> None:
    with pytest.raises(SchemaDefectError) as caught:
        enforced(json.dumps({"properties": {"\x1b[31m": {"type": "\x07"}}}).encode())
    assert str(caught.value).isprintable()


def test_a_schema_nested_without_end_is_a_defect() -> None:
    deep = b'{"not":' * 3_000 + b"{}" + b"}" * 3_000
    with pytest.raises(SchemaDefectError, match="nested too deeply"):
        enforced(deep)


def test_many_references_take_no_time() -> None:
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/definitions/d{n + 1}"}] * 2} for n in range(40)}
    schema = {"$ref": "#/definitions/d0", "definitions": definitions | {"d40": {}}}
    assert enforced(json.dumps(schema).encode()).schema


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        ({}, {}),
        ({"type": "object", "required": []}, {"type": "object"}),
        ({"$schema": "x", "title": "t", "format": "uri"}, {}),
        ({"const": 1, "if": True, "$id": 5}, {}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"minimum": 1, "exclusiveMinimum": True}),
        ({"minimum": 1, "exclusiveMinimum": False}, {"minimum": 1}),
        ({"items": [{"type": "null", "x": 1}]}, {"items": [{"type": "null"}]}),
        (
            {"$ref": "#/x", "x": {"type": "null"}, "type": 9},
            {"$ref": "#/definitions/0", "definitions": {"0": {"type": "null"}}},
        ),
    ],
)
def test_what_is_kept(schema: Any, kept: Any) -> None:
    read = enforced(json.dumps(schema).encode())
    assert read.schema == kept
    assert read.warnings == []


@pytest.mark.parametrize(
    "schema",
    [
        {"exclusiveMinimum": 5},
        {"minLength": "5"},
        {"required": True},
        {"multipleOf": 0},
        {"enum": []},
        {"minimum": True},
    ],
)
def test_what_is_not_draft_4_is_left_out_with_a_warning(schema: Any) -> None:
    read = enforced(json.dumps({"properties": {"a": schema}}).encode())
    assert read.schema == {"properties": {"a": {}}}
    (warning,) = read.warnings
    assert warning.startswith("`#/properties/a/")


def test_a_schema_may_refer_to_itself_through_the_value() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#/properties/left"}}}
    assert enforced(json.dumps(tree).encode()).schema["definitions"]
