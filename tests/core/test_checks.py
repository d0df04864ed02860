"""Record checks: the quick ones accept nothing that the exact one refuses; no values in errors."""

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

from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.compiled import CompiledCheck, QuickCheck, UncompilableError
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.quick_checks import AcceptAll, TypedCheck, quick_check
from target_stitch_import.schema.record_type import key_type, record_type
from tests.support.record_checks import MAX_RECORD_BYTES, check, columns, exact_check, verdict


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"f": "0" * 30_000}, "ok"),
        ({"f": list(range(10_001))}, "more than 10,000 values (data points)"),
        ({"f": [[1]] * 10_001}, "more than 10,000 values (data points)"),
        ({"f": [None] * 10_000}, "ok"),
        ({"f": "x" * 20_000_000}, "20,000,008 bytes long"),
        ({"f": "x" * 19_000_000}, "ok"),
    ],
)
def test_a_record_over_a_size_limit_is_refused(record: Any, words: str) -> None:
    text = json.dumps(record, separators=(",", ":"))
    assert words in verdict(check(columns()), text)
    sizes = RecordCheck(
        read_schema(b"{}").root, (), max_record_bytes=MAX_RECORD_BYTES, quick=AcceptAll()
    )
    assert words in verdict(sizes, text)
    messages = b'[{"data":%b}]' % text.encode()
    accepted = check(columns()).accepted(messages, len(text.encode()))
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
    """Huge numbers, endless nesting, and a pattern that backtracks endlessly in other engines."""
    schema = columns(f={"pattern": "^(a+)+$", "not": {"pattern": "^(?=(a+)+)(a+)+$"}})
    schema |= {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}
    for each in (check(schema), exact_check(schema)):
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
def test_the_quick_checks_accept_nothing_that_the_exact_one_refuses(
    properties: Any, records: list[Any], keys: tuple[str, ...]
) -> None:
    text = json.dumps(columns(**properties) | {"definitions": TREE}).encode()
    read = read_schema(text).root
    reference = exact_check(text, keys, naive="fail")
    key_record = key_type(keys)
    assert key_record is not None
    candidates: list[QuickCheck] = [quick_check(read, keys)]
    with suppress(UncompilableError):
        candidates.append(CompiledCheck(read, TypedCheck(key_record)))
    if (typed := record_type(read, keys)) is not None:
        candidates.append(TypedCheck(typed))
    texts = [json.dumps(record).encode() for record in records]
    refused = [isinstance(reference.examine(Raw(each)), Refused) for each in texts]
    messages = b"[%b]" % b",".join(b'{"action":"upsert","data":%b}' % each for each in texts)
    for quick in candidates:
        for each, is_refused in zip(texts, refused, strict=True):
            assert not (is_refused and quick.accepts(Raw(each)))
        assert not (any(refused) and quick.accepts_all(messages))
    accepted = check(text, keys, naive="fail").accepted(messages, max(map(len, texts)))
    assert not (any(refused) and accepted), "by all that is done before the exact check"


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
    read = read_schema(json.dumps(columns(a=field)).encode()).root
    record = Raw(json.dumps({"a": value}).encode())
    typed = record_type(read, keys)
    if typed is not None:
        refused = isinstance(exact_check(columns(a=field), keys).examine(record), Refused)
        says_yes = TypedCheck(typed).accepts(record)
        # Empty keys pass, with a note that only the exact check makes.
        assert says_yes == (not refused and not (is_key and value == ""))


@pytest.mark.parametrize(
    "field", [{"enum": ["\ud800", "x"]}, {"type": "string", "maxLength": 2**70}]
)
def test_a_schema_that_no_decoder_supports_goes_to_the_exact_check(field: Any) -> None:
    assert verdict(check(columns(a=field)), '{"a": "x"}') == "ok"
    assert verdict(check(columns(a=field)), '{"a": 5}') != "ok"


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (columns(a={"type": ["null", "string"]}, b={"items": {}, "type": "array"}), TypedCheck),
        (columns(a={"type": "string", "format": "date-time"}), TypedCheck),
        (columns(a=columns(b={"type": "integer"})), TypedCheck),
        (columns(a={"type": ["null", "string"], "minLength": 1, "maxLength": 60}), TypedCheck),
        (columns(a={"type": ["null", "integer"], "minimum": -(2**31), "maximum": 9}), TypedCheck),
        (columns(a={"type": ["null", "number"], "minimum": 0}), TypedCheck),
        (columns(a={"type": ["null", "number"], "multipleOf": 0.01}), TypedCheck),
        (columns(a={"anyOf": [{"type": "integer"}, {"type": "null"}]}), TypedCheck),
        (
            columns(a={"oneOf": [columns(c={"type": "string"}), {"type": ["null", "array"]}]}),
            TypedCheck,
        ),
        (columns(a={"anyOf": [{"type": "number"}, {"type": ["null", "integer"]}]}), TypedCheck),
        (columns(a={"pattern": "^a"}), TypedCheck),
        (columns(a={}) | {"minProperties": 0}, CompiledCheck),
        (columns(a={"enum": ["x", 1, None]}), TypedCheck),
        (columns(a={"type": ["null", "string"], "enum": ["x", None]}), TypedCheck),
        (columns(a={"type": "object", "additionalProperties": {"type": "string"}}), TypedCheck),
    ],
)
def test_quick_checks_accept_records_of_common_schemas(schema: Any, kind: type) -> None:
    quick = quick_check(read_schema(json.dumps(schema).encode()).root, ())
    assert isinstance(quick, kind)
    good = {"a": None, "b": [1, {}]} if "b" in schema["properties"] else {}
    assert quick.accepts(Raw(json.dumps(good).encode()))


FREED = """
import gc, json, sys
from target_stitch_import.schema.quick_checks import quick_check
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
        {"oneOf": [columns(b=INSTANT), INSTANT]},
        {"type": "array", "items": INSTANT},
        {"enum": ["x", 1, None]},
    ],
    ids=json.dumps,
)
def test_a_check_that_is_no_longer_needed_is_freed(field: Any) -> None:
    """In a separate process, in which any use of freed memory is a crash."""
    ended = subprocess.run(
        [sys.executable, "-c", FREED, json.dumps(columns(a=field, b=columns(c=field)))],
        env=os.environ | {"PYTHONMALLOC": "debug"},
        check=False,
        capture_output=True,
    )
    assert ended.returncode == 0


@given(st.dictionaries(NAMES, st.just("S3CRET") | VALUES, max_size=3), SCHEMAS)
def test_a_refusal_contains_no_value(record: dict[str, Any], field: Any) -> None:
    schema = columns(a=field) | {"definitions": TREE, "required": ["b"]}
    words = verdict(exact_check(schema, ("c/d",)), json.dumps(record))
    assert "S3CRET" not in words
    assert "x" * 300 not in words
