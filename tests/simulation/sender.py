"""The sender of a simulated run: deliveries take turns instead of running in threads.

It does what `run/sender` does; every wait is an action on the simulated clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_stitch_import.delivery.deliver import (
    Attempt,
    Delivery,
    DeliveryRules,
    LimitLearned,
    Outcome,
    Settled,
    Step,
    Store,
    Wait,
    deliver,
)
from target_stitch_import.delivery.throttle import Throttle
from target_stitch_import.delivery.tolerance import RefusalStreak
from target_stitch_import.delivery.verdict import TryAgain, judge
from target_stitch_import.errors import TargetError
from tests.simulation.invariants import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.pipeline import Pipeline
    from tests.simulation.clock import Clock
    from tests.simulation.dead_letters import DeadLetterFile
    from tests.simulation.referee import Referee
    from tests.simulation.service import Fate, Service
    from tests.simulation.settings import Settings


@dataclass(eq=False)
class _Sending:
    """A batch that is being delivered."""

    batch: Batch
    steps: Delivery
    body: bytes = b""
    not_before: float = 0.0


@dataclass(eq=False)
class Sender:
    """Delivers the ready batches of `pipeline`.

    Args:
        wall_clock: Returns seconds since 1970.
        after: Schedules an action for so many seconds from now, as one step of the run.
        fail: Called with the error that ends the run.
    """

    pipeline: Pipeline
    settings: Settings
    clock: Clock
    random: Random
    service: Service
    dead_letters: DeadLetterFile
    invariants: Referee
    sometimes: Callable[[str], None]
    wall_clock: Callable[[], float]
    after: Callable[[float, Callable[[], None]], None]
    fail: Callable[[TargetError], None]
    ambiguous: bool = False
    """Whether a request may have been processed without an acknowledgement."""
    under_way: int = 0
    """The number of batches that are being delivered."""

    def __post_init__(self) -> None:
        settings = self.settings
        self._throttle = Throttle(settings.max_in_flight)
        self._streak = RefusalStreak()
        self._rules = DeliveryRules(
            settings.max_retry_seconds, settings.dead_letter, self.random.random
        )
        self._stopped = False
        self._queue: deque[Batch] = deque()
        self._waiting_attempts: list[tuple[_Sending, Attempt[Batch]]] = []
        self._requests_in_flight = 0

    def submit(self) -> None:
        """Take the ready batches, and begin to deliver as many as may be delivered at once."""
        while self._queue and self._stopped:
            self.pipeline.released(self._queue.popleft())
        while self.pipeline.ready:
            batch = self.pipeline.ready.popleft()
            self.invariants.handed(batch)
            if self._stopped:
                self.pipeline.released(batch)  # this can make more batches ready
            else:
                self._queue.append(batch)
        while self._queue and self.under_way < self.settings.max_in_flight:
            batch = self._queue.popleft()
            self.under_way += 1
            sending = _Sending(batch, deliver(batch, self._rules, self._streak))
            self.after(0.0, lambda sending=sending: self._go_on(sending, None))  # type: ignore[misc]

    def stop(self) -> None:
        """Send no more requests; batches are released when their requests have ended."""
        self._stopped = True
        for sending, _ in self._waiting_attempts:
            self._released(sending)
        self._waiting_attempts.clear()

    def _go_on(self, sending: _Sending, reply: Outcome | None) -> None:
        """Execute the steps of a delivery until it has to wait."""
        try:
            while self._do(sending, sending.steps.send(reply)):
                reply = None
        except StopIteration:
            self._released(sending)
        except TargetError as error:
            self._released(sending)
            self.fail(error)

    def _do(self, sending: _Sending, step: Step) -> bool:
        """Execute one step of a delivery; return whether the next one can follow at once."""
        match step:
            case Attempt():
                self._waiting_attempts.append((sending, step))
                self._send_waiting()
                return False
            case Wait():
                self.sometimes("wait")
                self.after(step.seconds, lambda: self._waited(sending))
                return False
            case Store():
                self.dead_letters.write(step.records)
                self.sometimes("set aside by the service")
                self.invariants.set_aside(step.records)
            case Settled(part, set_aside):
                self.pipeline.settled(part, set_aside)
            case LimitLearned(max_bytes):
                self.pipeline.learn_limit(max_bytes)
        return True

    def _waited(self, sending: _Sending) -> None:
        if self._stopped:
            self._released(sending)
        else:
            self._go_on(sending, None)

    def _released(self, sending: _Sending) -> None:
        self.under_way -= 1
        self.pipeline.released(sending.batch)

    def _send_waiting(self) -> None:
        while self._waiting_attempts and not self._stopped and self._throttle.may_enter():
            at = self.random.randrange(len(self._waiting_attempts))
            self._attempt(*self._waiting_attempts.pop(at))
        if self._waiting_attempts and self._requests_in_flight < self.settings.max_in_flight:
            self.sometimes("throttled")

    def _attempt(self, sending: _Sending, attempt: Attempt[Batch]) -> None:
        self._throttle.enter()
        self._requests_in_flight += 1
        require(self._requests_in_flight <= self.settings.max_in_flight, "too many requests")
        now = self.clock.now
        require(now >= sending.not_before - 1e-6, "sent again before `Retry-After` allows it")
        if attempt.again:
            self.sometimes("sent again")
            require(attempt.part.body == sending.body, "a repeated request is not byte-identical")
        sending.body = attempt.part.body
        self.invariants.sent(attempt.part, attempt.part.body)
        fate = self.service.fate(attempt.part.body, now)
        if fate.stores:
            # The service stores it even if nobody waits for the response any more.
            store = now + fate.seconds * self.random.random()
            self.clock.at(store, lambda: self.service.store(attempt.part.body))
        self.after(fate.seconds, lambda: self._answered(sending, attempt, fate))

    def _answered(self, sending: _Sending, attempt: Attempt[Batch], fate: Fate) -> None:
        now = self.clock.now
        self._requests_in_flight -= 1
        verdict = judge(fate.answer, self.wall_clock())
        self._throttle.leave(succeeded=not isinstance(verdict, TryAgain), seconds=fate.seconds)
        sending.not_before = now + fate.not_before_seconds
        self.ambiguous |= fate.is_ambiguous
        if fate.acknowledges:
            self.invariants.acknowledged(attempt.part)
        self._go_on(sending, Outcome(verdict, now))
        require(not fate.ends_the_run or self._stopped, "the run goes on after", fate.name)
        self._send_waiting()
