"""How one batch gets through: what its delivery asks for, answer by answer."""

from __future__ import annotations

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
from target_stitch_import.errors import ServiceUnavailableError
from tests.support.defaults import pipeline
from tests.support.pipelines import feed
from tests.support.singer import record, schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.batching.payload import Batch


def seen_through(batch: Batch, answer: Callable[[Batch], Verdict]) -> list[Step]:
    """Return what the delivery of `batch` asks for, its attempts answered by `answer`."""
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


@pytest.mark.parametrize("named", [None, 0, 63, 99_999])
def test_a_service_that_names_the_wrong_record_is_asked_little_more(named: int | None) -> None:
    """A hint that was wrong once is not followed again: about 2 log2 n requests, and one."""

    def answer(part: Batch) -> Verdict:
        at_fault = any(message.data == b'{"id": 40}' for message in part.messages())
        return BodyRefused("no", named) if at_fault else Acknowledged()

    steps = seen_through(batch_of(128), answer)
    assert sum(isinstance(step, Attempt) for step in steps) <= 2 * 7 + 3
    (letters,) = [step for step in steps if isinstance(step, Store)]
    assert [letter.record for letter in letters.records] == [b'{"id": 40}']
    assert sum(step.part.count for step in steps if isinstance(step, Settled)) == 128


def test_what_the_service_takes_is_learned_from_what_it_does_not_take() -> None:
    """Each 413 teaches half the size of its body, which later batches keep to."""
    batch = batch_of(100)
    most = batch.size // 3

    def answer(part: Batch) -> Verdict:
        return TooLarge("413") if part.size > most else Acknowledged()

    steps = seen_through(batch, answer)
    learned = [step.max_bytes for step in steps if isinstance(step, LimitLearned)]
    assert learned[:1] == [batch.size // 2]
    assert most / 2 < min(learned) <= most


@dataclass(frozen=True)
class Body:
    """A part that is never taken."""

    stream: str = "people"
    body: bytes = b"{}"
    size: int = 2


def tries(max_retry_seconds: float, chances: list[float], asked: float = 0.0) -> list[float]:
    """Return when each try of a body was made; each takes no time, and fails."""
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
def test_the_last_try_is_made_when_the_time_is_up(chances: list[float], most: float) -> None:
    made = tries(most, chances)
    assert made == sorted(made)
    assert made[-1] == pytest.approx(most, abs=LEAST_LEFT_SECONDS)


def test_a_wait_that_is_asked_for_and_goes_beyond_the_time_ends_the_run_at_once() -> None:
    assert tries(40.0, [], asked=41.0) == [0.0]


def test_no_time_means_one_try() -> None:
    assert tries(0.0, []) == [0.0]
