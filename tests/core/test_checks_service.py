"""The check and the local Import API agree about every schema and record.

They share no code. `make soak-verdicts` asks the same of a hundred thousand pairs.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from tests.support.both_verdicts import is_documented, verdicts
from tests.support.schema_parts import MISTAKES
from tests.support.schemas_and_records import Pair, Pairs


@pytest.mark.parametrize("seed", range(8))
def test_target_and_local_api_accept_the_same_records(seed: int) -> None:
    pairs = Pairs(Random(seed))  # noqa: S311 - no secret
    for _ in range(250):
        pair = pairs.pair()
        found = verdicts(pair)
        assert found.agree or is_documented(pair), (pair, found)


@pytest.mark.parametrize("mistake", MISTAKES, ids=json.dumps)
@pytest.mark.parametrize("place", [(), ("properties", "a"), ("definitions", "unused")])
def test_target_and_local_api_refuse_the_same_schemas(mistake: Any, place: tuple[str, ...]) -> None:
    schema: dict[str, Any] = {"properties": {"a": {}}, "definitions": {}}
    if place:
        schema[place[0]][place[1]] = mistake
    else:
        schema = mistake if "properties" in mistake else schema | mistake
    for record in ("{}", '{"a":1}', '{"a":"a"}', '{"a":[5]}', '{"a":{"a":null}}'):
        found = verdicts(Pair(json.dumps(schema), (), record))
        assert found.agree, (record, found)


@pytest.mark.parametrize(
    ("schema", "record", "taken"),
    [
        ({"type": "integer"}, "1e0", False),
        ({"type": "integer"}, "1.5e1", False),
        ({"type": "number"}, "1.5e1", True),
        ({"required": ["b", "b"]}, '{"b":1}', True),
        ({"required": ["b", "b"]}, "{}", False),
        ({"dependencies": {"b": ["c", "c"]}}, '{"b":1}', False),
        ({"pattern": "(a{1000}){1000}"}, '"b"', True),
    ],
)
def test_target_and_local_api_agree_on_edge_cases(schema: Any, record: str, taken: bool) -> None:  # noqa: FBT001
    found = verdicts(Pair(json.dumps({"properties": {"a": schema}}), (), f'{{"a":{record}}}'))
    assert (found.target == "", found.service == "") == (taken, taken)


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#/properties/a"}, {"pattern": "("}, {"patternProperties": {"[": {}}}],
)
def test_target_and_local_api_refuse_an_unusable_schema(schema: Any) -> None:
    found = verdicts(Pair(json.dumps({"properties": {"a": schema}}), (), "{}"))
    assert found.kind == "schema"
    assert found.agree
