"""One run of the target in simulated time: the package's pure parts, with threads left out.

It does what `runner` and `sender` do; every wait is an appointment with the clock.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

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
from target_stitch_import.delivery.tolerance import RefusalRate
from target_stitch_import.delivery.verdict import TryAgain, judge
from target_stitch_import.errors import InputError, InterruptedRunError, OutputError, TargetError
from target_stitch_import.singer.messages import (
    ActivateVersion,
    MalformedRecord,
    MessageLines,
    Records,
)
from target_stitch_import.singer.reader import Reader
from tests.simulation.laws import Laws, demand
from tests.simulation.service import WALL_CLOCK, Fate
from tests.support.rules import limits, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from random import Random

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.pipeline import Pipeline
    from target_stitch_import.batching.set_aside import SetAside
    from target_stitch_import.singer.messages import Event
    from tests.simulation.clock import Clock
    from tests.simulation.service import Service
    from tests.simulation.settings import Settings
    from tests.simulation.tap import Input

GRACE_SECONDS = 20.0


class Referee(Protocol):
    """What is told of a run; `laws` has the one that is strict."""

    @property
    def known(self) -> Collection[int]: ...
    def read(self, end: int, now: float, *, last_line: int | None = None) -> None: ...
    def ended(self) -> None: ...
    def failed(self) -> None: ...
    def handed(self, batch: Batch) -> None: ...
    def sent(self, part: Batch, body: bytes) -> None: ...
    def acknowledged(self, part: Batch) -> None: ...
    def set_aside(self, records: Iterable[SetAside]) -> None: ...
    def state_written(self, text: bytes) -> None: ...
    def check(self, now: float, held_bytes: int) -> None: ...
    def check_end(self) -> None: ...


class DeadLetterFile:
    """What is safe on the simulated disk; it outlives the runs."""

    def __init__(self, random: Random, sometimes: Callable[[str], None]) -> None:
        self._random = random
        self._sometimes = sometimes
        self.trouble = 0.0
        """How likely the disk is full."""
        self.safe: list[bytes] = []
        self.lacking: set[tuple[str, int]] = set()
        """The versions of each stream that lack a record, until that is repaired."""

    def write(self, records: Sequence[SetAside]) -> None:
        """Keep `records`, or raise `OutputError`."""
        if self._random.random() < self.trouble:
            self._sometimes("disk full")
            raise OutputError("The dead-letter file cannot be written.")
        self.safe += [each.record for each in records if each.record is not None]
        self.lacking |= {
            (each.stream, each.version)
            for each in records
            if each.version and not each.is_activation
        }


@dataclass(eq=False)
class _Sending:
    """A batch on its way."""

    batch: Batch
    steps: Delivery
    body: bytes = b""
    not_before: float = 0.0


@dataclass(eq=False)
class Process:
    """A run of the target over `given`; `over` tells when it has ended, `error` how."""

    given: Input
    settings: Settings
    clock: Clock
    random: Random
    service: Service
    dead_letters: DeadLetterFile
    sometimes: Callable[[str], None]
    on_state: Callable[[bytes], None]
    on_sequence: Callable[[int, int], None] = lambda _, __: None
    """Told the sequence of each activation, and its place in the tap's output."""
    referee: Referee | None = None
    over: bool = False
    alive: bool = True
    error: TargetError | None = None
    ambiguous: bool = False
    requests: int = 0
    pipeline: Pipeline = field(init=False)
    laws: Referee = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        batches = limits(
            max_bytes=settings.max_bytes,
            max_rows=settings.max_rows,
            max_age_seconds=settings.delay_seconds,
        )
        self.pipeline = pipeline(
            batches,
            dead_letter=settings.dead_letter,
            max_buffer_bytes=settings.max_buffer_bytes,
            max_in_flight_requests=settings.max_in_flight,
        )
        self.laws = self.referee or Laws(
            self.given,
            self.pipeline,
            settings,
            frozenset(self.dead_letters.lacking),
            self.on_sequence,
        )
        for stream, version in self.dead_letters.lacking:
            self.pipeline.lacks(stream, version)
        self.throttle = Throttle(settings.max_in_flight)
        self._reader = Reader(MessageLines())
        self._refusals = RefusalRate()
        self._rules = DeliveryRules(
            settings.max_retry_seconds, settings.dead_letter, self.random.random
        )
        self._at = 0
        self._clock_back_ns = 0
        self._reading = True
        self._read_waits = False
        self._stopped = False
        self._queue: deque[Batch] = deque()
        self._at_the_gate: list[tuple[_Sending, Attempt[Batch]]] = []
        self._under_way = 0
        self._requests_in_flight = 0
        self._give_up_at = float("inf")
        self._soon(self._read)

    # Appointments.

    def _in(self, seconds: float, action: Callable[[], None]) -> None:
        """Do `action` that many seconds from now, unless the process is dead by then."""
        self.clock.at(self.clock.now + seconds, lambda: self.step(action) if self.alive else None)

    def _soon(self, action: Callable[[], None]) -> None:
        self._in(0.0, action)

    def next_deadline(self) -> float:
        """Return when something is due by itself."""
        return min(self.pipeline.next_deadline(), self._give_up_at)

    @property
    def held_bytes(self) -> int:
        """How much the pipeline says it holds."""
        return self.pipeline.held_bytes

    def step(self, action: Callable[[], None]) -> None:
        """Do one thing, and everything that it makes possible; then look at the laws."""
        if self.over:
            return
        try:
            action()
            self.pipeline.expire(self.clock.now)
            self._set_aside()
        except TargetError as error:
            self._finish(error)
        try:
            self._resume_reading()
        except TargetError as error:
            self._finish(error)
        self._submit()
        state = self.pipeline.earned_state()
        if state is not None:
            self.laws.state_written(state)
            self.on_state(state)
        self.laws.check(self.clock.now, self.held_bytes)
        if not self._reading and (self._under_way == 0 or self.clock.now >= self._give_up_at):
            self._end()

    def interrupt(self) -> None:
        """Take a signal."""
        if self._reading:
            self._give_up_at = self.clock.now + GRACE_SECONDS
            raise InterruptedRunError(15)

    def step_back_the_clock(self) -> None:
        """Let the wall clock lose up to an hour, but not between runs: that is not promised."""
        if self.laws.known:
            self.sometimes("the clock stepped back")
            self._clock_back_ns += self.random.randint(0, 3600 * 10**9)

    def _end(self) -> None:
        self.over = True
        if self.error is None:
            self.laws.check_end()
            demand(self.held_bytes == 0, "bytes are held after the end:", self.held_bytes)

    # What the runner does.

    def _read(self) -> None:
        if not self._reading:
            return
        if not self._has_room():
            self.sometimes("no room to read")
            self._read_waits = True
            return
        chunk = self._next_chunk()
        self._at += len(chunk)
        events = self._reader.feed(chunk) if chunk else self._reader.close()
        now = self.clock.now
        clock_ns = int(WALL_CLOCK * 1e9) + int(now * 1e9) - self._clock_back_ns
        failed: Event | None = None
        last_line = 0
        try:
            for event in events:
                failed = event
                self.pipeline.receive(event, now, clock_ns)
                last_line, failed = _last_line(event), None
        except InputError as error:
            if failed and _is_taken(failed, error):
                last_line = _last_line(failed)
            self.laws.read(self._end_read(chunk), now, last_line=last_line)
            raise
        self.laws.read(self._end_read(chunk), now)
        if chunk:
            silent = self.random.random() < 0.1
            self._in(self.settings.silence_seconds if silent else 0.0, self._read)
        else:
            self._reading = False
            self.laws.ended()
            self.pipeline.end()

    def _has_room(self) -> bool:
        has_room = self.pipeline.has_room
        self.pipeline.make_room()
        return has_room

    def _next_chunk(self) -> bytes:
        size = self.random.randint(1, self.settings.chunk_bytes)
        return self.given.text[self._at : self._at + size]

    def _end_read(self, chunk: bytes) -> int:
        """Return where the last line read ends."""
        if not chunk:
            return len(self.given.text) + 1
        return self.given.text.rfind(b"\n", 0, self._at) + 1

    def _resume_reading(self) -> None:
        if self._read_waits and self._reading and self._has_room():
            self._read_waits = False
            self._soon(self._read)

    def _finish(self, error: TargetError) -> None:
        """Read no more; let what was read arrive, unless nothing more can be saved."""
        if isinstance(error, OutputError):
            self._abandon(error)
            return
        self.error = self.error or error
        self._reading = False
        self.laws.failed()
        with suppress(TargetError):
            self.pipeline.close()
            self._set_aside()

    def _abandon(self, error: TargetError) -> None:
        self.error = self.error or error
        self._reading = False
        self.laws.failed()
        self._stopped = True
        self._give_up_at = min(self._give_up_at, self.clock.now + GRACE_SECONDS)
        for sending, _ in self._at_the_gate:
            self._released(sending)
        self._at_the_gate.clear()

    def _set_aside(self) -> None:
        waiting = self.pipeline.to_set_aside
        if waiting:
            for each in waiting:
                is_activation = each.is_activation
                self.sometimes(
                    "activation set aside" if is_activation else "set aside by the local check"
                )
            self.dead_letters.write(tuple(waiting))
            self.laws.set_aside(waiting)
            while waiting:
                self.pipeline.set_aside(waiting.popleft())

    # What the sender does.

    def _submit(self) -> None:
        while self._queue and self._stopped:
            self.pipeline.released(self._queue.popleft())
        while self.pipeline.ready:
            batch = self.pipeline.ready.popleft()
            self.laws.handed(batch)
            if self._stopped:
                self.pipeline.released(batch)  # which may make more ready
            else:
                self._queue.append(batch)
        while self._queue and self._under_way < self.settings.max_in_flight:
            batch = self._queue.popleft()
            self._under_way += 1
            sending = _Sending(batch, deliver(batch, self._rules, self._refusals))
            self._soon(lambda sending=sending: self._go_on(sending, None))  # type: ignore[misc]

    def _go_on(self, sending: _Sending, reply: Outcome | None) -> None:
        """Do what a delivery asks for, until it has to wait."""
        try:
            while self._do(sending, sending.steps.send(reply)):
                reply = None
        except StopIteration:
            self._released(sending)
        except TargetError as error:
            self._released(sending)
            self._abandon(error)

    def _do(self, sending: _Sending, step: Step) -> bool:
        """Do one step of a delivery; tell whether it can go on at once."""
        match step:
            case Attempt():
                self._at_the_gate.append((sending, step))
                self._open_gate()
                return False
            case Wait():
                self.sometimes("wait")
                self._in(step.seconds, lambda: self._waited(sending))
                return False
            case Store():
                self.dead_letters.write(step.records)
                self.sometimes("set aside by the service")
                self.laws.set_aside(step.records)
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
        self._under_way -= 1
        self.pipeline.released(sending.batch)

    def _open_gate(self) -> None:
        while self._at_the_gate and not self._stopped and self.throttle.may_enter():
            at = self.random.randrange(len(self._at_the_gate))
            self._attempt(*self._at_the_gate.pop(at))
        if self._at_the_gate and self._requests_in_flight < self.settings.max_in_flight:
            self.sometimes("throttled")

    def _attempt(self, sending: _Sending, attempt: Attempt[Batch]) -> None:
        self.throttle.enter()
        self._requests_in_flight += 1
        self.requests += 1
        demand(self._requests_in_flight <= self.settings.max_in_flight, "too many requests")
        now = self.clock.now
        demand(now >= sending.not_before - 1e-6, "sent again before `Retry-After` allows it")
        if attempt.again:
            self.sometimes("sent again")
            demand(
                attempt.part.body == sending.body, "a repeated request is not the same to the byte"
            )
        sending.body = attempt.part.body
        self.laws.sent(attempt.part, attempt.part.body)
        fate = self.service.fate(attempt.part.body, now)
        if fate.stores:
            # The service does this even when nobody waits any more.
            store = now + fate.seconds * self.random.random()
            self.clock.at(store, lambda: self.service.store(attempt.part.body))
        self._in(fate.seconds, lambda: self._answered(sending, attempt, fate))

    def _answered(self, sending: _Sending, attempt: Attempt[Batch], fate: Fate) -> None:
        now = self.clock.now
        self._requests_in_flight -= 1
        verdict = judge(fate.answer, WALL_CLOCK + now - self._clock_back_ns / 1e9)
        self.throttle.leave(succeeded=not isinstance(verdict, TryAgain), seconds=fate.seconds)
        sending.not_before = now + fate.not_before_seconds
        self.ambiguous |= fate.is_ambiguous
        if fate.acknowledges:
            self.laws.acknowledged(attempt.part)
        self._go_on(sending, Outcome(verdict, now))
        demand(not fate.ends_the_run or self._stopped, "the run goes on after", fate.name)
        self._open_gate()


def _last_line(event: Event) -> int:
    return event.line + (len(event.messages) - 1 if isinstance(event, Records) else 0)


def _is_taken(event: Event, error: TargetError) -> bool:
    """Tell whether an event that led to an error was taken: it may be of an earlier one."""
    if isinstance(event, ActivateVersion):
        return event.line <= _line_named(error)
    return isinstance(event, Records | MalformedRecord)


def _line_named(error: TargetError) -> int:
    """Return the line that an error names."""
    found = re.match(r"Line (\d+)", str(error))
    demand(found is not None, "an error names no line:", error)
    return int(found[1]) if found else 0
