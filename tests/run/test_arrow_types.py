"""Which JSON types are known from Arrow types, and which are not."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from target_stitch_import.run.arrow_objects import encoded
from target_stitch_import.run.arrow_types import known_types
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.node import TYPES

IDS = {"id": {"type": "integer"}}
NESTED = {**IDS, "v": {"type": "array", "items": {"type": "integer"}}}
REFUSED: list[tuple[Any, dict[str, Any]]] = [
    # a column beside the ids, and a schema that it does not fit
    (pa.array([["x"]]), {"properties": NESTED}),
    (pa.array([{"x": 1}]), {"properties": {**IDS, "v": {"type": "object", "required": ["y"]}}}),
    (pa.array([None], pa.null()), {"properties": {**IDS, "v": {"type": "string"}}}),
    (pa.array([[1]]), {"properties": IDS, "additionalProperties": False}),
    (pa.array([None, 1]).slice(0, 1), {"properties": {**IDS, "v": {"type": "integer"}}}),
    (pa.array(["x"]).dictionary_encode(), {"properties": {**IDS, "v": {"type": "integer"}}}),
    (
        pa.DictionaryArray.from_arrays([1], ["x", None]),
        {"properties": {**IDS, "v": {"type": "string"}}},
    ),
]


@pytest.mark.parametrize(("column", "rules"), REFUSED)
def test_rules_that_types_do_not_guarantee_are_checked(column: Any, rules: dict[str, Any]) -> None:
    schema = read_schema(json.dumps({"type": "object", **rules}).encode()).root
    check = RecordCheck(schema, ("id",), max_record_bytes=10_000)
    rows = pa.record_batch({"id": pa.array([1]), "v": column})
    messages, longest = encoded(rows).messages(0, 1, [1])
    assert check.accepted(messages, longest, known_types(rows)) is None


def test_the_types_of_a_nested_column_are_not_known() -> None:
    rows = pa.record_batch({"id": pa.array([1]), "v": pa.array([[1]])})
    assert known_types(rows) == {"id": {"integer"}, "v": TYPES}
