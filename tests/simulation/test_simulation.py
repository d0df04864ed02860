"""The whole delivery in virtual time, with the invariants checked after every step.

More seeds: `make soak`. One seed, step by step: `python -m tests.simulation SEED`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.simulation import threads
from tests.simulation.outage import ANSWER_SECONDS, BEGINS, ENDS, FAILURES, Outage
from tests.simulation.settings import Settings
from tests.simulation.world import World

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = 400
MUST_HAPPEN = {
    *("200", "201", "202", "204", "302", "401", "404", "413", "5xx", "2xx that says error"),
    *("2xx, unclear", "2xx of another service"),
    *("400 for nothing", "cut off", "reset before", "reset after"),
    *(f"{status}, hint {hint}" for status in (400, 422) for hint in ("right", "wrong", "none")),
    *(f"busy, Retry-After {form}" for form in ("seconds", "date", "negative", "junk", "none")),
    *("timeout, stored", "timeout, not stored", "outage, refused", "outage, 503"),
    *(f"ended with {status}" for status in (65, 69, 74, 76, 77, 143)),
    *("crash", "signal", "disk full", "a state line cut off", "the clock stepped back"),
    *("no room to read", "deadline", "wait", "sent again", "throttled", "duplicates"),
    *("set aside by the local check", "set aside by the service"),
    *("everything refused", "activation set aside"),
}


def test_the_invariants_hold_through_everything_that_can_happen() -> None:
    """Also, everything in `MUST_HAPPEN` does happen in at least one seed."""
    happened: Counter[str] = Counter()
    for seed in range(SEEDS):
        world = World(seed)
        try:
            world.simulate()
        except Exception as error:
            raise AssertionError(f"{error}: python -m tests.simulation {seed}") from error
        happened += world.counters
    assert MUST_HAPPEN - set(happened) == set()


def test_the_real_runner_and_its_threads_keep_the_invariants(tmp_path: Path) -> None:
    """The parts that the simulation replaces; a run that hangs hits the test's timeout."""
    ends = Counter(threads.run_seed(seed, tmp_path) for seed in range(100))
    assert set(ends) == threads.EXPECTED_ENDS


@pytest.mark.parametrize("how", FAILURES)
def test_a_ten_minute_outage_has_bounded_memory_and_requests(how: str) -> None:
    """Memory stays bounded, few requests are sent, and a minute later the rate is as before."""
    settings = Settings()
    seen = Outage.simulated(how, seed=1, settings=settings)
    a_chunk_and_its_cost = 400_000
    assert seen.max_held_bytes <= settings.max_buffer_bytes + a_chunk_and_its_cost
    assert seen.requests_between(BEGINS + 60, ENDS) < 200, "about one in four seconds"
    before = seen.bytes_between(BEGINS - 20, BEGINS)
    at_full_speed = 20 / ANSWER_SECONDS * settings.max_in_flight * settings.max_bytes
    assert before >= 0.9 * at_full_speed
    assert seen.bytes_between(BEGINS + ANSWER_SECONDS + 1, ENDS) == 0
    assert seen.bytes_between(ENDS + 60, ENDS + 80) >= 0.9 * at_full_speed
