"""Records checked against schemas: the words of each refusal, and that all checks agree."""

# ruff: noqa: ISC004 - the tables' long texts

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_stitch_import.local.api.date_times import is_date_time, is_strict_date_time
from target_stitch_import.local.api.validator import RecordSchema
from target_stitch_import.local.api.values import Columns

FORMS = "[yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,9}Z]"
DEFINED = {
    "definitions": {"name": {"type": "string", "maxLength": 3}},
    "$defs": {"deep": [{}, {"maxLength": 2, "items": {"$ref": "#/$defs/deep/1"}}]},
    "components": {"schemas": {"a/b c~": {"type": "string"}}},
}


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "integer"}, 15, ""),
        ({"type": "integer"}, Decimal("15.0"), "expected: Integer, found: Double"),
        ({"type": "integer"}, True, "expected: Integer, found: Boolean"),
        ({"type": "number"}, True, "expected: Number, found: Boolean"),
        ({"type": "string"}, 2**31, "expected: String, found: Long"),
        ({"type": "string"}, 2**63, "expected: String, found: BigInteger"),
        ({"type": "object"}, [], "expected: JSONObject, found: JSONArray"),
        ({"type": ["string"]}, 1, "expected: String, found: Integer"),
        ({"type": "string", "minLength": 2}, "a", "expected minLength: 2, actual: 1"),
        ({"type": "string", "maxLength": 2}, "abc", "expected maxLength: 2, actual: 3"),
        ({"pattern": "^a+$"}, "b", "string [b] does not match pattern ^a+$"),
        ({"pattern": "^(a+)+$"}, "a" * 60 + "b",
         f"string [{'a' * 60}b] does not match pattern ^(a+)+$"),
        ({"enum": ["a", 1]}, "b", "b is not a valid enum value"),
        ({"minimum": 5}, 4, "4 is not greater or equal to 5"),
        ({"minimum": 5, "exclusiveMinimum": True}, 5, "5 is not greater than 5"),
        ({"maximum": Decimal("1.5")}, 2, "2 is not less or equal to 1.5"),
        ({"multipleOf": Decimal("0.01")}, Decimal("0.29"), ""),
        ({"multipleOf": Decimal("0.00001")}, Decimal("1.275888"),
         "1.275888 is not a multiple of 0.00001"),
        ({"minItems": 1}, [], "expected minimum item count: 1, found: 0"),
        ({"maxItems": 1}, [1, 2], "expected maximum item count: 1, found: 2"),
        ({"uniqueItems": True}, [1, 1], "array items are not unique"),
        ({"format": "date-time"}, "2018-08-30T19:48:57.974000",
         f"[2018-08-30T19:48:57.974000] is not a valid date-time. Expected {FORMS}"),
        ({"format": "email"}, "no address", ""),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, 1,
         "#: no subschema matched out of the total 2 subschemas"
         " #/f: expected: null, found: Integer #/f: expected: String, found: Integer"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 0}]}, 1,
         "#: 2 subschemas matched instead of one"),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, 1,
         "#: only 1 subschema matches out of 2 #/f: 1 is not greater or equal to 5"),
        ({"not": {"type": "integer"}}, 1,
         "subject must not be valid against schema {'type': 'integer'}"),
        # numbers are compared exactly, whatever their size
        ({"maximum": 10**20, "exclusiveMaximum": True},
         Decimal("99999999999999999999.999999999999999999"), ""),
        ({"maximum": 10**20, "exclusiveMaximum": True}, 10**20,
         f"{10**20} is not less than {10**20}"),
        ({"minimum": Decimal("-1e400")}, Decimal("-1e400"), ""),
        ({"minimum": Decimal("-1e400")}, Decimal("-1.1e400"),
         "-1.1E+400 is not greater or equal to -1E+400"),
        ({"maximum": 2**53}, 2**53 + 1, f"{2**53 + 1} is not less or equal to {2**53}"),
        ({"multipleOf": Decimal("1e-38")}, Decimal("123456789012345678901234567890.5"), ""),
        ({"multipleOf": Decimal("1e-38")}, Decimal("1e-39"), "1E-39 is not a multiple of 1E-38"),
        ({"multipleOf": Decimal("1e-2")}, Decimal("1e400"), ""),
        ({"multipleOf": Decimal("1e400")}, Decimal("3e400"), ""),
        ({"multipleOf": Decimal("1e400")}, 10, "10 is not a multiple of 1E+400"),
        ({"multipleOf": Decimal("0.25")}, Decimal("1.75"), ""),
        ({"multipleOf": 7}, 10**30, f"{10**30} is not a multiple of 7"),
        ({"multipleOf": 5}, 0, ""),
        # the rest of Draft 4
        ({"dependencies": {"a": ["b", "c"]}}, {"a": 1, "c": 1}, "property [b] is required"),
        ({"dependencies": {"a": ["b"]}}, {"c": 1}, ""),
        ({"dependencies": {"a": {"maxProperties": 1}}}, {"a": 1, "b": 1},
         "maximum size: [1], found: [2]"),
        ({"$ref": "#/definitions/name"}, "long", "expected maxLength: 3, actual: 4"),
        ({"$ref": "#/$defs/deep/1"}, "long", "expected maxLength: 2, actual: 4"),
        ({"$ref": "#/components/schemas/a~1b%20c~0"}, 1, "expected: String, found: Integer"),
        ({"$ref": "#/properties/f/x-own"}, 1, "expected: String, found: Integer"),
        ({"$ref": "#/definitions/name"}, "abc", ""),
    ],
    ids=lambda value: str(value)[:48],
)  # fmt: skip
def test_a_violation_has_the_wording_of_the_service(
    schema: dict[str, Any], value: Any, words: str
) -> None:
    own = {"x-own": {"type": "string"}} if schema.get("$ref", "").endswith("x-own") else {}
    compiled = RecordSchema({"properties": {"f": {**schema, **own}}, **DEFINED})
    assert compiled.first_unfit(Columns.of([{"f": value}])) == (0 if words else None)
    expected = f"#/f: {words}" if words else ""
    assert compiled.explain({"f": value}).text == expected
    assert compiled.accepts({"f": value}) == (not words)


@pytest.mark.parametrize(
    ("schema", "record", "words"),
    [
        ({"required": ["a", "b"]}, {"a": 1}, "#: required key [b] not found"),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1, "x": 2},
         "#: extraneous key [x] is not permitted"),
        ({"properties": {"a": {"type": "integer"}}, "required": ["b"],
          "additionalProperties": False}, {"x": 2, "a": "1"},
         "#: 3 schema violations found #: required key [b] not found"
         " #: extraneous key [x] is not permitted #/a: expected: Integer, found: String"),
        ({"properties": {"a": {"properties": {"b/c": {"items": {"type": "null"}}}}}},
         {"a": {"b/c": [None, 1]}}, "#/a/b~1c/1: expected: null, found: Integer"),
        ({"patternProperties": {"^n": {"type": "integer"}},
          "additionalProperties": {"type": "null"}},
         {"n1": "x", "m": 1}, "#: 2 schema violations found"
         " #/n1: expected: Integer, found: String #/m: expected: null, found: Integer"),
        ({"type": "array"}, {}, "#: expected: JSONArray, found: JSONObject"),
        ({"minProperties": 1}, {}, "#: minimum size: [1], found: [0]"),
        ({"properties": {"a": {"items": [{"type": "null"}], "additionalItems": False}}},
         {"a": [None, 1]}, "#/a: expected: [1] array items, found: [2]"),
    ],
    ids=lambda value: str(value)[:48],
)  # fmt: skip
def test_the_violations_of_a_record_are_listed(
    schema: dict[str, Any], record: dict[str, Any], words: str
) -> None:
    compiled = RecordSchema(schema)
    assert compiled.explain(record).text == words
    assert not compiled.accepts(record)


@pytest.mark.parametrize(
    ("text", "valid", "strict"),
    [
        ("2018-04-30T17:00:00Z", True, True),
        ("2020-01-13T21:25:03+0000", True, False),
        ("2020-01-13T21:25:03.123456789-08:30", True, True),
        ("2020-02-29T00:00:00Z", True, True),
        ("2019-02-29T00:00:00Z", False, False),
        ("2019-04-31T00:00:00Z", False, False),
        ("2019-13-01T00:00:00Z", False, False),
        ("2019-00-01T00:00:00Z", False, False),
        ("2019-01-01T24:00:00Z", False, False),
        ("2019-01-01T00:60:00Z", False, False),
        ("2019-01-01T00:00:60Z", False, False),
        ("2019-01-01T00:00:00+24:00", False, False),
        ("2019-01-01T00:00:00", False, False),
        ("2019-01-01 00:00:00Z", False, False),
        ("2019-01-01T00:00:00z", False, False),
        ("2019-01-01T00:00:00.Z", False, False),
        ("2019-01-01T00:00:00.1234567890Z", False, False),
        ("0000-02-29T00:00:00Z", True, True),
        ("9999-12-31T23:59:59Z", True, True),
        ("٢٠١٩-01-01T00:00:00Z", False, False),
        ("2019-01-01T00:00:00Z\n", False, False),
        ("", False, False),
    ],
)
def test_date_times_are_checked_in_both_modes(text: str, *, valid: bool, strict: bool) -> None:
    assert (is_date_time(text), is_strict_date_time(text)) == (valid, strict)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.decimals(-3, 3, places=1)
    | st.sampled_from(["", "a", "ab", "2020-01-01T00:00:00Z"])
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "object", "array", "null"])
KEYWORDS = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
    "minimum": st.integers(-3, 3),
    "exclusiveMinimum": st.booleans(),
    "maximum": st.integers(-3, 3),
    "multipleOf": st.sampled_from([1, 2, Decimal("0.1"), Decimal("0.25")]),
    "minLength": st.integers(0, 2),
    "maxLength": st.integers(0, 2),
    "pattern": st.sampled_from(["^a", "b$"]),
    "format": st.sampled_from(["date-time", "email"]),
    "enum": st.lists(SCALARS, min_size=1, max_size=3),
    "minItems": st.integers(0, 2),
    "maxItems": st.integers(0, 2),
    "uniqueItems": st.booleans(),
    "required": st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True),
    "minProperties": st.integers(0, 2),
    "maxProperties": st.integers(0, 2),
}


FLAT_KEYWORDS = (
    *("type", "minimum", "exclusiveMinimum", "maximum", "multipleOf"),
    *("minLength", "maxLength", "format"),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that contain `inner` ones."""
    several = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            **KEYWORDS,
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "dependencies": st.dictionaries(
                st.sampled_from("abc"), inner | st.lists(st.sampled_from("abc"), unique=True)
            ),
            "items": inner | several,
            "additionalItems": st.booleans() | inner,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": inner,
        },
    )


SCHEMAS = st.recursive(st.fixed_dictionaries({}, optional=KEYWORDS), nested, max_leaves=5)


RECORD = st.dictionaries(st.sampled_from("abc"), DATA, max_size=3)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, st.lists(RECORD, max_size=4))
def test_all_checks_agree(schema: Any, records: list[Any]) -> None:
    """Column by column, compiled, and walked for the words."""
    compiled = RecordSchema(schema)
    fits = [compiled.accepts(record) for record in records]
    assert fits == [compiled.explain(record).text == "" for record in records]
    assert compiled.first_unfit(Columns.of(records)) == next(
        (at for at, each in enumerate(fits) if not each), None
    )


FLAT = st.fixed_dictionaries({}, optional={key: KEYWORDS[key] for key in FLAT_KEYWORDS})


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), FLAT), st.lists(RECORD, max_size=4))
def test_checks_by_column_agree_with_checks_by_record(properties: Any, records: list[Any]) -> None:
    """Schemas that are checked by column alone."""
    compiled = RecordSchema({"properties": properties})
    fits = [compiled.explain(record).text == "" for record in records]
    assert compiled.first_unfit(Columns.of(records)) == next(
        (at for at, each in enumerate(fits) if not each), None
    )
