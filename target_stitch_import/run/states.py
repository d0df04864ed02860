"""Writes states to stdout.

Invariant: a state is written completely and at most once, in order. A newer state may replace a
waiting one.
"""

from __future__ import annotations

import os
import select
import threading
from typing import IO, TYPE_CHECKING

from target_stitch_import.errors import (
    OutputError,
    TargetError,
    internal_error,
    why_it_cannot_be_written,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class StateWriter:
    """Writes states from its own thread, so that a slow reader of stdout does not block the run.

    While a state is being written, only the newest one waits, because it replaces the older ones.

    Args:
        stream: Stdout; written without its buffer if it has a descriptor.
        wake: Called from the thread when a state was written, or writing failed.
    """

    def __init__(self, stream: IO[bytes], wake: Callable[[], None]) -> None:
        self.error: TargetError | None = None
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
        """Return whether a state has not been written yet."""
        return self._unwritten > 0 and self.error is None

    def write(self, state: bytes) -> None:
        """Queue `state` to be written as a line, replacing a waiting one."""
        with self._changed:
            self._unwritten += self._next is None
            self._next = state
            self._changed.notify()
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="states", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads are available
                self._write_next()
                return
            self._thread = thread

    def close(self) -> None:
        """Let the thread end after it has written what waits, without waiting for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while self.error is None:
            with self._changed:
                while self._next is None and not self._closed:
                    self._changed.wait()
                if self._next is None:
                    return
            self._write_next()

    def _write_next(self) -> None:
        try:
            with self._changed:
                state, self._next = self._next, None
            if state is not None:
                self._put(state + b"\n")
                self.last_written = state
                with self._changed:
                    self._unwritten -= 1
        except (OSError, ValueError) as error:
            self.error = OutputError(
                "Stdout cannot be written, so no state can be saved: "
                f"{why_it_cannot_be_written(error)}"
            )
        except Exception as error:  # noqa: BLE001 - the run must not wait for a dead thread
            self.error = internal_error(error)
        self._wake()

    def _put(self, line: bytes) -> None:
        """Write all of `line` without a buffer, so that nothing is lost when the process ends."""
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
            except BlockingIOError:  # another process made it non-blocking, and it is full
                select.select([], [descriptor], [])
