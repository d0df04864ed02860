"""How many requests may be in flight: fewer while the service pushes back, one while it is away.

Law: never more than the user allows, never none; what was taken back comes back once the service
is well. Pure: the caller tells what happened.
"""

from __future__ import annotations

FAILURES_BEFORE_PROBING = 3
SLOW_FACTOR = 4.0
SLOW_AT_LEAST_SECONDS = 2.0
_USUAL_SHARE = 0.9


class Throttle:
    """Counts requests in flight against a limit that moves.

    It halves when the service pushes back, shrinks by a tenth when answers take far longer than
    usual, and grows by one for about as many good answers as it allows. After a run of failures
    it lets one request at a time probe, until one is answered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._in_flight = 0
        self._failures = 0
        self._usual_seconds: float | None = None

    @property
    def allowed(self) -> int:
        """How many requests may be in flight now."""
        return 1 if self._failures >= FAILURES_BEFORE_PROBING else int(self._limit)

    def may_enter(self) -> bool:
        """Tell whether one more request may go out."""
        return self._in_flight < self.allowed

    def enter(self) -> None:
        """Note that a request goes out."""
        self._in_flight += 1

    def leave(self, *, well: bool, seconds: float) -> None:
        """Note that a request was answered after `seconds`, well or not."""
        self._in_flight -= 1
        if not well:
            self._failures += 1
            self._limit = max(1.0, self._limit / 2)
            return
        self._failures = 0
        usual = self._usual_seconds
        if usual is not None and seconds > max(SLOW_FACTOR * usual, SLOW_AT_LEAST_SECONDS):
            self._limit = max(1.0, self._limit * 0.9)
        else:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
        # What is usual moves slowly, so that a service getting slower is noticed first.
        self._usual_seconds = (
            seconds if usual is None else _USUAL_SHARE * usual + (1 - _USUAL_SHARE) * seconds
        )
