"""States on stdout.

Invariant: a state is written whole and at most once, in order; a newer one may replace one that waits.
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
    """Writes states from a thread of its own, so that a slow reader of stdout holds up nothing.

    While one is being written, only the newest waits: an older checkpoint has lost its use.

    Args:
        wake: Called from the thread whenever a state was written, or cannot be.
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
        """Return whether a state is still to be written."""
        return self._unwritten > 0 and self.error is None

    def write(self, state: bytes) -> None:
        """Write `state` as a line, unless a newer one comes first."""
        with self._changed:
            self._unwritten += self._next is None
            self._next = state
            self._changed.notify()
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="states", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the machine gives no more threads
                self._write_next()
                return
            self._thread = thread

    def close(self) -> None:
        """End the thread, once it has written what it is writing; it is not waited for."""
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
        except Exception as error:  # noqa: BLE001 - nothing must wait for a thread that has died
            self.error = internal_error(error)
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
