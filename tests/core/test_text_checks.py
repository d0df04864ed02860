"""Checks of many texts at once: they accept nothing that the exact check refuses."""

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
from target_stitch_import.schema.quick_checks import ExamineAll, TypedCheck, quick_check
from target_stitch_import.schema.record_type import record_type

BOUNDS = [
    "0", "-0", "1", "-1", "90", "-90", "0.1", "99.99", "1e12", "-1e12", "1e62", "1e-38", "1e400",
    "0.12345678901234567890", "9007199254740993", "100", "5e-324", "1e-400", "-1e-400",
]  # fmt: skip
STEPS = ["1", "0.1", "0.01", "1e-10", "1e-38", "0.5", "100", "3"]
DIGITS = st.text("0123456789", min_size=1, max_size=5)
NUMBERS = st.one_of(
    st.sampled_from(BOUNDS),
    # A hair beside a bound.
    st.builds("{}{}".format, st.sampled_from(["90.0", "0.0", "-90.0", "99.99", "0.1"]), DIGITS),
    st.sampled_from(["89.99999999999999999999", "0.09999999999999999999", "-90.00000000000000001"]),
    st.builds(
        lambda sign, whole, point, exponent: f"{sign}{int(whole)}{point}{exponent}",
        st.sampled_from(["", "-"]),
        DIGITS | st.text("0123456789", min_size=38, max_size=42),
        st.just("") | DIGITS.map(".{}".format) | st.just(f".{'0' * 37}1"),
        st.sampled_from(["", "", "", "e5", "E-5", "e-400", "e400", "e0"]),
    ),
)
OTHERS = st.sampled_from(["null", "true", '"1"', '"1,2"', "[1,2]", "{}", '"2024-01-01T00:00:00Z"'])
MOMENTS = st.builds(
    '"{}-{}-{}T{}:{}:{}{}{}"'.format,
    st.sampled_from(["2024", "2023", "0000", "9999"]),
    st.sampled_from(["01", "02", "13", "00"]),
    st.sampled_from(["01", "29", "31"]),
    st.sampled_from(["00", "23", "24"]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from(["", ".1", ".123456789", ".1234567890", "."]),
    st.sampled_from(["Z", "+00:00", "-23:59", "+24:00", "z", "", "+0000"]),
)
VALUES = NUMBERS | OTHERS | MOMENTS
TYPES = st.sampled_from(["number", ["null", "number"], ["integer", "number"]])
FIELDS = st.builds(
    lambda type_, rules: {"type": type_} | rules,
    TYPES,
    st.fixed_dictionaries(
        {},
        optional={
            "minimum": st.sampled_from(BOUNDS),
            "maximum": st.sampled_from(BOUNDS),
            "multipleOf": st.sampled_from(STEPS),
            "exclusiveMinimum": st.booleans(),
            "exclusiveMaximum": st.booleans(),
        },
    ),
) | st.sampled_from(
    [
        {"type": "string", "format": "date-time"},
        {"type": ["null", "string"], "format": "date-time"},
    ]
)


def schema_text(field: dict[str, Any], shape: str) -> bytes:
    """Return the schema of a record with such a field, its numbers as they are written."""
    members = [
        f'"{name}":{value if isinstance(value, str) and name[0] == "m" else json.dumps(value)}'
        for name, value in field.items()
    ]
    return (shape % f"{{{','.join(members)}}}").encode()


SHAPES = [
    # the schema around the field, the record around its values
    ('{"type":"object","properties":{"a":%s}}', '{"a":%s}'),
    ('{"type":"object","properties":{"a":{"anyOf":[%s,{"type":"null"}]}}}', '{"\\u0061":%s}'),
    ('{"type":"object","properties":{"a":{"oneOf":[{"type":"null"},%s]}}}', '{"a":1,"a":%s}'),
    ('{"type":"object","properties":{"a":{"type":["null","array"],"items":%s}}}', '{"a":[%s]}'),
    ('{"type":"object","properties":{"a":{"type":"object","properties":{"b":%s}}}}', '{"a":{"b":%s}}'),  # noqa: E501
    ('{"type":"object","properties":{"a":{"type":"object","additionalProperties":%s}}}', '{"a":{"x":%s}}'),  # noqa: E501
    ('{"type":"object","properties":{"a":{"items":{"$ref":"#/definitions/c"},"type":"array"}},"definitions":{"f":%s,"c":{"type":["null","object"],"properties":{"b":{"$ref":"#/definitions/f"}},"required":["b"]}}}',
     '{"a":[{"b":%s},null]}'),
]  # fmt: skip


@settings(max_examples=600)
@given(
    FIELDS, st.sampled_from(SHAPES), st.lists(NUMBERS | OTHERS | MOMENTS, min_size=1, max_size=4)
)
def test_texts_are_accepted_only_if_the_exact_check_accepts_them(
    field: dict[str, Any], shape: tuple[str, str], values: list[str]
) -> None:
    schema, record = shape
    root = read_schema(schema_text(field, schema)).root
    records = [Raw((record % value).encode()) for value in values]
    exact = RecordCheck(
        root, (), naive_datetimes="fail", max_record_bytes=10**6, quick=ExamineAll()
    )
    examined = [exact.examine(each) for each in records]
    # A record that the exact check rewrites was not valid as it is.
    invalid = [
        isinstance(result, Refused) or bytes(result.record) != bytes(each)
        for each, result in zip(records, examined, strict=True)
    ]
    quick = quick_check(root, ())
    for each, is_invalid in zip(records, invalid, strict=True):
        assert not (is_invalid and quick.accepts(each))
    messages = b"[%b]" % b",".join(b'{"data":%b}' % bytes(each) for each in records)
    # In both orders: what was found certain once is remembered.
    assert not (any(invalid) and quick.accepts_all(messages))
    assert not (any(invalid) and quick.accepts_all(messages))


GOOD = [
    ({"type": "number", "multipleOf": "0.01"}, ["1", "-1.1", "12345678901234567890.12", "-0.00"]),
    ({"type": "number", "multipleOf": "0.01"}, ["1.100", "1e1", "12E-2"]),
    ({"type": ["null", "number"], "multipleOf": "1e-38", "maximum": "1e62"}, ["null", "5.5"]),
    ({"type": "number", "minimum": "-90", "maximum": "90"}, ["90", "-90.000000", "45.123456"]),
    ({"type": "number", "minimum": "0"}, ["0", "0.0", "1e300", "-0.0", "12345678901234567890.5"]),
    ({"type": "number", "minimum": "0", "exclusiveMinimum": True}, ["0.1", "1e-400"]),
    ({"type": "string", "format": "date-time"}, ['"2024-02-29T00:00:00Z"'] * 3),
    ({"type": ["null", "string"], "format": "date-time"}, ['"2024-02-29T00:00:00.1Z"', "null"]),
]


@pytest.mark.parametrize(("field", "values"), GOOD)
@pytest.mark.parametrize(("schema", "record"), SHAPES)
def test_valid_values_are_accepted_at_once(
    field: dict[str, Any], values: list[str], schema: str, record: str
) -> None:
    if "oneOf" in schema and "null" in field["type"]:
        return  # null would be right twice, which is wrong
    typed = record_type(read_schema(schema_text(field, schema)).root, ())
    assert typed is not None
    texts = [record % value for value in values]
    messages = "[%s]" % ",".join(f'{{"data":{each}}}' for each in texts)  # noqa: UP031
    assert TypedCheck(typed).accepts_all(messages.encode())


BAD = [
    ({"type": "number", "minimum": "0.10000000000000000001"}, "0.1"),
    ({"type": "number", "minimum": "0.1"}, "0.09999999999999999999"),
    ({"type": "number", "maximum": "90", "exclusiveMaximum": True}, "90.0"),
    ({"type": "number", "maximum": "90"}, "90.000001"),
    ({"type": "number", "minimum": "0"}, "-1e-400"),
    ({"type": "number", "minimum": "1"}, "0.9"),
    ({"type": "number", "multipleOf": "0.01"}, "0.295"),
    ({"type": "number", "multipleOf": "0.01"}, "1e-3"),
    ({"type": "number", "multipleOf": "0.01"}, "null"),
    ({"type": "string", "format": "date-time"}, "null"),
    ({"type": "string", "format": "date-time"}, '"2023-02-29T00:00:00Z"'),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_nearly_valid_values_are_never_accepted(field: dict[str, Any], value: str) -> None:
    schema, record = SHAPES[0]
    quick = quick_check(read_schema(schema_text(field, schema)).root, ())
    assert not quick.accepts(Raw((record % value).encode()))
