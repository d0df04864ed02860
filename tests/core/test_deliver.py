"""How one batch gets through: what its delivery asks for, answer by answer."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.batching.buffers import Limits
from target_stitch_import.delivery.deliver import (
    Attempt,
    DeliveryRules,
    Judgement,
    LimitLearned,
    Outcome,
    Settled,
    Step,
    Store,
)
from target_stitch_import.delivery.deliver import deliver as deliver_batch
from target_stitch_import.delivery.verdict import Acknowledged, Rejected, TooLarge, Verdict
from tests.support.pipelines import feed, pipeline
from tests.support.singer import record, schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.batching.payload import Batch


def seen_through(batch: Batch, answer: Callable[[Batch], Verdict]) -> list[Step]:
    """Return what the delivery of `batch` asks for, its attempts answered by `answer`."""
    rules = DeliveryRules(max_retry_seconds=60, dead_letter=True, chance=lambda: 0.0)
    delivery = deliver_batch(batch, rules, Judgement())
    steps: list[Step] = []
    reply: Outcome | None = None
    with suppress(StopIteration):
        while True:
            step = delivery.send(reply)
            steps.append(step)
            reply = Outcome(answer(step.part), 0.0) if isinstance(step, Attempt) else None
    return steps


def batch_of(count: int, **limits: int) -> Batch:
    of = pipeline(Limits(**limits))
    feed(of, [schema(), *(record(number) for number in range(count))])
    of.close()
    (batch,) = of.ready
    return batch


@pytest.mark.parametrize("named", [None, 0, 63, 99_999])
def test_a_service_that_names_the_wrong_record_is_asked_little_more(named: int | None) -> None:
    """A hint that was wrong once is not followed again: about 2 log2 n requests, and one."""

    def answer(part: Batch) -> Verdict:
        at_fault = any(message.data == b'{"id": 40}' for message in part.messages())
        return Rejected("no", named) if at_fault else Acknowledged()

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
    assert learned[0] == batch.size // 2
    assert most / 2 < min(learned) <= most
