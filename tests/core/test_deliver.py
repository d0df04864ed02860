"""How long a body is tried: to the last of `max_retry_seconds`, and no longer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.delivery.deliver import (
    DeliveryRules,
    Outcome,
    Wait,
    until_answered,
)
from target_stitch_import.delivery.verdict import TryAgain
from target_stitch_import.errors import ServiceUnavailableError


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
    assert made[-1] == pytest.approx(most)


def test_a_wait_that_is_asked_for_and_goes_beyond_the_time_ends_the_run_at_once() -> None:
    assert tries(40.0, [], asked=41.0) == [0.0]


def test_no_time_means_one_try() -> None:
    assert tries(0.0, []) == [0.0]
