"""The rules for records and keys, with the quick checks and with the exact check alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from target_stitch_import.schema.checks import Passed
from tests.support.record_checks import check, columns, exact_check, verdict

TABLE = [
    # schema of field `f`, record, the words
    ({"type": "integer"}, '{"f": 1}', "ok"),
    ({"type": "integer"}, "{}", "ok"),
    ({"type": "integer"}, '{"f": 1, "extra": {"x": [1]}}', "ok"),
    ({"type": "integer"}, '{"f": 1.0}', "field `/f`: expected integer, found number"),
    ({"type": "integer"}, '{"f": "1"}', "field `/f`: expected integer, found string"),
    ({"type": "integer"}, '{"f": true}', "field `/f`: expected integer, found boolean"),
    ({"type": "integer"}, '{"f": null}', "field `/f`: expected integer, found null"),
    ({"type": ["null", "integer"]}, '{"f": null}', "ok"),
    ({"type": ["null", "integer"]}, '{"f": {}}', "expected null or integer, found object"),
    ({"type": "integer"}, '{"f": 123456789012345678901234567890}', "ok"),
    ({"type": "number"}, '{"f": 1e400}', "ok"),
    ({"type": "number"}, '{"f": 0.12345678901234567890123456789012345678}', "ok"),
    ({"type": "number"}, '{"f": -0.0}', "ok"),
    ({"type": "number"}, '{"f": false}', "expected number, found boolean"),
    ({"type": "number", "multipleOf": 0.01}, '{"f": 0.29}', "ok"),
    ({"type": "number", "multipleOf": 0.01}, '{"f": 4.35}', "ok"),
    ({"type": "number", "multipleOf": 0.01}, '{"f": 0.295}', "it breaks `multipleOf`: 0.01"),
    ({"type": "number", "multipleOf": 1e-10}, '{"f": 1234567890123456789012345678.5}', "ok"),
    ({"minimum": 0, "exclusiveMinimum": True}, '{"f": 0}', "it breaks `minimum`: 0"),
    ({"minimum": 0, "exclusiveMinimum": 5}, '{"f": 3}', "ok"),
    ({"maximum": 0.1}, '{"f": 0.1000000000000000000000001}', "it breaks `maximum`: 0.1"),
    ({"type": "string"}, '{"f": "\\u0001 \\u2028"}', "ok"),
    ({"type": "string"}, '{"f": "\\u0000 \\u2028"}', "field `/f`: it contains U+0000"),
    ({"type": "string"}, '{"f": "\\\\u0000"}', "ok"),
    ({"type": "string"}, '{"f": "\\ud800"}', "ok"),
    ({"type": "string", "maxLength": 3}, '{"f": "abcd"}', "it breaks `maxLength`: 3"),
    ({"enum": ["a", 1]}, '{"f": "b"}', "it is not one of the 2 values of `enum`"),
    ({"enum": ["a", 1]}, '{"f": 1}', "ok"),
    ({"pattern": "^a+$"}, '{"f": "b"}', "it breaks `pattern`: ^a+$"),
    ({"pattern": "^(?=a)b"}, '{"f": "b"}', "it breaks `pattern`: ^(?=a)b"),
    ({"type": "array", "items": {"type": "integer"}}, '{"f": [1, "x"]}', "field `/f/1`: expected"),
    ({"type": "object", "required": ["g"]}, '{"f": {}}', "field `/f/g`: a required property"),
    ({"additionalProperties": False}, '{"f": {"secret": 1}}', "has a property that the schema"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, '{"f": 5}', "ok"),
    (
        {"anyOf": [{"enum": [1]}, {"enum": [2]}]},
        '{"f": 5}',
        "fits none of the 2 alternatives of `anyOf`",
    ),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, '{"f": 5}', "alternatives of `oneOf`"),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, '{"f": "x"}', "alternatives of `anyOf`"),
    (
        {"anyOf": [{"type": "null"}, columns(g={"type": "null"})]},
        '{"f": {"g": 1}}',
        "`/f/g`: expected",
    ),
    (
        {"anyOf": [{"type": "null"}, {"oneOf": [{"type": "string", "maxLength": 1}]}]},
        '{"f": "xx"}',
        "field `/f`: it breaks `maxLength`: 1",
    ),
    ({"dependencies": {"a": ["b"]}}, '{"f": {"a": 1}}', "`/f/b`: a property that `a` depends"),
    ({"dependencies": {"a": ["b"]}}, '{"f": {"c": 1}}', "ok"),
    (
        {"dependencies": {"a": columns(b={"type": "null"})}},
        '{"f": {"a": 1, "b": 1}}',
        "`/f/b`: expected",
    ),
    ({"uniqueItems": True}, '{"f": [1, {"a": [1.0]}, {"a": [1]}]}', "it breaks `uniqueItems`"),
    ({"uniqueItems": True}, '{"f": [1, true, "1", [1], {"1": 1}, null, "null"]}', "ok"),
    ({"enum": [{"a": [10, {}]}]}, '{"f": {"a": [1e1, {}]}}', "ok"),
    ({"items": [{"type": "null"}], "additionalItems": False}, '{"f": [null, 1]}', "`additionalIt"),
    ({"format": "date-time"}, '{"f": "2024-02-29T23:59:59.123456789Z"}', "ok"),
    ({"type": "string", "format": "date-time"}, '{"f": "2024-02-29T23:59:59+0000"}', "ok"),
    ({"type": "string", "format": "date-time"}, '{"f": "2024-02-30T00:00:00Z"}', "date-time with"),
    ({"type": "string", "format": "date-time"}, '{"f": "2024-02-29"}', "expected a date-time"),
    ({"type": "string", "format": "date-time"}, '{"f": "0000-01-01T00:00:00Z"}', "expected a date"),
    ({"type": "string", "format": "date-time"}, '{"f": "9999-12-31T23:59:59Z"}', "ok"),
    ({"type": "string", "format": "email"}, '{"f": "no mail"}', "ok"),
    ({"$ref": "#/properties/g"}, '{"f": "x"}', "field `/f`: expected boolean, found string"),
]


@pytest.mark.parametrize(("field", "record", "words"), TABLE)
def test_a_record_is_validated_against_its_schema(field: Any, record: str, words: str) -> None:
    schema = columns(f=field, g={"type": "boolean"})
    assert words in verdict(check(schema), record)
    assert words in verdict(exact_check(schema), record)


KEYS = [
    ('{"k": 1}', "ok"),
    ('{"k": 1.5}', "ok"),
    ('{"k": true}', "ok"),
    ('{"k": "x"}', "ok"),
    ("{}", "field `/k`: the key property is missing"),
    ('{"k": null}', "field `/k`: a key property cannot be null"),
    ('{"k": {}}', "field `/k`: a key property cannot be object"),
    ('{"k": [1]}', "field `/k`: a key property cannot be array"),
    (json.dumps({"k": "é" * 1024}), "ok"),
    (json.dumps({"k": "x" * 1025}), "the key has 1,025 characters"),
    ("5", "expected an object, not integer"),
    ('["k"]', "expected an object, not array"),
]


@pytest.mark.parametrize(("record", "words"), KEYS)
def test_a_key_must_be_a_short_scalar(record: str, words: str) -> None:
    assert words in verdict(check(columns(k={}), ("k",)), record)
    assert words in verdict(exact_check(columns(k={}), ("k",)), record)


@pytest.mark.parametrize(("key", "note"), [("", "empty"), ("x" * 256, "longer than 255")])
def test_unusual_keys_pass_with_a_note(key: str, note: str) -> None:
    record = Raw(json.dumps({"k": key}).encode())
    passed = check(columns(k={"type": "string"}), ("k",)).examine(record)
    assert isinstance(passed, Passed)
    assert bytes(passed.record) == bytes(record)
    assert note in passed.notes["/k"]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "\x1b[31m", "\u2028", "class", ""])
def test_a_column_or_key_may_have_any_name(name: str) -> None:
    record = json.dumps({name: 1})
    for keys in ((), (name,)):
        assert verdict(check(columns(**{name: {"type": "integer"}}), keys), record) == "ok"
        words = verdict(check(columns(**{name: {"type": "string"}}), keys), record)
        assert "expected string, found integer" in words
        assert "\x1b" not in words


@pytest.mark.parametrize("text", ["1e0", "12E0", "1.5e1", "-0e0", "1.0", "1e2"])
def test_a_number_with_a_point_or_an_exponent_is_not_an_integer(text: str) -> None:
    schema = columns(a={"type": "integer", "not": {"enum": [5]}})
    assert "expected integer, found number" in verdict(check(schema), f'{{"a": {text}}}')


def test_a_number_just_below_its_bound_is_refused() -> None:
    """Although a double cannot tell it from the bound."""
    schema = columns(a={"type": "number", "minimum": 0.1})
    assert "minimum" in verdict(check(schema), '{"a":0.09999999999999999999}')
    assert verdict(check(schema), '{"a":0.1}') == "ok"


@pytest.mark.parametrize("length", ["minLength", "maxLength"])
def test_length_rules_apply_to_a_date_time(length: str) -> None:
    schema = columns(a={"type": "string", "format": "date-time", length: 22})
    texts = {"maxLength": "2024-01-31T10:00:00.000Z", "minLength": "2024-01-31T10:00:00Z"}
    assert length in verdict(check(schema), json.dumps({"a": texts[length]}))
