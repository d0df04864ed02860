"""One run: stdin, clock, signals and stdout. The only owner of the pipeline.

Law: the main thread alone touches the pipeline; it never waits but for input, reports, signals and
deadlines together. Signal handlers set a flag, nothing else.
"""

from __future__ import annotations

import math
import os
import select
import signal
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from target_stitch_import.delivery import LimitLearned, Settled
from target_stitch_import.errors import (
    InputError,
    InterruptedRunError,
    OutputError,
    TargetError,
    internal_error,
)
from target_stitch_import.sender import Failed, Released, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_stitch_import.dead_letter import Shelf
    from target_stitch_import.intake import Intake
    from target_stitch_import.mapping import StreamMapper
    from target_stitch_import.payload import Batch
    from target_stitch_import.pipeline import Notice, Pipeline
    from target_stitch_import.sender import Traffic

_NEVER = float("inf")
_LONGEST_WAIT_SECONDS = 3600.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 20.0
"""After a signal, or once the run has failed, requests on their way get this long."""


class StateWriter:
    """Writes states from a thread of its own, so that a slow reader of stdout holds up nothing.

    While one is being written, only the newest waits: an older checkpoint has lost its use.

    Args:
        wake: Called from the thread whenever a state was written, or cannot be.
    """

    def __init__(self, stream: IO[bytes], wake: Callable[[], None]) -> None:
        self.error: OutputError | None = None
        self.last_written: bytes | None = None
        self._stream = stream
        self._wake = wake
        self._changed = threading.Condition()
        self._next: bytes | None = None
        self._unwritten = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Tell whether a state is still to be written."""
        return self._unwritten > 0 and self.error is None

    def write(self, state: bytes) -> None:
        """Write `state` as a line, unless a newer one comes first."""
        with self._changed:
            self._unwritten += self._next is None
            self._next = state
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="states", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread, once it has written what it is writing; nobody waits for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    while self._next is None and not self._closed:
                        self._changed.wait()
                    state, self._next = self._next, None
                if state is None:
                    return
                self._put(state + b"\n")
                self.last_written = state
                with self._changed:
                    self._unwritten -= 1
                self._wake()
        except (OSError, ValueError) as error:
            self.error = OutputError(
                f"Stdout cannot be written, so no state can be saved: {error}."
            )
            self._wake()

    def _put(self, line: bytes) -> None:
        """Write all of `line`, past any buffer: nothing must wait there when the process ends."""
        try:
            descriptor = self._stream.fileno()
        except (OSError, AttributeError):
            self._stream.write(line)
            self._stream.flush()
            return
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:  # somebody made it so; it is full until it is read
                select.select([], [descriptor], [])


class Observer(Protocol):
    """Is told what happens, on the main thread."""

    due: float
    """When it wants its next `tick`, on the monotonic clock."""

    def notice(self, notice: Notice) -> None:
        """Hear something that the user should know about a stream."""

    def delivered(self, part: Batch) -> None:
        """Hear that a part was acknowledged."""

    def processed(self, batch: Batch, seconds: float, *, succeeded: bool) -> None:
        """Hear that the sender is done with `batch`, which it had for `seconds`."""

    def tick(self, now: float, held_bytes: int, traffic: Traffic, last_state: bytes | None) -> None:
        """Hear how the run stands, and set `due` to a later time."""


@dataclass(slots=True)
class Run:
    """Moves everything from `intake` to the sender, and the states earned to `states`."""

    intake: Intake
    pipeline: Pipeline
    states: StateWriter
    observer: Observer
    wakeup: Wakeup
    sender: Sender
    dead_letters: Shelf | None = None
    mapper: StreamMapper | None = None
    writes_states: bool = True
    seconds_without_room: float = 0.0
    _error: TargetError | None = None
    _reading: bool = True
    _interrupted: bool = False
    _in_flight: int = 0
    _give_up_at: float = _NEVER

    def run(self) -> None:
        """Run to the end of the input.

        Raises:
            TargetError: The run failed. What was earned until then is written all the same.
        """
        with self.wakeup.on_signals():
            while self._reading or self._is_waiting():
                try:
                    self._turn()
                except Exception as error:  # noqa: BLE001 - what is earned is not to be lost by it
                    self._abandon(internal_error(error))
                    self._write_states()
        self.sender.close()
        self.states.close()
        if self.states.is_busy:
            self._error = self._error or OutputError(
                "Stdout takes no more: the last states earned could not be written."
            )
        if failed := self._error or self.states.error:
            raise failed

    @property
    def lines_read(self) -> int:
        """How many lines were read."""
        return self.intake.lines_read

    def _turn(self) -> None:
        """Wait for something to happen, and do what there is to do about it."""
        try:
            self._step(has_input=self._wait())
        except TargetError as error:
            self._finish(error)
        self._write_states()
        self._tick()

    def _is_waiting(self) -> bool:
        """Tell whether something is on its way that is still worth waiting for."""
        on_its_way = self._in_flight > 0 or self.states.is_busy
        return on_its_way and time.monotonic() < self._give_up_at

    def _wait(self) -> bool:
        """Wait for input, reports, signals or the next deadline; tell whether there is input."""
        poll = select.poll()
        poll.register(self.wakeup.descriptor, select.POLLIN)
        wants_input = self._reading and self.pipeline.has_room()
        self._submit()
        now = time.monotonic()
        timeout = min(self.pipeline.next_deadline(), self.observer.due, self._give_up_at) - now
        if wants_input and self.intake.descriptor is not None:
            poll.register(self.intake.descriptor, select.POLLIN)
        elif wants_input:
            timeout = 0.0
        if self.sender.reports:
            timeout = 0.0  # an error left them behind, and their wake-up is over
        seconds = min(max(timeout, 0.0), _LONGEST_WAIT_SECONDS)
        readable = {descriptor for descriptor, _ in poll.poll(math.ceil(seconds * 1000))}
        if self.wakeup.descriptor in readable:
            self.wakeup.clear()
        if self._reading and not wants_input:
            self.seconds_without_room += time.monotonic() - now
        return wants_input and (
            self.intake.descriptor is None or self.intake.descriptor in readable
        )

    def _step(self, *, has_input: bool) -> None:
        """Do everything that there is to do, in the order in which it became possible."""
        if self.wakeup.signals and not self._interrupted:
            self._interrupted = True
            self._give_up_at = min(self._give_up_at, time.monotonic() + GRACE_SECONDS)
            raise InterruptedRunError(self.wakeup.signals[0])
        self._take_reports()
        if self.states.error:
            self._abandon(self.states.error)
        if has_input and self._reading:
            self._read()
        self.pipeline.expire(time.monotonic())
        self._set_aside()
        self._submit()

    def _read(self) -> None:
        events = self.intake.read()
        if self.mapper:
            events = self.mapper.map(events)
        now, clock_ns = time.monotonic(), time.time_ns()
        for event in events:
            self.pipeline.receive(event, now, clock_ns)
        if self.intake.is_at_end:
            self._reading = False
            self.pipeline.close()

    def _finish(self, error: TargetError) -> None:
        """Read no more, but let what was read arrive: the input is at fault, or a signal came."""
        if isinstance(error, OutputError):
            self._abandon(error)
            return
        self._reading = False
        try:
            self.pipeline.close()
        except InputError as earlier:
            # A record read before what ended the reading, unless that is no matter of the input.
            error = earlier if isinstance(error, InputError) else error
        self._error = self._error or error
        with suppress(TargetError):
            self._set_aside()
        self._submit()

    def _abandon(self, error: TargetError) -> None:
        """Read and send no more, as nothing can be saved; wait for what is on its way."""
        self._error = self._error or error
        self._reading = False
        self.sender.stop()
        self._give_up_at = min(self._give_up_at, time.monotonic() + GRACE_SECONDS)

    def _take_reports(self) -> None:
        reports = self.sender.reports
        while reports:
            match reports.popleft():
                case Settled(part, set_aside):
                    self.pipeline.settled(part, set_aside)
                    if not set_aside:
                        self.observer.delivered(part)
                case Released(batch, seconds, succeeded):
                    self._in_flight -= 1
                    self.pipeline.released(batch)
                    if succeeded is not None:
                        self.observer.processed(batch, seconds, succeeded=succeeded)
                case LimitLearned(max_bytes):
                    limits = self.pipeline.limits
                    limits.max_bytes = min(limits.max_bytes, max_bytes)
                case Failed(error):
                    self._abandon(error)

    def _set_aside(self) -> None:
        waiting, dead_letters = self.pipeline.to_set_aside, self.dead_letters
        if waiting and dead_letters:
            self.dead_letters = None  # should it fail, the same lines are not written once more
            dead_letters.write(tuple(waiting))
            self.dead_letters = dead_letters
            while waiting:
                self.pipeline.set_aside(waiting.popleft())

    def _submit(self) -> None:
        while self.pipeline.ready:
            self._in_flight += 1
            self.sender.submit(self.pipeline.ready.popleft())
        while self.pipeline.notices:
            self.observer.notice(self.pipeline.notices.popleft())

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self.observer.due:
            held_bytes = self.pipeline.held_bytes
            self.observer.tick(now, held_bytes, self.sender.traffic, self.states.last_written)

    def _write_states(self) -> None:
        state = self.pipeline.earned_state()
        if state is not None and self.writes_states:
            self.states.write(state)


class Wakeup:
    """A pipe to one's own `poll`: written by other threads and by signals."""

    def __init__(self) -> None:
        self.descriptor, self._write_end = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write_end, False)
        self.signals: deque[int] = deque()
        self._is_awake = False
        self._closing = threading.Lock()
        self._closed = False

    def wake(self) -> None:
        """Make `poll` return; from any thread, also from one that outlives the run."""
        if self._is_awake:
            return  # whoever waits will look at everything once it is `clear`ed
        with self._closing, suppress(BlockingIOError):  # where it is full, `poll` returns anyway
            if not self._closed:
                self._is_awake = True
                os.write(self._write_end, b"\0")

    def clear(self) -> None:
        """Take notice of everything that woke us so far: what it was is to be looked at now."""
        with suppress(BlockingIOError):
            while os.read(self.descriptor, 4096):
                pass
        # Only now: a wake-up between the two would be read away and yet keep later ones silent.
        self._is_awake = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM wake us; a second one ends the process at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._flag) for each in _SIGNALS}
        descriptor_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor_before)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _flag(self, number: int, _: object) -> None:
        if self.signals:
            os._exit(128 + number)
        self.signals.append(number)

    def close(self) -> None:
        """Close both ends."""
        with self._closing:
            self._closed = True
            os.close(self.descriptor)
            os.close(self._write_end)
