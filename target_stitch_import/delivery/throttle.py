"""Limits the requests in flight: fewer while the service pushes back, one while it is down.

Invariant: the limit is never more than the user allows, and never zero; it recovers when the
service does.
"""

from __future__ import annotations

FAILURES_BEFORE_PROBING = 3
SLOW_FACTOR = 4.0
SLOW_AT_LEAST_SECONDS = 2.0
_USUAL_SHARE = 0.9


class Throttle:
    """Counts requests in flight against a limit that moves.

    The limit halves after a failure, shrinks by a tenth when a response takes far longer than
    usual, and grows by about one for every `limit` successes. After several failures in a row only
    one request at a time is sent, as a probe, until one succeeds.
    """

    def __init__(self, max_in_flight: int) -> None:
        self._max_in_flight = max_in_flight
        self._limit = float(max_in_flight)
        self._in_flight = 0
        self._failures = 0
        self._usual_seconds: float | None = None

    @property
    def allowed(self) -> int:
        """How many requests may be in flight now."""
        return 1 if self._failures >= FAILURES_BEFORE_PROBING else int(self._limit)

    def may_enter(self) -> bool:
        """Return whether one more request may be sent."""
        return self._in_flight < self.allowed

    def enter(self) -> None:
        """Note that a request is being sent."""
        self._in_flight += 1

    def leave(self, *, succeeded: bool, seconds: float) -> None:
        """Note that a request ended after `seconds`, and whether it succeeded."""
        self._in_flight -= 1
        if not succeeded:
            self._failures += 1
            self._limit = max(1.0, self._limit / 2)
            return
        self._failures = 0
        usual = self._usual_seconds
        if usual is not None and seconds > max(SLOW_FACTOR * usual, SLOW_AT_LEAST_SECONDS):
            self._limit = max(1.0, self._limit * 0.9)
        else:
            self._limit = min(float(self._max_in_flight), self._limit + 1 / self._limit)
        # The usual time changes slowly, so that a service that becomes slower is noticed.
        self._usual_seconds = (
            seconds if usual is None else _USUAL_SHARE * usual + (1 - _USUAL_SHARE) * seconds
        )
