"""Which schemas are accepted, what is enforced of them, and the place of a defect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "at `#`: expected a schema object, found array"),
        ({"type": "strnig"}, 'at `#/type`: unknown type "strnig"'),
        ({"properties": {"a/b": {"type": ["null", "x"]}}}, "at `#/properties/a~1b/type`: unknown"),
        ({"properties": {"a": {"type": 5}}}, "unknown type 5"),
        ({"properties": {"a": {"type": [{"type": "string"}]}}}, "at `#/properties/a/type`"),
        (
            {"properties": {"a": True}},
            "at `#/properties/a`: expected a schema object, found boolean",
        ),
        ({"properties": []}, "at `#/properties`: expected an object of schemas"),
        ({"properties": {"a": {"items": True}}}, "at `#/properties/a/items`"),
        ({"properties": {"a": {"items": [True]}}}, "at `#/properties/a/items/0`"),
        ({"anyOf": {"type": "null"}}, "at `#/anyOf`: expected a non-empty list of schemas"),
        ({"properties": {"a": {"$ref": "http://example.com/x"}}}, "are not fetched"),
        ({"properties": {"a": {"$ref": "#/definitions/x"}}}, "cannot be resolved"),
        ({"$ref": "#"}, "is circular"),
        ({"allOf": [{"$ref": "#"}]}, "is circular"),
        (
            {
                "properties": {"a": {"$ref": "#/definitions/x"}},
                "definitions": {
                    "x": {"anyOf": [{"$ref": "#/definitions/y"}]},
                    "y": {"not": {"$ref": "#/definitions/x"}},
                },
            },
            "is circular",
        ),
    ],
)
def test_a_defect_is_named_with_its_place(schema: Any, words: str) -> None:
    with pytest.raises(SchemaDefectError) as caught:
        read_schema(json.dumps(schema).encode())
    assert words in str(caught.value)


def test_a_defect_is_shown_without_control_characters() -> None:
    with pytest.raises(SchemaDefectError) as caught:
        read_schema(json.dumps({"properties": {"\x1b[31m": {"type": "\x07"}}}).encode())
    assert str(caught.value).isprintable()


def test_a_schema_nested_without_end_is_a_defect() -> None:
    deep = b'{"not":' * 3_000 + b"{}" + b"}" * 3_000
    with pytest.raises(SchemaDefectError, match="nested too deeply"):
        read_schema(deep)


def test_a_schema_with_exponentially_many_references_is_read() -> None:
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/definitions/d{n + 1}"}] * 2} for n in range(40)}
    schema = {"$ref": "#/definitions/d0", "definitions": definitions | {"d40": {}}}
    assert read_schema(json.dumps(schema).encode()).root


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        ({}, {}),
        ({"type": "object", "required": []}, {"type": ("object",)}),
        ({"$schema": "x", "title": "t", "format": "uri"}, {}),
        ({"const": 1, "if": True, "$id": 5}, {}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"minimum": 1, "exclusiveMinimum": True}),
        ({"minimum": 1, "exclusiveMinimum": False}, {"minimum": 1}),
        ({"exclusiveMinimum": True}, {}),
        ({"$ref": "#/x", "x": {"type": "null", "y": 1}, "type": 9}, {"type": ("null",)}),
    ],
)
def test_only_rules_of_draft_4_are_enforced(schema: Any, kept: Any) -> None:
    read = read_schema(json.dumps(schema).encode())
    assert read.root.rules == kept
    assert not read.warnings


@pytest.mark.parametrize(
    "schema",
    [
        {"exclusiveMinimum": 5},
        {"exclusiveMinimum": "5"},
        {"exclusiveMaximum": 5},
        {"minLength": "5"},
        {"required": True},
        {"multipleOf": 0},
        {"enum": []},
        {"minimum": True},
        {"pattern": "(a{1000}){1000}"},
    ],
)
def test_a_rule_that_is_not_draft_4_is_dropped_with_a_warning(schema: Any) -> None:
    read = read_schema(json.dumps({"properties": {"a": schema}}).encode())
    assert not read.root.properties["a"].rules
    ((place,),) = read.warnings.values()
    assert place.startswith("#/properties/a/")


def test_an_unsupported_pattern_accepts_all_names() -> None:
    schema = {
        "patternProperties": {"(a{1000}){1000}": {"type": "null"}},
        "additionalProperties": False,
    }
    root = read_schema(json.dumps(schema).encode()).root
    assert (root.patterns, root.rest) == ((), True)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"required": [1]}, "/required"),
        ({"dependencies": {"x": [1]}}, "/dependencies/x"),
        ({"type": []}, "/type"),
        ({"items": []}, "/items"),
        ({"anyOf": []}, "/anyOf"),
        ({"pattern": "["}, "/pattern"),
        ({"pattern": "a**{1000}("}, "/pattern"),
        ({"patternProperties": {"a/(": {}}}, "/patternProperties/a~1("),
        ({"definitions": {"unused": {"type": "text"}}}, "/definitions/unused/type"),
    ],
)
def test_a_rule_that_no_draft_allows_is_a_defect(schema: Any, place: str) -> None:
    with pytest.raises(SchemaDefectError) as caught:
        read_schema(json.dumps({"properties": {"a": schema}}).encode())
    assert f"at `#/properties/a{place}`" in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "rules"),
    [
        ({"required": ["a", "b", "a"]}, {"required": ("a", "b")}),
        ({"type": ["null", "null"]}, {"type": ("null",)}),
    ],
)
def test_a_repeated_name_changes_nothing(schema: Any, rules: Any) -> None:
    read = read_schema(json.dumps(schema).encode())
    assert read.root.rules == rules
    assert not read.warnings


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("#", ""),
        ("#/properties/a", "/properties/a"),
        ("#/$defs/x", "/$defs/x"),
        ("#/components/schemas/0/y", "/components/schemas/0/y"),
        ("#/odd/a~1b/c~0d/e%20f/%C3%A9/", "/odd/a~1b/c~0d/e f/é/"),
        ("#/chain", "/$defs/x"),
    ],
)
def test_references_can_refer_to_any_place_in_the_document(reference: str, place: str) -> None:
    """Each subschema is one node, however many refer to it."""
    document = {
        "properties": {"a": {}, "b": {"$ref": reference}, "c": {"items": {"$ref": reference}}},
        "$defs": {"x": {"type": "null"}},
        "components": {"schemas": [{"y": {}}]},
        "odd": {"a/b": {"c~d": {"e f": {"é": {"": {}}}}}},
        "chain": {"$ref": "#/$defs/x"},
    }
    root = read_schema(json.dumps(document).encode()).root
    assert root.properties["b"].place == place
    assert root.properties["b"] is root.properties["c"].items
    assert root.properties["b"].is_shared


@pytest.mark.parametrize(
    "reference", ["#x", "#definitions/x", "#/definitions/y", "#/list/1", "#/list/01", "#/list/-1"]
)
def test_an_unresolvable_reference_is_a_defect(reference: str) -> None:
    document = {"$ref": reference, "definitions": {"x": {}}, "list": [{}]}
    with pytest.raises(SchemaDefectError, match="cannot be resolved"):
        read_schema(json.dumps(document).encode())


@pytest.mark.parametrize("text", ["1e99999999999999999999", "-0e99999999999999999999", "9" * 5_000])
@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ('{"minimum":%s}', "#/minimum"),
        ('{"properties":{"a":{"multipleOf":%s}}}', "#/properties/a/multipleOf"),
        ('{"items":{"maxLength":%s}}', "#/items/maxLength"),
        ('{"enum":[1,{"x":[%s]}]}', "#/enum"),
        ('{"items":%s}', "#/items"),
        ('{"type":[%s]}', "#/type"),
    ],
)
def test_a_number_that_is_too_long_is_a_defect(schema: str, place: str, text: str) -> None:
    with pytest.raises(SchemaDefectError) as caught:
        read_schema((schema % text).encode())
    assert f"at `{place}`" in str(caught.value)


@pytest.mark.parametrize("keyword", ["default", "description", "exclusiveMinimum"])
def test_any_number_is_accepted_where_it_has_no_meaning(keyword: str) -> None:
    assert not read_schema(f'{{"{keyword}":1e99999999999999999999}}'.encode()).root.rules


def test_a_schema_may_refer_to_itself_through_a_property() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#/properties/left"}}}
    root = read_schema(json.dumps(tree).encode()).root
    assert root.properties["left"] is root.properties["right"] is root
