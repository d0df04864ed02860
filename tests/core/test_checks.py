"""Record checks: the quick ones pass nothing that the exact one refuses; words hold no values."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.schema.checks import (
    NothingToCheck,
    Passed,
    RecordCheck,
    TypedCheck,
    quick_check,
)
from target_stitch_import.schema.compiled import CompiledCheck, QuickCheck, UncompilableError
from target_stitch_import.schema.date_times import is_date_time
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.record_type import key_type, record_type
from tests.support.checks import Never

MAX_RECORD_BYTES = 19_999_000


def check(schema: Any, keys: tuple[str, ...] = (), *, naive: str = "utc") -> RecordCheck:
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    return RecordCheck(
        read_schema(text).root, keys, naive_datetimes=naive, max_record_bytes=MAX_RECORD_BYTES
    )


def exactly(of: RecordCheck) -> RecordCheck:
    """Return the same check without its quick part."""
    of._quick = Never()
    return of


def verdict(of: RecordCheck, record: str) -> str:
    """Return "ok", or the words of the refusal."""
    examined = of.examine(Raw(record.encode()))
    return str(examined) if isinstance(examined, Refused) else "ok"


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


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
    ({"type": "string"}, '{"f": "\\u0000 \\u2028"}', "field `/f`: it holds U+0000"),
    ({"type": "string"}, '{"f": "\\\\u0000"}', "ok"),
    ({"type": "string"}, '{"f": "\\ud800"}', "ok"),
    ({"type": "string", "maxLength": 3}, '{"f": "abcd"}', "it breaks `maxLength`: 3"),
    ({"enum": ["a", 1]}, '{"f": "b"}', "it is none of the 2 values of `enum`"),
    ({"enum": ["a", 1]}, '{"f": 1}', "ok"),
    ({"pattern": "^a+$"}, '{"f": "b"}', "it breaks `pattern`: ^a+$"),
    ({"pattern": "^(?=a)b"}, '{"f": "b"}', "it breaks `pattern`: ^(?=a)b"),
    ({"type": "array", "items": {"type": "integer"}}, '{"f": [1, "x"]}', "field `/f/1`: expected"),
    ({"type": "object", "required": ["g"]}, '{"f": {}}', "field `/f/g`: a required member"),
    ({"additionalProperties": False}, '{"f": {"secret": 1}}', "has a member that the schema"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, '{"f": 5}', "ok"),
    ({"anyOf": [{"enum": [1]}, {"enum": [2]}]}, '{"f": 5}', "alternatives of `anyOf`"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, '{"f": 5}', "alternatives of `oneOf`"),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, '{"f": "x"}', "alternatives of `anyOf`"),
    ({"anyOf": [{"type": "null"}, of(g={"type": "null"})]}, '{"f": {"g": 1}}', "`/f/g`: expected"),
    (
        {"anyOf": [{"type": "null"}, {"oneOf": [{"type": "string", "maxLength": 1}]}]},
        '{"f": "xx"}',
        "field `/f`: it breaks `maxLength`: 1",
    ),
    ({"dependencies": {"a": ["b"]}}, '{"f": {"a": 1}}', "`/f/b`: a member is missing that `a` dep"),
    ({"dependencies": {"a": ["b"]}}, '{"f": {"c": 1}}', "ok"),
    (
        {"dependencies": {"a": of(b={"type": "null"})}},
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
def test_what_records_must_be(field: Any, record: str, words: str) -> None:
    schema = of(f=field, g={"type": "boolean"})
    assert words in verdict(check(schema), record)
    assert words in verdict(exactly(check(schema)), record)


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
    (json.dumps({"k": "x" * 1025}), "the key is 1,025 characters long"),
    ("5", "a record is an object, not integer"),
    ('["k"]', "a record is an object, not array"),
]


@pytest.mark.parametrize(("record", "words"), KEYS)
def test_what_keys_must_be(record: str, words: str) -> None:
    assert words in verdict(check(of(k={}), ("k",)), record)
    assert words in verdict(exactly(check(of(k={}), ("k",))), record)


@pytest.mark.parametrize(("key", "note"), [("", "empty"), ("x" * 256, "longer than 255")])
def test_unusual_keys_pass_with_a_note(key: str, note: str) -> None:
    record = Raw(json.dumps({"k": key}).encode())
    passed = check(of(k={"type": "string"}), ("k",)).examine(record)
    assert isinstance(passed, Passed)
    assert bytes(passed.record) == bytes(record)
    assert note in passed.notes["/k"]


NAIVE = [
    ("2024-01-31T10:00:00", "2024-01-31T10:00:00Z"),
    ("2024-01-31 10:00:00.5", "2024-01-31T10:00:00.5Z"),
    ("2024-01-31T10:00:00+02:00", "2024-01-31T10:00:00+02:00"),
]


@pytest.mark.parametrize(("given_text", "sent"), NAIVE)
@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        ({"type": "string", "format": "date-time"}, "%s"),
        ({"type": ["null", "string"], "format": "date-time"}, "%s"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "%s"),
        ({"items": {"format": "date-time"}, "type": "array"}, "[1.50,%s]"),
        (of(g={"type": "string", "format": "date-time"}), '{"a": 1.50 ,"g":%s}'),
    ],
)
def test_naive_date_times_are_completed_and_nothing_else_changes(
    schema: Any, shape: str, given_text: str, sent: str
) -> None:
    if schema.get("type") == "array":
        schema = schema | {"items": {"anyOf": [{"type": "number"}, schema["items"]]}}
    before, after = (
        '{"f":' + shape % json.dumps(text) + ',"n":1.10}' for text in (given_text, sent)
    )
    passed = check(of(f=schema)).examine(Raw(before.encode()))
    assert isinstance(passed, Passed)
    sent_text = bytes(passed.record).decode()
    unspaced = after.replace(" ,", ",").replace('": ', '":')
    assert sent_text.replace(" ,", ",").replace('": ', '":') == unspaced
    assert bool(passed.notes) == (given_text != sent)
    kept = check(of(f=schema), naive="keep").examine(Raw(before.encode()))
    assert isinstance(kept, Passed)
    assert bytes(kept.record) == before.encode()
    failed = check(of(f=schema), naive="fail").examine(Raw(before.encode()))
    assert isinstance(failed, Refused) == (given_text != sent)


@pytest.mark.parametrize("keep", ["keep", "utc"])
def test_what_is_no_date_time_is_refused_under_every_policy(keep: str) -> None:
    schema = of(f={"type": "string", "format": "date-time"})
    assert "date-time" in verdict(check(schema, naive=keep), '{"f": "tomorrow"}')


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "\x1b[31m", "\u2028", "class", ""])
def test_any_name_can_be_that_of_a_column_or_a_key(name: str) -> None:
    record = json.dumps({name: 1})
    for keys in ((), (name,)):
        assert verdict(check(of(**{name: {"type": "integer"}}), keys), record) == "ok"
        words = verdict(check(of(**{name: {"type": "string"}}), keys), record)
        assert "expected string, found integer" in words
        assert "\x1b" not in words


@pytest.mark.parametrize(
    ("schema", "text", "completed"),
    [
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}, None, False),
        ({"allOf": [{"type": "string", "format": "date-time"}]}, None, True),
        ({"additionalProperties": {"format": "date-time"}}, '{"x":%s}', True),
        ({"$ref": "#/definitions/node"}, '{"next":{"next":{"at":%s}}}', True),
    ],
)
def test_where_date_times_are_completed(schema: Any, text: str | None, completed: bool) -> None:  # noqa: FBT001
    """Wherever the schema asks for one, and only there, whatever stands beside it."""
    naive = {"type": "string", "format": "date-time"}
    node = of(at=naive, next={"$ref": "#/definitions/node"})
    value = (text or "%s") % '"2024-01-01T00:00:00"'
    whole = of(f=schema, other=naive) | {"definitions": {"node": node}}
    for other in ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00"):
        passed = check(whole).examine(Raw(f'{{"f":{value},"other":"{other}"}}'.encode()))
        assert isinstance(passed, Passed)
        assert (b'00:00:00Z"' in bytes(passed.record).split(b'"other"')[0]) == completed


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"f": "0" * 30_000}, "ok"),
        ({"f": list(range(10_001))}, "more than 10,000 data points"),
        ({"f": [[1]] * 10_001}, "more than 10,000 data points"),
        ({"f": [None] * 10_000}, "ok"),
        ({"f": "x" * 20_000_000}, "20,000,008 bytes long"),
        ({"f": "x" * 19_000_000}, "ok"),
    ],
)
def test_sizes(record: Any, words: str) -> None:
    text = json.dumps(record, separators=(",", ":"))
    assert words in verdict(check(of()), text)
    sizes = RecordCheck(
        read_schema(b"{}").root, (), max_record_bytes=MAX_RECORD_BYTES, quick=NothingToCheck()
    )
    assert words in verdict(sizes, text)
    messages = b'[{"data":%b}]' % text.encode()
    accepted = check(of()).accepted(messages, [Raw(text.encode())])
    assert (accepted is not None) == (words == "ok")


@pytest.mark.parametrize(
    "record",
    [
        '{"f": ' + "9" * 5_000 + "}",
        '{"f": 1e999999999999}',
        '{"f": ' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"f": "' + "a" * 60 + '!"}',
        '{"' + "a" * 60 + '!": 1}',
    ],
)
def test_nothing_hangs_or_crashes(record: str) -> None:
    """Huge numbers, endless nesting, and a pattern that backtracks for ever elsewhere."""
    schema = of(f={"pattern": "^(a+)+$", "not": {"pattern": "^(?=(a+)+)(a+)+$"}})
    schema |= {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}
    for each in (check(schema), exactly(check(schema))):
        assert verdict(each, record)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 10**30]),
    st.sampled_from([0.5, -1.5, 1e300]),
    st.sampled_from(["", "a", "ab", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00", "x" * 300]),
)
NAMES = st.sampled_from(["a", "b", "c/d", "é"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TYPE_NAMES = ["string", "number", "integer", "boolean", "object", "array", "null"]
PLAIN = st.one_of(
    st.builds(dict),
    st.fixed_dictionaries({"type": st.sampled_from(TYPE_NAMES)}),
    st.fixed_dictionaries(
        {"type": st.lists(st.sampled_from(TYPE_NAMES), min_size=1, max_size=3, unique=True)}
    ),
    st.just({"type": ["null", "string"], "format": "date-time"}),
    st.sampled_from([{"type": "number", "multipleOf": each} for each in (0.5, 0.01, 1)]),
    st.just({"type": "integer", "multipleOf": 2}),
    st.just({"type": ["null", "string"], "pattern": "^a"}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", ["null", "string"], ["integer", "string"]])},
        optional={
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "format": st.just("date-time"),
        },
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", ["null", "integer"], "number"])},
        optional={
            "minimum": st.sampled_from([-1, 0, 1, 0.5, -(2**63), 2**63]),
            "maximum": st.sampled_from([-1, 0, 1, 0.5, -(2**63), 2**63 - 1, 2**64]),
            "exclusiveMinimum": st.booleans(),
            "exclusiveMaximum": st.booleans(),
        },
    ),
    st.just({"minimum": 0, "exclusiveMinimum": True}),
    st.fixed_dictionaries(
        {"enum": st.lists(st.sampled_from([None, 1, "a", "b", True, 2.5, 2**64, [1]]), min_size=1)},
        optional={"type": st.sampled_from(["string", "integer", ["null", "number"]])},
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["object", ["object", "null"]]),
            "additionalProperties": st.sampled_from([{"type": "string"}, {"type": "integer"}, {}]),
        }
    ),
    st.just({"$ref": "#/definitions/tree"}),
)
SCHEMAS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
            optional={
                "required": st.lists(NAMES, min_size=1, max_size=2, unique=True),
                "additionalProperties": st.booleans() | inner,
            },
        ),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["array", ["array", "null"]]), "items": inner}
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=5,
)
TREE = {"tree": {"type": "object", "properties": {"a": {"$ref": "#/definitions/tree"}}}}


@settings(max_examples=400)
@given(
    st.dictionaries(NAMES, SCHEMAS, max_size=3),
    st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=4),
    st.sampled_from([(), ("a",), ("a", "b")]),
)
def test_the_quick_checks_pass_nothing_that_the_exact_one_refuses(
    properties: Any, records: list[Any], keys: tuple[str, ...]
) -> None:
    text = json.dumps(of(**properties) | {"definitions": TREE}).encode()
    read = read_schema(text).root
    reference = exactly(check(text, keys, naive="fail"))
    key_record = key_type(keys)
    assert key_record is not None
    candidates: list[QuickCheck] = [quick_check(read, keys)]
    with suppress(UncompilableError):
        candidates.append(CompiledCheck(read, TypedCheck(key_record)))
    if (typed := record_type(read, keys)) is not None:
        candidates.append(TypedCheck(typed.type, typed.check))
    texts = [json.dumps(record).encode() for record in records]
    refused = [isinstance(reference.examine(Raw(each)), Refused) for each in texts]
    messages = b"[%b]" % b",".join(b'{"action":"upsert","data":%b}' % each for each in texts)
    for quick in candidates:
        for each, is_refused in zip(texts, refused, strict=True):
            assert not (is_refused and quick.accepts(Raw(each)))
        assert not (any(refused) and quick.accepts_all(messages))


NEAR_BOUNDS = st.sampled_from([-(2**63), -2, -1, 0, 1, 2, 2**63 - 1])


@settings(max_examples=400)
@given(
    st.fixed_dictionaries(
        {"type": st.just(["integer", "string"])},
        optional={
            "minimum": NEAR_BOUNDS,
            "maximum": NEAR_BOUNDS,
            "exclusiveMinimum": st.booleans(),
            "exclusiveMaximum": st.booleans(),
            "minLength": st.integers(0, 3),
            "maxLength": st.integers(0, 3),
        },
    ),
    st.one_of(
        NEAR_BOUNDS,
        st.sampled_from([-(2**63) - 1, 2**63, 10**30]),
        st.text("aé\U0001f600", max_size=4),
    ),
    st.booleans(),
)
def test_a_type_has_the_bounds_of_its_schema(
    field: Any,
    value: Any,
    is_key: bool,  # noqa: FBT001
) -> None:
    keys = ("a",) if is_key else ()
    read = read_schema(json.dumps(of(a=field)).encode()).root
    record = Raw(json.dumps({"a": value}).encode())
    typed = record_type(read, keys)
    if typed is not None:
        refused = isinstance(exactly(check(of(a=field), keys)).examine(record), Refused)
        says_yes = TypedCheck(typed.type, typed.check).accepts(record)
        # Empty keys pass, with a note that only the exact check makes.
        assert says_yes == (not refused and not (is_key and value == ""))


@pytest.mark.parametrize("text", ["1e0", "12E0", "1.5e1", "-0e0", "1.0", "1e2"])
def test_a_number_with_an_exponent_is_no_integer(text: str) -> None:
    schema = of(a={"type": "integer", "not": {"enum": [5]}})
    assert "expected integer, found number" in verdict(check(schema), f'{{"a": {text}}}')


@pytest.mark.parametrize(
    "field", [{"enum": ["\ud800", "x"]}, {"type": "string", "maxLength": 2**70}]
)
def test_what_no_decoder_can_be_made_with_goes_to_the_exact_check(field: Any) -> None:
    assert verdict(check(of(a=field)), '{"a": "x"}') == "ok"
    assert verdict(check(of(a=field)), '{"a": 5}') != "ok"


def test_a_number_a_hair_below_its_bound_is_refused() -> None:
    """Although a double cannot tell it from the bound."""
    schema = of(a={"type": "number", "minimum": 0.1})
    assert "minimum" in verdict(check(schema), '{"a":0.09999999999999999999}')
    assert verdict(check(schema), '{"a":0.1}') == "ok"


@pytest.mark.parametrize("length", ["minLength", "maxLength"])
def test_a_date_time_has_a_length_too(length: str) -> None:
    schema = of(a={"type": "string", "format": "date-time", length: 22})
    texts = {"maxLength": "2024-01-31T10:00:00.000Z", "minLength": "2024-01-31T10:00:00Z"}
    assert length in verdict(check(schema), json.dumps({"a": texts[length]}))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (of(a={"type": ["null", "string"]}, b={"items": {}, "type": "array"}), TypedCheck),
        (of(a={"type": "string", "format": "date-time"}), TypedCheck),
        (of(a=of(b={"type": "integer"})), TypedCheck),
        (of(a={"type": ["null", "string"], "minLength": 1, "maxLength": 60}), TypedCheck),
        (of(a={"type": ["null", "integer"], "minimum": -(2**31), "maximum": 9}), TypedCheck),
        (of(a={"type": ["null", "number"], "minimum": 0}), TypedCheck),
        (of(a={"type": ["null", "number"], "multipleOf": 0.01}), TypedCheck),
        (of(a={"anyOf": [{"type": "integer"}, {"type": "null"}]}), TypedCheck),
        (of(a={"oneOf": [of(c={"type": "string"}), {"type": ["null", "array"]}]}), TypedCheck),
        (of(a={"anyOf": [{"type": "number"}, {"type": ["null", "integer"]}]}), TypedCheck),
        (of(a={"pattern": "^a"}), TypedCheck),
        (of(a={}) | {"minProperties": 0}, CompiledCheck),
        (of(a={"enum": ["x", 1, None]}), TypedCheck),
        (of(a={"type": ["null", "string"], "enum": ["x", None]}), TypedCheck),
        (of(a={"type": "object", "additionalProperties": {"type": "string"}}), TypedCheck),
    ],
)
def test_common_schemas_have_a_quick_check_that_says_yes(schema: Any, kind: type) -> None:
    quick = quick_check(read_schema(json.dumps(schema).encode()).root, ())
    assert isinstance(quick, kind)
    good = {"a": None, "b": [1, {}]} if "b" in schema["properties"] else {}
    assert quick.accepts(Raw(json.dumps(good).encode()))


FREED = """
import gc, json, sys
from target_stitch_import.schema.checks import quick_check
from target_stitch_import.schema.draft4 import read_schema
schema = sys.argv[1].encode()
for _ in range(20):
    quick_check(read_schema(schema).root, ())
    gc.collect()
"""
INSTANT = {"type": "string", "format": "date-time"}


@pytest.mark.parametrize(
    "field",
    [
        INSTANT | {"type": ["string", "array"]},
        INSTANT | {"type": ["string", "object"], "additionalProperties": {"type": "string"}},
        INSTANT | {"type": ["string", "object"]},
        {"anyOf": [INSTANT, {"type": "array", "items": {"type": "integer"}}]},
        {"oneOf": [of(b=INSTANT), INSTANT]},
        {"type": "array", "items": INSTANT},
        {"enum": ["x", 1, None]},
    ],
    ids=json.dumps,
)
def test_a_check_that_is_no_longer_needed_is_freed(field: Any) -> None:
    """In a process of its own, where memory that is freed wrongly is a crash each time."""
    ended = subprocess.run(
        [sys.executable, "-c", FREED, json.dumps(of(a=field, b=of(c=field)))],
        env=os.environ | {"PYTHONMALLOC": "debug"},
        check=False,
        capture_output=True,
    )
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01T00:00:00Z", True),
        ("2024-01-01t00:00:00.1z", False),
        ("2024-01-01T00:00:00-23:59", True),
        ("2024-01-01T00:00:00+24:00", False),
        ("2024-01-01T00:00:60Z", False),
        ("2024-01-01T24:00:00Z", False),
        ("2024-01-01T00:00Z", False),
        ("2024-01-01T00:00:00", False),
        ("2024-01-01T00:00:00Z\n", False),
        ("\uff12\uff10\uff12\uff14-01-01T00:00:00Z", False),
    ],
)
def test_date_times_are_those_of_rfc_3339(text: str, expected: bool) -> None:  # noqa: FBT001
    assert is_date_time(text) == expected


@given(st.dictionaries(NAMES, st.just("S3CRET") | VALUES, max_size=3), SCHEMAS)
def test_a_refusal_holds_no_value(record: dict[str, Any], field: Any) -> None:
    schema = of(a=field) | {"definitions": TREE, "required": ["b"]}
    words = verdict(exactly(check(schema, ("c/d",))), json.dumps(record))
    assert "S3CRET" not in words
    assert "x" * 300 not in words


def test_names_that_are_data_are_not_told() -> None:
    schema = {
        "properties": {
            "seen": {"additionalProperties": {"type": "string", "format": "date-time"}},
        }
    }
    check = RecordCheck(
        read_schema(json.dumps(schema).encode()).root, (), max_record_bytes=MAX_RECORD_BYTES
    )
    passed = check.examine(Raw(b'{"seen":{"somebody@example.com":"2024-01-01T00:00:00"}}'))
    assert isinstance(passed, Passed)
    assert list(passed.notes) == ["/seen/*"]
    assert bytes(passed.record) == b'{"seen":{"somebody@example.com":"2024-01-01T00:00:00Z"}}'


def test_a_record_is_measured_again_once_its_date_times_are_complete() -> None:
    schema = {"properties": {"at": {"type": "string", "format": "date-time"}}}
    record = Raw(b'{"at":"2024-01-01T00:00:00","x":"%b"}' % (b"x" * 30_000))
    check = RecordCheck(
        read_schema(json.dumps(schema).encode()).root, (), max_record_bytes=len(record)
    )
    assert isinstance(check.examine(record), Refused)
