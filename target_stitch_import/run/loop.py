"""The main loop of a run, which drives the pipeline with input, reports, signals and deadlines.

Invariant: only the main thread uses the pipeline, and it waits for input, reports, signals and
deadlines together. Signal handlers only set a flag.
"""

from __future__ import annotations

import math
import select
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from target_stitch_import.batching.malformed import with_repairs
from target_stitch_import.errors import (
    InputError,
    InterruptedRunError,
    OutputError,
    TargetError,
    internal_error,
)
from target_stitch_import.report.stats import LoopSnapshot
from target_stitch_import.run.dead_letter import NoDeadLetters
from target_stitch_import.run.exchange import Exchange, Listener
from target_stitch_import.run.intake import CHECK_SECONDS

if TYPE_CHECKING:
    from target_stitch_import.batching.pipeline import Pipeline
    from target_stitch_import.run.dead_letter import DeadLetterSink
    from target_stitch_import.run.intake import Intake
    from target_stitch_import.run.maps import StreamMapper
    from target_stitch_import.run.output_file import OutputFile
    from target_stitch_import.run.sender import Sender
    from target_stitch_import.run.states import StateWriter
    from target_stitch_import.run.wakeup import Wakeup

_NEVER = float("inf")
_LONGEST_WAIT_SECONDS = 3600.0
GRACE_SECONDS = 20.0
"""After a signal or a fatal error, requests in flight get this long to finish."""


class Observer(Listener, Protocol):
    """Is called when something happens, on the main thread."""

    due: float
    """When `tick` is next due, on the monotonic clock."""

    def trouble(self, text: str) -> None:
        """Called when something goes wrong in addition to the error that ends the run."""

    def tick(self, now: float, snapshot: LoopSnapshot) -> None:
        """Called when `due` has come; it sets `due` to a later time."""


@dataclass(slots=True)
class Run:
    """Moves everything from `intake` to the sender, and the earned states to `states`."""

    intake: Intake
    pipeline: Pipeline
    states: StateWriter
    observer: Observer
    wakeup: Wakeup
    sender: Sender
    dead_letters: DeadLetterSink = field(default_factory=NoDeadLetters)
    mapper: StreamMapper | None = None
    repairs: tuple[str, ...] = ()
    """The repairs of records whose text is not JSON, done before stream maps are applied."""
    output: OutputFile | None = None
    """The file in which acknowledged bodies are saved."""
    writes_states: bool = True
    grace_seconds: float = GRACE_SECONDS
    seconds_without_room: float = 0.0
    _error: TargetError | None = None
    _reading: bool = True
    _interrupted: bool = False
    _give_up_at: float = _NEVER
    _read_again_at: float = 0.0
    _exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self._exchange = Exchange(
            self.pipeline,
            self.sender,
            self.dead_letters,
            self.observer,
            save=self.output.write if self.output else lambda _: None,
        )

    def run(self) -> None:
        """Run to the end of the input.

        Raises:
            TargetError: The run failed. The states earned until then are written anyway.
        """
        while self._reading or self._is_waiting():
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - earned states must still be written
                self._abandon(internal_error(error))
                self._write_states()
        self.sender.close()
        self.states.close()
        if self.states.is_busy:
            self._error = self._error or OutputError(
                "Stdout is blocked: the last states could not be written. Check the program that "
                "reads them, then run again."
            )
        if failed := self._error or self.states.error:
            raise failed

    @property
    def lines_read(self) -> int:
        """How many lines were read."""
        return self.intake.lines_read

    def _turn(self) -> None:
        """Wait for something to happen, and process it."""
        try:
            if self._reading:
                self.pipeline.make_room()
            self._exchange.forward()
            self._step(has_input=self._wait())
        except TargetError as error:
            self._finish(error)
        self._write_states()
        self._tick()

    def _is_waiting(self) -> bool:
        """Return whether requests or states are in flight, and the grace period is not over."""
        is_busy = self._exchange.in_flight > 0 or self.states.is_busy
        return is_busy and time.monotonic() < self._give_up_at

    def _wait(self) -> bool:
        """Wait for input, reports, signals or the next deadline; return whether there is input."""
        wants_input = self._reading and self.pipeline.has_room
        began = time.monotonic()
        descriptor = self.intake.descriptor if wants_input else None
        ready: set[int] = set()
        if descriptor is not None and self._read_again_at > began:
            ready = self._pause(descriptor, began)
        needs_no_wait = wants_input and descriptor is None
        if not ready:
            ready = self._poll(descriptor, select.POLLIN, began if needs_no_wait else _NEVER)
        if self._reading and not wants_input:
            self.seconds_without_room += time.monotonic() - began
        return needs_no_wait or descriptor in ready

    def _pause(self, descriptor: int, now: float) -> set[int]:
        """Delay the next read; return the descriptors that ended the delay, if any did.

        A tap flushes each line, and reading line by line would cost more than the records
        themselves. A wake-up, or the end of the tap's output, ends the delay at once.
        """
        while now < self._read_again_at and now < self._next_deadline():
            until = min(now + CHECK_SECONDS, self._read_again_at)
            if ready := self._poll(descriptor, 0, until):
                return ready
            if self.intake.has_much():
                break
            now = time.monotonic()
        return set()

    def _next_deadline(self) -> float:
        return min(self.pipeline.next_deadline(), self.observer.due, self._give_up_at)

    def _poll(self, descriptor: int | None, events: int, until: float) -> set[int]:
        """Wait for `events` of `descriptor`, a wake-up, or a deadline; return ready descriptors."""
        poll = select.poll()
        poll.register(self.wakeup.descriptor, select.POLLIN)
        if descriptor is not None:
            poll.register(descriptor, events)
        seconds = min(self._next_deadline(), until) - time.monotonic()
        if self.sender.reports:
            seconds = 0.0  # left over after an error; the wake-up for them was consumed
        seconds = min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)
        ready = {each for each, _ in poll.poll(math.ceil(seconds * 1000))}
        if self.wakeup.descriptor in ready:
            self.wakeup.clear()
        return ready

    def _step(self, *, has_input: bool) -> None:
        """Process signals, reports, input and deadlines, and forward the pipeline's output."""
        if self.wakeup.signals and not self._interrupted:
            self._interrupted = True
            self._give_up_at = min(self._give_up_at, time.monotonic() + self.grace_seconds)
            raise InterruptedRunError(self.wakeup.signals[0])
        if failed := self._exchange.take_reports():
            self._abandon(failed)
        if self.states.error:
            self._abandon(self.states.error)
        if has_input and self._reading:
            self._read()
        self.pipeline.expire(time.monotonic())
        self._exchange.forward()

    def _read(self) -> None:
        events = with_repairs(self.intake.read(), self.repairs)
        if self.mapper:
            events = self.mapper.map(events)
        now, clock_ns = time.monotonic(), time.time_ns()
        for event in events:
            self.wakeup.check_interrupt()
            self.pipeline.receive(event, now, clock_ns)
        self._read_again_at = now + self.intake.pause_seconds
        if self.intake.is_at_end:
            self._reading = False
            self.pipeline.end()

    def _finish(self, error: TargetError) -> None:
        """After bad input or a signal, stop reading and deliver what was read."""
        if isinstance(error, OutputError):
            self._abandon(error)
            return
        self._reading = False
        try:
            self.pipeline.close()
        except InterruptedRunError:
            pass  # the records not checked yet never settle
        except InputError as earlier:
            # `earlier` is about a record before the line of `error`, so it is reported instead.
            error = earlier if isinstance(error, InputError) else error
        self._error = self._error or error
        try:
            self._exchange.set_aside()
        except TargetError as failed:
            self.observer.trouble(str(failed))
        self._exchange.forward_rest()

    def _abandon(self, error: TargetError) -> None:
        """After a fatal error, stop reading and sending, and only wait for requests in flight."""
        self._error = self._error or error
        self._reading = False
        self.sender.stop()
        self._give_up_at = min(self._give_up_at, time.monotonic() + self.grace_seconds)

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self.observer.due:
            self.observer.tick(now, self.snapshot())

    def snapshot(self) -> LoopSnapshot:
        """Return what the observer needs to know about the current state of the run."""
        return LoopSnapshot(
            self.pipeline.held_bytes,
            self.lines_read,
            self.seconds_without_room,
            self.states.last_written,
            self.sender.traffic,
        )

    def _write_states(self) -> None:
        state = self.pipeline.earned_state()
        if state is not None and self.writes_states:
            self.states.write(state)
