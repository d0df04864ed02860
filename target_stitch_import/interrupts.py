"""Signals that come before there is a run, where there is nothing to lose yet."""

from __future__ import annotations

import os
import signal

INTERRUPTED_STATUS = 130


class EndAtOnce:
    """Ends the process at once and without a word on SIGINT, within a `with`.

    Python's own handler raises wherever the program is, and libraries that are half imported print
    a traceback. Another handler, or none where a shell has SIGINT ignored, is left as it is.
    """

    def __enter__(self) -> None:
        """Take the place of Python's own handler."""
        self._is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._is_ours:
            signal.signal(signal.SIGINT, _end)

    def __exit__(self, *_: object) -> None:
        """Give the place back."""
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def end_as_process_1(process_id: int | None = None) -> None:
    """Have SIGTERM and SIGHUP end process 1 of a container, as they end any other process.

    The kernel spares a process 1 that has no handler of its own. What is ignored stays ignored.
    """
    if (process_id or os.getpid()) != 1:
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    os._exit(128 + number)
