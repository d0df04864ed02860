"""The delivery of one batch: the steps that it yields, response by response."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.delivery.deliver import (
    LEAST_LEFT_SECONDS,
    Attempt,
    DeliveryRules,
    LimitLearned,
    Outcome,
    Settled,
    Step,
    Store,
    Wait,
    until_answered,
)
from target_stitch_import.delivery.deliver import deliver as deliver_batch
from target_stitch_import.delivery.tolerance import RefusalStreak
from target_stitch_import.delivery.verdict import (
    Acknowledged,
    BodyRefused,
    TooLarge,
    TryAgain,
    Verdict,
)
from target_stitch_import.errors import InputError, ServiceUnavailableError
from tests.support.defaults import pipeline
from tests.support.pipelines import feed
from tests.support.singer import record, schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.batching.payload import Batch


def steps_of(batch: Batch, answer: Callable[[Batch], Verdict]) -> list[Step]:
    """Return the steps of the delivery of `batch`, with `answer` as the verdict on attempts."""
    rules = DeliveryRules(max_retry_seconds=60, dead_letter=True, chance=lambda: 0.0)
    delivery = deliver_batch(batch, rules, RefusalStreak())
    steps: list[Step] = []
    reply: Outcome | None = None
    with suppress(StopIteration):
        while True:
            step = delivery.send(reply)
            steps.append(step)
            reply = Outcome(answer(step.part), 0.0) if isinstance(step, Attempt) else None
    return steps


def batch_of(count: int) -> Batch:
    of = pipeline()
    feed(of, [schema(), *(record(number) for number in range(count))])
    of.close()
    (batch,) = of.ready
    return batch


def id_of(part: Batch) -> int:
    """Return the `id` of the first record of a part."""
    record: dict[str, int] = json.loads(next(part.messages()).data)
    return record["id"]


def test_eight_single_records_refused_in_a_row_end_the_run() -> None:
    """The problem then seems to affect all records."""
    with pytest.raises(InputError, match="refused 8 single records in a row"):
        steps_of(batch_of(100), lambda _: BodyRefused("no"))


def test_seven_single_records_refused_in_a_row_are_set_aside() -> None:
    def answer(part: Batch) -> Verdict:
        return BodyRefused("no") if id_of(part) < 7 else Acknowledged()

    (stored,) = [each for each in steps_of(batch_of(100), answer) if isinstance(each, Store)]
    assert len(stored.records) == 7


def test_any_share_of_records_can_be_refused_if_not_in_a_row() -> None:
    """Only `dead_letter_limit` limits their number: here, 5 % of more than a thousand."""

    def answer(part: Batch) -> Verdict:
        bad = any(json.loads(each.data)["id"] % 20 == 0 for each in part.messages())
        return BodyRefused("no") if bad else Acknowledged()

    (stored,) = [each for each in steps_of(batch_of(1_200), answer) if isinstance(each, Store)]
    assert len(stored.records) == 60


@pytest.mark.parametrize("named", [None, 0, 63, 99_999])
def test_wrong_hints_cost_few_requests(named: int | None) -> None:
    """After a wrong hint, hints are ignored: about 2 log2 n requests, and one more."""

    def answer(part: Batch) -> Verdict:
        at_fault = any(message.data == b'{"id": 40}' for message in part.messages())
        return BodyRefused("no", named) if at_fault else Acknowledged()

    steps = steps_of(batch_of(128), answer)
    assert sum(isinstance(step, Attempt) for step in steps) <= 2 * 7 + 3
    (stored,) = [step for step in steps if isinstance(step, Store)]
    assert [each.record for each in stored.records] == [b'{"id": 40}']
    assert sum(step.part.count for step in steps if isinstance(step, Settled)) == 128


def test_the_size_limit_is_learned_from_refused_bodies() -> None:
    """Each 413 halves the limit, which later batches respect."""
    batch = batch_of(100)
    most = batch.size // 3

    def answer(part: Batch) -> Verdict:
        return TooLarge("413") if part.size > most else Acknowledged()

    steps = steps_of(batch, answer)
    learned = [step.max_bytes for step in steps if isinstance(step, LimitLearned)]
    assert learned[:1] == [batch.size // 2]
    assert most / 2 < min(learned) <= most


@dataclass(frozen=True)
class Body:
    """A part that is never accepted."""

    stream: str = "people"
    body: bytes = b"{}"
    size: int = 2


def tries(max_retry_seconds: float, chances: list[float], asked: float = 0.0) -> list[float]:
    """Return the time of each attempt; attempts take no time, and all fail."""
    waiting = iter(chances)
    rules = DeliveryRules(max_retry_seconds, dead_letter=False, chance=lambda: next(waiting, 0.5))
    conversation = until_answered(Body(), rules)
    now, made = 100.0, []
    step = next(conversation)
    while True:
        if isinstance(step, Wait):
            now += step.seconds
            step = conversation.send(None)
            continue
        made.append(now - 100.0)
        try:
            step = conversation.send(Outcome(TryAgain("503", asked), now))
        except ServiceUnavailableError:
            return made


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(1, 4000))
def test_the_last_attempt_is_made_when_the_time_is_up(chances: list[float], most: float) -> None:
    made = tries(most, chances)
    assert made == sorted(made)
    assert made[-1] == pytest.approx(most, abs=LEAST_LEFT_SECONDS)


def test_a_requested_wait_beyond_the_time_limit_ends_the_run_at_once() -> None:
    assert tries(40.0, [], asked=41.0) == [0.0]


def test_the_error_names_a_requested_wait_that_is_too_long() -> None:
    """Otherwise, a run that ends at once seems not to retry at all."""
    rules = DeliveryRules(max_retry_seconds=40.0, dead_letter=False, chance=lambda: 0.5)
    conversation = until_answered(Body(), rules)
    next(conversation)
    words = (
        r"after 1 attempt in 0 seconds: 503\. It asks for a wait of 7,200 seconds, longer than "
        r"what is left of `max_retry_seconds`\. What is not"
    )
    with pytest.raises(ServiceUnavailableError, match=words):
        conversation.send(Outcome(TryAgain("503", 7_200.0), 100.0))


def test_the_error_names_no_wait_if_none_was_requested() -> None:
    """Even when the last attempt ends after the time limit."""
    rules = DeliveryRules(max_retry_seconds=40.0, dead_letter=False, chance=lambda: 0.5)
    conversation = until_answered(Body(), rules)
    next(conversation)
    assert isinstance(conversation.send(Outcome(TryAgain("503"), 100.0)), Wait)
    conversation.send(None)
    words = r"after 2 attempts in 50 seconds: 503\. What is not"
    with pytest.raises(ServiceUnavailableError, match=words):
        conversation.send(Outcome(TryAgain("503"), 150.0))


def test_without_retry_time_one_attempt_is_made() -> None:
    assert tries(0.0, []) == [0.0]
