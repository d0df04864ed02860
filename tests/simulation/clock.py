"""The simulated clock: appointments in the order of their time, those at one time in any order."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


@dataclass(order=True)
class _Appointment:
    time: float
    chance: float
    number: int
    action: Callable[[], None] = field(compare=False)


class Clock:
    """Seconds since the start, and what is to be done when."""

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self._random = random
        self._made = 0
        self._appointments: list[_Appointment] = []

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do `action` once `time` has come."""
        self._made += 1
        appointment = _Appointment(time, self._random.random(), self._made, action)
        heapq.heappush(self._appointments, appointment)

    def next(self) -> float:
        """Return the time of the next appointment; infinity without one."""
        return self._appointments[0].time if self._appointments else float("inf")

    def keep_one(self) -> None:
        """Go on to the next appointment and keep it."""
        appointment = heapq.heappop(self._appointments)
        self.now = max(self.now, appointment.time)
        appointment.action()
