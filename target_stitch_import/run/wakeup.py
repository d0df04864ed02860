"""Wakes the main loop for other threads and signals, and interrupts long operations.

Invariant: a signal handler only sets a flag.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from target_stitch_import.errors import InterruptedRunError
from target_stitch_import.interrupts import SIGNALS, end_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 0.25
"""How long an operation may continue after a signal; nearly always, it ends within this time."""


class Wakeup:
    """A self-pipe that wakes `poll`; other threads and signals write to it."""

    def __init__(self) -> None:
        self.descriptor, self._write_end = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write_end, False)
        self.signals: deque[int] = deque()
        self._patience_ends = float("inf")
        self._is_awake = False
        self._closing = threading.Lock()
        self._closed = False

    def wake(self) -> None:
        """Make `poll` return; may be called by any thread, even one that outlives the run."""
        if self._is_awake:
            return  # the loop checks everything after `clear`
        with self._closing, suppress(BlockingIOError):  # if the pipe is full, `poll` returns anyway
            if not self._closed:
                self._is_awake = True
                os.write(self._write_end, b"\0")

    def clear(self) -> None:
        """Drain the pipe; the caller then checks everything that may have woken it."""
        with suppress(BlockingIOError):
            while os.read(self.descriptor, 4096):
                pass
        # Only now: otherwise a wake-up in between would be drained, and yet suppress later ones.
        self._is_awake = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGINT, SIGTERM and SIGHUP wake the loop; a second one ends the process at once.

        Ignored signals stay ignored, such as SIGHUP under `nohup`, or SIGINT in the background of a
        script. Afterwards, the handlers from before are restored, except for `end_at_once`: at that
        point the programs only report the outcome and exit, and a signal must not change that.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
        before = {each: signal.signal(each, self._flag) for each in handled}
        descriptor_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor_before)
            for each, handler in before.items():
                if handler is not end_at_once:
                    signal.signal(each, handler)

    def check_interrupt(self) -> None:
        """End a long operation some time after a signal; costs almost nothing before one.

        Raises:
            InterruptedRunError: A signal arrived, and `PATIENCE_SECONDS` have passed since the
                first call after it.
        """
        if self.signals:
            now = time.monotonic()
            self._patience_ends = min(self._patience_ends, now + PATIENCE_SECONDS)
            if now >= self._patience_ends:
                raise InterruptedRunError(self.signals[0])

    def _flag(self, number: int, _: object) -> None:
        if not self.signals:
            self.signals.append(number)
        elif number != signal.SIGHUP:  # the shell and the kernel may both send it
            os._exit(128 + number)

    def close(self) -> None:
        """Close both ends."""
        with self._closing:
            self._closed = True
            os.close(self.descriptor)
            os.close(self._write_end)
