"""The simulated clock: a queue of actions by time, in random order if their times are equal."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(order=True)
class _Action:
    time: float
    chance: float
    number: int
    action: Callable[[], None] = field(compare=False)


class Clock:
    """Seconds since the start, and the actions that are due later."""

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self._random = random
        self._made = 0
        self._actions: list[_Action] = []

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Schedule `action` for `time`."""
        self._made += 1
        scheduled = _Action(time, self._random.random(), self._made, action)
        heapq.heappush(self._actions, scheduled)

    def next(self) -> float:
        """Return the time of the next action; infinity if there is none."""
        return self._actions[0].time if self._actions else float("inf")

    def run_next(self) -> None:
        """Advance to the time of the next action, and run it."""
        scheduled = heapq.heappop(self._actions)
        self.now = max(self.now, scheduled.time)
        scheduled.action()
