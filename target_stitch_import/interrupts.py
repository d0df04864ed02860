"""SIGINT while a program is still importing, where there is nothing to lose yet."""

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


def _end(*_: object) -> None:
    os._exit(INTERRUPTED_STATUS)
