"""One run of the target in virtual time: the pure packages, without threads.

It does what `run/loop` does; every wait is an action on the simulated clock.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_stitch_import.errors import InputError, InterruptedRunError, OutputError, TargetError
from target_stitch_import.singer.messages import (
    ActivateVersion,
    MalformedRecord,
    MessageLines,
    Records,
)
from target_stitch_import.singer.reader import Reader
from tests.simulation.invariants import Invariants, require
from tests.simulation.sender import Sender
from tests.simulation.service import WALL_CLOCK
from tests.support.defaults import limits, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from target_stitch_import.batching.pipeline import Pipeline
    from target_stitch_import.singer.messages import Event
    from tests.simulation.clock import Clock
    from tests.simulation.dead_letters import DeadLetterFile
    from tests.simulation.referee import Referee
    from tests.simulation.service import Service
    from tests.simulation.settings import Settings
    from tests.simulation.tap import Input

GRACE_SECONDS = 20.0


@dataclass(eq=False)
class Process:
    """A run of the target over `given`; `over` is whether it has ended, `error` how."""

    given: Input
    settings: Settings
    clock: Clock
    random: Random
    service: Service
    dead_letters: DeadLetterFile
    sometimes: Callable[[str], None]
    on_state: Callable[[bytes], None]
    on_sequence: Callable[[int, int], None] = lambda _, __: None
    """Called with the sequence of each activation, and its place in the tap's output."""
    referee: Referee | None = None
    over: bool = False
    alive: bool = True
    error: TargetError | None = None
    pipeline: Pipeline = field(init=False)
    invariants: Referee = field(init=False)
    sender: Sender = field(init=False)

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
        self.invariants = self.referee or Invariants(
            self.given,
            self.pipeline,
            settings,
            frozenset(self.dead_letters.lacking),
            self.on_sequence,
        )
        for stream, version in self.dead_letters.lacking:
            self.pipeline.note_lacking(stream, version)
        self.sender = Sender(
            self.pipeline,
            settings,
            self.clock,
            self.random,
            self.service,
            self.dead_letters,
            self.invariants,
            self.sometimes,
            self._wall_clock,
            self._in,
            self._abandon,
        )
        self._reader = Reader(MessageLines())
        self._at = 0
        self._clock_back_ns = 0
        self._reading = True
        self._read_waits = False
        self._give_up_at = float("inf")
        self._in(0.0, self._read)

    # Time.

    def _in(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule `action` for so many seconds from now, unless the process is dead by then."""
        self.clock.at(self.clock.now + seconds, lambda: self.step(action) if self.alive else None)

    def _wall_clock(self) -> float:
        """Return seconds since 1970."""
        return WALL_CLOCK + self.clock.now - self._clock_back_ns / 1e9

    def next_deadline(self) -> float:
        """Return the next deadline of the run."""
        return min(self.pipeline.next_deadline(), self._give_up_at)

    @property
    def held_bytes(self) -> int:
        """The bytes held, according to the pipeline."""
        return self.pipeline.held_bytes

    def step(self, action: Callable[[], None]) -> None:
        """Run one action, and everything that follows from it; then check the invariants."""
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
        self.sender.submit()
        state = self.pipeline.earned_state()
        if state is not None:
            self.invariants.state_written(state)
            self.on_state(state)
        self.invariants.check(self.clock.now, self.held_bytes)
        if not self._reading and (self.sender.under_way == 0 or self.clock.now >= self._give_up_at):
            self._end()

    def interrupt(self) -> None:
        """Simulate a signal."""
        if self._reading:
            self._give_up_at = self.clock.now + GRACE_SECONDS
            raise InterruptedRunError(15)

    def step_back_the_clock(self) -> None:
        """Set the wall clock back by up to an hour, but only within a run, as promised."""
        if self.invariants.known:
            self.sometimes("the clock stepped back")
            self._clock_back_ns += self.random.randint(0, 3600 * 10**9)

    def _end(self) -> None:
        self.over = True
        if self.error is None:
            self.invariants.check_end()
            require(self.held_bytes == 0, "bytes are held after the end:", self.held_bytes)

    # The loop's work.

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
            self.invariants.read(self._end_read(chunk), now, last_line=last_line)
            raise
        self.invariants.read(self._end_read(chunk), now)
        if chunk:
            silent = self.random.random() < 0.1
            self._in(self.settings.silence_seconds if silent else 0.0, self._read)
        else:
            self._reading = False
            self.invariants.ended()
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
            self._in(0.0, self._read)

    def _finish(self, error: TargetError) -> None:
        """Stop reading, and deliver what was read, unless an output has failed."""
        if isinstance(error, OutputError):
            self._abandon(error)
            return
        self.error = self.error or error
        self._reading = False
        self.invariants.failed()
        with suppress(TargetError):
            self.pipeline.close()
            self._set_aside()

    def _abandon(self, error: TargetError) -> None:
        self.error = self.error or error
        self._reading = False
        self.invariants.failed()
        self._give_up_at = min(self._give_up_at, self.clock.now + GRACE_SECONDS)
        self.sender.stop()

    def _set_aside(self) -> None:
        waiting = self.pipeline.to_set_aside
        if waiting:
            for each in waiting:
                is_activation = each.is_activation
                self.sometimes(
                    "activation set aside" if is_activation else "set aside by the local check"
                )
            self.dead_letters.write(tuple(waiting))
            self.invariants.set_aside(waiting)
            while waiting:
                self.pipeline.set_aside(waiting.popleft())


def _last_line(event: Event) -> int:
    return event.line + (len(event.messages) - 1 if isinstance(event, Records) else 0)


def _is_taken(event: Event, error: TargetError) -> bool:
    """Return whether the event during which an error was raised was itself processed."""
    if isinstance(event, ActivateVersion):
        return event.line <= _line_named(error)
    return isinstance(event, Records | MalformedRecord)


def _line_named(error: TargetError) -> int:
    """Return the line that an error names."""
    found = re.match(r"Line (\d+)", str(error))
    require(found is not None, "an error names no line:", error)
    return int(found[1]) if found else 0
