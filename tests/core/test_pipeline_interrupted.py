"""A run that is interrupted while it checks records: unchecked records never settle."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from target_stitch_import.errors import InputError, InterruptedRunError
from tests.support.defaults import pipeline
from tests.support.pipelines import feed, settle, take
from tests.support.singer import activate, record, schema, state

AT = {"type": "string", "pattern": "^(?!never)"}
ALONE = "looked at alone, as the linear engine has no lookahead"


def patient(looks: int) -> Any:
    """Return a `check_interrupt` that raises after so many calls."""
    numbers = count(1)

    def check_interrupt() -> None:
        if next(numbers) > looks:
            raise InterruptedRunError(15)

    return check_interrupt


def sent(given: Any) -> list[Any]:
    return [
        message["data"]["id"] if "data" in message else message["action"]
        for batch in take(given)
        for message in json.loads(batch.body)["messages"]
    ]


LOOKS_AT_SCHEMAS = 4
"""Two for each of two streams."""
OPENING = [schema("a", at=AT), schema("b", at={}), state(0)]


@pytest.mark.parametrize("looks", range(3))
def test_unchecked_records_hold_back_everything_after_them(looks: int) -> None:
    """No activation is sent, which would delete the missing rows, and no state is written."""
    subject = pipeline(check_interrupt=patient(LOOKS_AT_SCHEMAS + looks))
    versioned = [record(n, "a", at=ALONE, message={"version": 1}) for n in range(5)]
    with pytest.raises(InterruptedRunError):
        feed(subject, [*OPENING, *versioned, activate(1, "a"), state(1)])
    subject.close()
    assert sent(subject) == []
    assert subject.earned_state() == b"0"
    assert subject.counts()["a"].read == 5


def test_all_checked_records_are_sent() -> None:
    subject = pipeline(check_interrupt=patient(LOOKS_AT_SCHEMAS + 1))
    feed(subject, [*OPENING, record(1, "a", at=ALONE), state(1)])
    with pytest.raises(InterruptedRunError):
        feed(subject, [record(2, "a", at=ALONE), record(3, "b", at=ALONE), state(2)])
    subject.close()
    batches = list(subject.ready)
    assert sent(subject) == [1, 3]
    settle(subject, *batches)
    assert subject.earned_state() == b"1"


def test_reading_a_schema_can_be_interrupted() -> None:
    subject = pipeline(check_interrupt=patient(1))
    with pytest.raises(InterruptedRunError):
        feed(subject, [schema()])


def test_a_record_refused_before_the_interruption_is_reported() -> None:
    subject = pipeline(check_interrupt=patient(LOOKS_AT_SCHEMAS + 1))
    bad = [record(n, "a", at="never") for n in range(99)]
    with pytest.raises(InputError, match="Line 4"):
        feed(subject, [*OPENING, *bad])
