"""Sends batches from a bounded number of threads, and reports what is settled.

Invariant: a batch is delivered by one thread. When the run fails, no thread sends anything new.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeAlias

from msgspec import Struct

from target_stitch_import.delivery.deliver import (
    RUN_HINTS,
    Attempt,
    DeliveryRules,
    Hints,
    LimitLearned,
    Outcome,
    Settled,
    Store,
    Wait,
    deliver,
)
from target_stitch_import.delivery.throttle import Throttle
from target_stitch_import.delivery.tolerance import RefusalStreak
from target_stitch_import.delivery.verdict import TryAgain, Verdict, judge
from target_stitch_import.errors import TargetError, internal_error
from target_stitch_import.report.stats import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.delivery.answer import Answer
    from target_stitch_import.run.dead_letter import DeadLetterSink


class Transport(Protocol):
    """Sends bodies to the Import API and returns the responses."""

    def send_batch(self, body: bytes, stream: str) -> Answer:
        """Send one body of `stream`, and return the response or the failure; never raise."""

    def close(self) -> None:
        """Close the connection."""


class SenderRules(Struct, frozen=True):
    """The user's settings for sending, and the hints for errors."""

    max_in_flight_requests: int
    max_retry_seconds: float
    hints: Hints = RUN_HINTS


class Released(Struct, frozen=True):
    """The sender has finished a batch after `seconds`, successfully or not.

    `succeeded` is None if the run ended before that was known.
    """

    batch: Batch
    seconds: float = 0.0
    succeeded: bool | None = None


class Failed(Struct, frozen=True):
    """The run cannot go on."""

    error: TargetError


Report: TypeAlias = Settled | Released | LimitLearned | Failed


class _StoppedError(Exception):
    """The sender was stopped while a batch waited to be sent or retried."""


class Sender:
    """Sends batches from its own threads.

    Args:
        connect: Returns a new transport; each thread has its own.
        wake: Called from any thread when there are new reports to process.
        note: Called from any thread with messages for the user, such as about retries.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        rules: SenderRules,
        dead_letters: DeadLetterSink,
        wake: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self.reports: deque[Report] = deque()
        self.traffic = Traffic()
        self._connect = connect
        self._rules = rules
        self._wake = wake
        self._note = note
        self._dead_letters = dead_letters
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._throttle = Throttle(rules.max_in_flight_requests)
        self._changed = threading.Condition()
        # Deliveries share `_streak`, so only one at a time computes its next step.
        self._deciding = threading.Lock()
        self._streak = RefusalStreak()
        self._delivery_rules = DeliveryRules(
            rules.max_retry_seconds, dead_letters.sets_aside, random.random, rules.hints
        )
        self._threads: list[threading.Thread] = []

    def submit(self, batch: Batch) -> None:
        """Queue `batch` to be sent; threads start when they are needed."""
        if len(self._threads) < self._rules.max_in_flight_requests:
            self._start_thread()
        self._batches.put(batch)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="sender", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
            return  # no more threads are available, and the running ones are enough
        self._threads.append(thread)

    def stop(self) -> None:
        """Stop sending and retrying; requests in flight continue."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Let the threads end after their current request, without waiting for them."""
        self.stop()
        for _ in self._threads:
            self._batches.put(None)

    # Everything below runs in the threads.

    def _work(self) -> None:
        transport: Transport | None = None
        while (batch := self._batches.get()) is not None:
            started = time.monotonic()
            succeeded: bool | None = None
            try:
                transport = transport or self._connect()
                if not self._stop.is_set():
                    self._deliver(batch, transport)
                    succeeded = True
            except _StoppedError:
                pass
            except TargetError as error:
                succeeded = False
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - a thread must not die in silence
                succeeded = False
                self._fail(internal_error(error))
            finally:
                self._report(Released(batch, time.monotonic() - started, succeeded))
            del batch  # an idle thread must hold no memory
        if transport:
            transport.close()

    def _fail(self, error: TargetError) -> None:
        """Stop all threads, and report the error that ends the run."""
        self.stop()
        self._report(Failed(error))

    def _report(self, report: Report) -> None:
        self.reports.append(report)
        self._wake()

    def _deliver(self, batch: Batch, transport: Transport) -> None:
        """Execute the steps of the delivery of `batch` until it is complete."""
        delivery = deliver(batch, self._delivery_rules, self._streak)
        reply: Outcome | None = None
        while True:
            try:
                with self._deciding:
                    step = delivery.send(reply)
            except StopIteration:
                return
            reply = None
            if isinstance(step, Settled | LimitLearned):
                # Reported together with the next report, because waking the main thread is costly.
                self.reports.append(step)
                continue
            if self.reports:
                self._wake()
            match step:
                case Attempt():
                    reply = Outcome(self._attempt(step, transport), time.monotonic())
                case Wait():
                    self._wait(step)
                case Store():
                    self._dead_letters.write(step.records)

    def _attempt(self, attempt: Attempt[Batch], transport: Transport) -> Verdict:
        with self._changed:
            while not self._throttle.may_enter() and not self._stop.is_set():
                self._changed.wait()
            if self._stop.is_set():
                raise _StoppedError
            self._throttle.enter()
            self.traffic.in_flight += 1
        started = time.monotonic()
        body = attempt.body
        answer = transport.send_batch(body, attempt.part.stream)
        seconds = time.monotonic() - started
        verdict = judge(answer, time.time(), body)
        with self._changed:
            self.traffic.in_flight -= 1
            self._note_availability(verdict, answer.status, started + seconds)
            allowed = self._throttle.allowed
            self._throttle.leave(succeeded=not isinstance(verdict, TryAgain), seconds=seconds)
            self._changed.notify_all()
            self.traffic.throttle_changes += self._throttle.allowed != allowed
            self._count(attempt, verdict, seconds)
        return verdict

    def _note_availability(self, verdict: Verdict, status: int | None, now: float) -> None:
        if isinstance(verdict, TryAgain):
            failure, reason = verdict.failure, verdict.reason
            self.traffic.availability.failed(now, status, failure, reason)
        else:
            self.traffic.availability.answered(now)

    def _count(self, attempt: Attempt[Batch], verdict: Verdict, seconds: float) -> None:
        traffic = self.traffic
        traffic.bytes_sent += attempt.part.size
        traffic.latencies.add(seconds)
        if attempt.again:
            traffic.retries += 1
            traffic.retries_by_stream[attempt.part.stream] += 1
        if isinstance(verdict, TryAgain) and verdict.ambiguous:
            traffic.possible_duplicates += 1
            traffic.possible_duplicates_by_stream[attempt.part.stream] += 1

    def _wait(self, wait: Wait) -> None:
        if wait.note:
            self._note(wait.note)
        thread, availability = threading.get_ident(), self.traffic.availability
        availability.note_wait(thread, time.monotonic() + wait.seconds)
        stopped = self._stop.wait(wait.seconds)
        availability.note_wait_over(thread)
        if stopped:
            raise _StoppedError
