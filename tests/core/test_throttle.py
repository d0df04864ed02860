"""The throttle: it is bounded, backs off, and recovers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.delivery.throttle import FAILURES_BEFORE_PROBING, Throttle


def answer(throttle: Throttle, *, well: bool, seconds: float = 0.1) -> None:
    throttle.enter()
    throttle.leave(succeeded=well, seconds=seconds)


@given(st.integers(1, 16), st.lists(st.tuples(st.booleans(), st.floats(0, 60)), max_size=80))
def test_the_limit_stays_between_one_and_the_user_s(
    most: int, answers: list[tuple[bool, float]]
) -> None:
    throttle = Throttle(most)
    for well, seconds in answers:
        assert throttle.may_enter(), "with nothing in flight one may always go"
        answer(throttle, well=well, seconds=seconds)
        assert 1 <= throttle.allowed <= most


def test_no_more_requests_start_than_allowed() -> None:
    throttle = Throttle(2)
    throttle.enter()
    assert throttle.may_enter()
    throttle.enter()
    assert not throttle.may_enter()
    throttle.leave(succeeded=True, seconds=0)
    assert throttle.may_enter()


def test_a_failure_halves_the_limit_and_successes_restore_it() -> None:
    throttle = Throttle(16)
    answer(throttle, well=False)
    assert throttle.allowed == 8
    answer(throttle, well=False)
    assert throttle.allowed == 4
    answer(throttle, well=True)
    assert throttle.allowed == 4, "slowly: about as many answers as it allows for one more"
    for _ in range(120):
        answer(throttle, well=True)
    assert throttle.allowed == 16


def test_repeated_failures_allow_one_request_until_a_success() -> None:
    throttle = Throttle(64)
    for _ in range(FAILURES_BEFORE_PROBING):
        answer(throttle, well=False)
    assert throttle.allowed == 1
    answer(throttle, well=True)
    assert throttle.allowed == 8


def test_much_slower_responses_lower_the_limit() -> None:
    throttle = Throttle(10)
    for _ in range(20):
        answer(throttle, well=True, seconds=0.5)
    for _ in range(3):
        answer(throttle, well=True, seconds=30)
    assert throttle.allowed < 10
