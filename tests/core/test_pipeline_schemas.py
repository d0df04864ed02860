"""SCHEMA messages in the pipeline: which batches they open and close."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest

from target_stitch_import.errors import InputError
from tests.support.defaults import limits, pipeline
from tests.support.pipelines import feed, settle, take
from tests.support.singer import record, schema


def test_identical_schemas_change_nothing() -> None:
    of = pipeline()
    reordered = {"key_properties": ["id"], **schema()}
    respaced = json.dumps(schema(), indent=None, separators=(" , ", " : "))
    feed(of, [schema(), record(1), reordered, record(2), respaced, record(3)])
    of.close()
    assert [batch.count for batch in take(of)] == [3]


@pytest.mark.parametrize(
    ("other", "at_once"),
    [
        (schema(keys=("id", "name")), [1]),
        (schema(name={"type": "string"}), []),
        (schema() | {"bookmark_properties": ["id"]}, []),
    ],
)
def test_a_changed_schema_opens_another_batch(other: Any, at_once: list[int]) -> None:
    """And closes the first one if the keys changed."""
    of = pipeline()
    feed(of, [schema(), record(1, name="x"), other, record(2, name="x")])
    assert [batch.count for batch in take(of)] == at_once
    of.close()
    assert [batch.count for batch in take(of)] == [1, 1][len(at_once) :]


def test_schemas_that_alternate_with_each_record_keep_a_batch_each() -> None:
    """One batch for each schema, with sequences in the order of the input."""
    of = pipeline()
    flipping = [schema(), schema(big={}), schema(big={"type": "string"})]
    messages = [each for n in range(30) for each in (flipping[n % 3], record(n))]
    activate = {"type": "ACTIVATE_VERSION", "stream": "people", "version": 1}
    feed(of, [*messages, activate])
    batches = take(of)
    assert [batch.count for batch in batches] == [10, 10, 10]
    ids = [json.loads(each.data)["id"] for batch in batches for each in batch.messages()]
    assert ids == [*range(0, 30, 3), *range(1, 30, 3), *range(2, 30, 3)]
    sequences = {
        json.loads(each.data)["id"]: each.span.sequence
        for batch in batches
        for each in batch.messages()
    }
    assert sorted(sequences, key=sequences.__getitem__) == [*range(30)]
    settle(of, *batches[:2])
    assert not take(of), "the activation waits for all of them"
    settle(of, batches[2])
    assert [batch.barrier for batch in take(of)] == [True]


def test_a_schema_is_completed_with_its_keys() -> None:
    """The Import API requires keys to be in `properties`, and some taps declare none there."""
    of = pipeline(limits(max_rows=1))
    message = {"type": "SCHEMA", "stream": "s", "schema": {"type": "object"}}
    feed(of, [message | {"key_properties": ["a", "b"]}, record(1, "s", a=1, b=2)])
    body = json.loads(of.ready[0].body)
    assert body["schema"] == {"type": "object", "properties": {"a": {}, "b": {}}}


@pytest.mark.parametrize(
    ("described", "place"),
    [
        ({"type": "string", "properties": {}}, "#/type"),
        ({"type": ["null", "array"], "properties": {"id": {}}}, "#/type"),
        ({"properties": {"id": {"type": ["object", "null"]}}}, "#/properties/id/type"),
        ({"properties": {"id": {"$ref": "#/x"}}, "x": {"type": "array"}}, "#/x/type"),
    ],
)
@pytest.mark.parametrize("validate", [True, False])
def test_a_schema_that_no_record_satisfies_is_refused(
    described: Any,
    place: str,
    validate: bool,  # noqa: FBT001
) -> None:
    """And not as an error of each record, which no setting could avoid."""
    message = schema() | {"schema": described}
    with pytest.raises(InputError) as caught:
        feed(pipeline(validate_records=validate), [schema("other"), message])
    words = str(caught.value)
    assert "Line 2: SCHEMA of stream `people` is not a schema that" in words
    assert f"at `{place}`: no record fits it" in words
    assert "dead_letter" not in words


def test_schemas_that_change_again_and_again_take_bounded_memory() -> None:
    """Only the last few schemas are kept."""
    of = pipeline()

    def held_after(first: int, last: int) -> int:
        for number in range(first, last):
            names = (f"c{number}_{n:0200}" for n in range(300))
            columns: dict[str, Any] = {name: {"type": "string"} for name in names}
            feed(of, [schema(**columns)])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_a_few, after_many = held_after(0, 20), held_after(20, 50)
    finally:
        tracemalloc.stop()
    assert after_many < 1.2 * after_a_few
