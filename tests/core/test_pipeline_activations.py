"""Activations in the pipeline: when they are sent, wait, or are set aside."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest

from target_stitch_import.batching.payload import BodyPrefix
from tests.support.defaults import limits, pipeline
from tests.support.pipelines import feed, settle, take
from tests.support.singer import activate, record, schema, state


def test_replaced_versions_hold_no_memory() -> None:
    of = pipeline()
    feed(of, [schema("gone")])
    feed(of, [record(n, "gone", message={"version": n + 1}) for n in range(50)])
    of.close()
    settle(of, *take(of))
    gc.collect()  # what earlier tests left in cycles
    prefixes = [each for each in gc.get_objects() if isinstance(each, BodyPrefix)]
    assert len([each for each in prefixes if b'"gone"' in each.encoded]) <= 1


def test_the_activation_of_an_incomplete_version_is_set_aside_after_its_record() -> None:
    of = pipeline(dead_letter=True)
    feed(
        of, [schema(), record(1, message={"version": 7}), record(2, id="x", message={"version": 7})]
    )
    feed(of, [activate(7), record(3, message={"version": 8}), activate(8), state(1)])
    assert [each.is_activation for each in of.to_set_aside] == [False], "it waits for its turn"
    (first,) = take(of)
    settle(of, first)
    assert [each.is_activation for each in of.to_set_aside] == [False, True]
    assert json.loads(of.to_set_aside[1].prefix.arguments)["table_version"] == 7
    (eighth,) = take(of)
    assert (eighth.version, eighth.count) == (8, 1), "what comes behind goes on"
    settle(of, eighth)
    settle(of, *take(of))
    assert of.earned_state() is None
    while of.to_set_aside:
        of.set_aside(of.to_set_aside.popleft())
    assert of.earned_state() == b"1"
    counts = of.counts()["people"]
    assert (counts.read, counts.acknowledged, counts.set_aside) == (5, 3, 2)
    assert counts.ready_or_in_flight == 0
    (notice,) = of.notices
    assert "version 7 is not activated" in notice.text
    assert "keeps its previous version" in notice.text


@pytest.mark.parametrize(
    ("rules", "sent"),
    [
        ({}, False),
        ({"activate_incomplete_versions": True}, True),
        ({"table_prefix": "raw_"}, False),
        ({"table_prefix": "other_"}, True),
    ],
)
def test_a_version_that_an_earlier_run_left_incomplete_is_not_activated(
    rules: dict[str, Any],
    sent: bool,  # noqa: FBT001
) -> None:
    """If that run wrote to the same table."""
    of = pipeline(dead_letter=True, **rules)
    of.note_lacking("raw_people" if "table_prefix" in rules else "people", 7)
    feed(of, [schema(), activate(7)])
    assert [batch.barrier for batch in take(of)] == [True] * sent
    assert len(of.to_set_aside) == (not sent)


@pytest.mark.parametrize(("version", "noted"), [(8, [8]), (7, []), (6, [])])
def test_an_activation_that_replaces_an_incomplete_version_is_recorded(
    version: int, noted: list[int]
) -> None:
    """Only once, after it is acknowledged."""
    of = pipeline(dead_letter=True, activate_incomplete_versions=True)
    of.note_lacking("people", 7)
    feed(of, [schema(), activate(version)])
    (sent,) = take(of)
    assert not of.replacements_to_record
    settle(of, sent)
    assert [each.version for each in of.replacements_to_record if each.activated] == noted
    of.replacements_to_record.clear()
    feed(of, [activate(9), activate(10)])
    while batches := take(of):
        settle(of, *batches)
    assert [each.version for each in of.replacements_to_record] == ([] if noted else [9])


def test_an_activation_before_the_bad_record_is_sent() -> None:
    of = pipeline(dead_letter=True)
    feed(of, [schema(), record(1, message={"version": 7}), activate(7)])
    feed(of, [record(2, id="x", message={"version": 7})])
    settle(of, *take(of))
    assert [batch.barrier for batch in take(of)] == [True]


def test_an_activation_waits_for_its_schema() -> None:
    """The state after it waits, too; its sequence is that of its place in the input."""
    of = pipeline()
    feed(of, [schema("b"), activate(3), record(1, "b"), state(1)])
    of.close()
    (other,) = take(of)
    settle(of, other)
    assert of.earned_state() is None
    feed(of, [schema(), record(1, message={"version": 3})])
    (batch,) = take(of)
    assert (batch.stream, batch.barrier, batch.version) == ("people", True, 3)
    assert batch.first_sequence < other.first_sequence
    of.close()
    assert not take(of), "records wait for it"
    settle(of, batch)
    assert of.earned_state() == b"1"
    assert [each.barrier for each in take(of)] == [False]


def test_an_activation_without_a_schema_is_dropped_at_the_end_of_the_input() -> None:
    of = pipeline(limits(max_age_seconds=10))
    feed(of, [activate(3), activate(4), state(1)])
    assert of.next_deadline() == 10.0
    of.expire(9.0)
    assert not of.notices
    of.expire(10.0)
    assert [notice.text for notice in of.notices] == [
        "ACTIVATE_VERSION came before its SCHEMA; states wait for it"
    ]
    assert of.next_deadline() == float("inf")
    of.close()
    assert of.earned_state() is None, "a signal or a bad line ended the reading"
    of.end()
    assert of.earned_state() == b"1"
    assert "without a SCHEMA: there is no table" in of.notices[1].text
    assert of.counts() == {}


def test_activation_can_be_switched_off() -> None:
    of = pipeline(process_activate_version_messages=False)
    feed(of, [schema(), {"type": "ACTIVATE_VERSION", "stream": "people", "version": 7}, state(1)])
    assert take(of) == []
    assert of.earned_state() == b"1"


def test_another_version_closes_the_batch() -> None:
    of = pipeline()
    versions = [1, 1, 2, None]
    feed(of, [schema(), *(record(v or 0, message={"version": v} if v else {}) for v in versions)])
    of.close()
    assert [(batch.version, batch.count) for batch in take(of)] == [(1, 2), (2, 1), (None, 1)]
