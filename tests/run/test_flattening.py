"""Flattening: every value that the tap's schema accepts is delivered under the flattened schema."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.run.maps import StreamMapper
from target_stitch_import.singer.messages import MessageLines
from target_stitch_import.singer.reader import Reader
from tests.support.both_verdicts import verdicts
from tests.support.defaults import pipeline
from tests.support.schemas_and_records import Pairs
from tests.support.singer import record, schema, state
from tests.support.target import Target, bodies, delivered

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

FLAT = {"flattening_enabled": True, "flattening_max_depth": 2}
OBJECT = {"type": "object", "properties": {"a": {}, "b": {"type": "integer"}}}
MOMENT = {"type": "string", "format": "date-time"}
DEFINITIONS = {"moment": MOMENT, "list": {"type": "array", "items": {"type": "integer"}}}


CASES: list[tuple[Any, Any, Any]] = [
    ({}, 5, 5),
    ({}, "Open", "Open"),
    ({}, True, True),
    ({}, None, None),
    ({}, {"k": [1, 2]}, '{"k":[1,2]}'),
    ({"description": "any"}, [1], "[1]"),
    ({"type": ["null", "string", "integer", "object", "array"]}, 5, 5),
    ({"type": ["null", "array", "boolean"]}, False, False),
    ({"type": ["null", "array"]}, [True], "[true]"),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 5, 5),
    ({"anyOf": [{"type": ["null", "object"]}, {"type": "number"}]}, {"k": 1}, '{"k":1}'),
    ({"anyOf": [{"type": "array", "items": {}}, {"type": "null"}]}, [1], "[1]"),
    ({"oneOf": [{"type": "object", "properties": {"k": {}}}]}, {"k": 1}, '{"k":1}'),
    ({"allOf": [{}, {"type": ["array", "integer"]}]}, 5, 5),
    ({"enum": ["a", 5, None]}, 5, 5),
    ({"enum": [[1], "a"]}, [1], "[1]"),
    (
        {"anyOf": [MOMENT, {"type": "null"}]},
        "2024-01-31 10:00:00+01",
        "2024-01-31T10:00:00+01:00",
    ),
    ({"$ref": "#/definitions/moment"}, "2024-01-31 10:00:00Z", "2024-01-31T10:00:00Z"),
    ({"$ref": "#/definitions/list"}, [1], "[1]"),
]
"""A column's schema, a value, and the value that arrives."""


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_value_arrives_as_its_flattened_column_declares_it(
    target: Target, api: ImportApi, options: tuple[str, ...]
) -> None:
    messages = []
    for at, (column, value, _) in enumerate(CASES):
        outer = {"type": "object", "properties": {"f": column}}
        described = schema(f"s{at}", f=column, outer=outer)
        described["schema"]["definitions"] = DEFINITIONS
        messages += [described, record(1, f"s{at}", f=value, outer={"f": value})]
    outcome = target.run([*messages, state(1)], *options, **FLAT)
    assert (outcome.status, outcome.states) == (0, [] if options else ["1"])
    if not options:
        for at, (column, _, arrives) in enumerate(CASES):
            assert (column, delivered(api, f"s{at}")) == (
                column,
                [{"id": 1, "f": arrives, "outer__f": arrives}],
            )
        for body in bodies(api):
            assert {"f", "outer__f"} <= body["schema"]["properties"].keys()


@pytest.mark.parametrize(
    "rule",
    [
        {"required": ["id", "outer"]},
        {"additionalProperties": False},
        {"additionalProperties": {"type": "object"}},
        {"maxProperties": 3},
        {"dependencies": {"id": ["outer"]}},
        {"allOf": [{"required": ["outer"]}]},
    ],
    ids=json.dumps,
)
def test_rules_for_whole_objects_are_dropped_when_flattening(
    target: Target, api: ImportApi, rule: Any
) -> None:
    described = schema(outer=OBJECT, other={"type": ["object", "null"], "properties": {"x": {}}})
    described["schema"] |= rule
    messages = [described, record(1, outer={"a": "x", "b": 2}, other=None), state(1)]
    outcome = target.run(messages, **FLAT)
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert delivered(api) == [{"id": 1, "outer__a": "x", "outer__b": 2, "other": None}]


def test_a_required_column_is_still_required_after_flattening(target: Target) -> None:
    described = schema(outer=OBJECT)
    described["schema"]["required"] = ["id", "name", "outer"]
    outcome = target.run([described, record(1, outer={"a": 1})], **FLAT)
    assert outcome.status == 65
    assert "`/name`: a required property is missing" in outcome.log


@pytest.mark.parametrize("settings", [FLAT, {"stream_maps": {"people": {"name": None}}}])
def test_a_schema_without_properties_is_mapped_too(
    target: Target, api: ImportApi, settings: Any
) -> None:
    """A property that a map drops must not arrive only because the schema did not name it."""
    described = schema() | {"schema": {"type": "object"}}
    outcome = target.run([described, record(1, name={"first": "n"}), state(1)], **settings)
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert delivered(api) == [
        {"id": 1} if "stream_maps" in settings else {"id": 1, "name__first": "n"}
    ]


def test_an_invalid_schema_is_reported_with_stream_maps(target: Target) -> None:
    outcome = target.run([schema(a={"type": "what"})], stream_maps={"people": {"name": None}})
    assert outcome.status == 65
    assert "Line 1: SCHEMA of stream `people` is not a schema" in outcome.log
    assert "#/properties/a/type" in outcome.log


@pytest.mark.parametrize("seed", range(4))
def test_valid_records_are_valid_after_flattening(seed: int) -> None:
    pairs = Pairs(Random(seed))  # noqa: S311 - no secret
    settings = {"flattening_enabled": True, "flattening_max_depth": seed}
    for _ in range(150):
        pair = pairs.pair()
        if verdicts(pair).target:
            continue
        opening = f'"schema":{pair.schema},"key_properties":{json.dumps(pair.keys)}'
        text = (
            f'{{"type":"SCHEMA","stream":"t",{opening}}}\n'
            f'{{"type":"RECORD","stream":"t","record":{pair.record}}}\n'
        )
        of, reader = pipeline(dead_letter=True), Reader(MessageLines())
        for event in StreamMapper(settings).map([*reader.feed(text.encode()), *reader.close()]):
            of.receive(event, 0.0, 10**18)
        of.close()
        assert [each.reason for each in of.to_set_aside] == [], pair
