"""Signals before there is a run, where there is nothing to lose yet, and after it.

Until `end_at_once_on_signals` is called, SIGINT prints a traceback, so that this imports nothing
that Python has not loaded by then: `_signal` is `signal` without its enumerations.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

INTERRUPTED_STATUS = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_at_once_on_signals() -> None:
    """Have each of `SIGNALS` end the process at once and without a word, from here on.

    Python's own handler of SIGINT raises wherever the program is, and libraries that are half
    imported print a traceback. The kernel spares process 1 of a container that has no handler. What
    has a handler already, or is ignored, is left as it is.
    """
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, end_at_once)


def leave_signals_to_python(process_id: int | None = None) -> None:
    """Undo `end_at_once_on_signals`, but for what would not end process 1 without a handler."""
    is_process_1 = (process_id or os.getpid()) == 1
    for number in SIGNALS:
        if signal.getsignal(number) is not end_at_once:
            continue
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        elif not is_process_1:
            signal.signal(number, signal.SIG_DFL)


def end_at_once(number: int, _: object) -> None:
    """End the process with the exit status of a signal; a signal handler."""
    os._exit(128 + number)


def ignore_signals() -> None:
    """Ignore `SIGNALS` for the last milliseconds, when the exit status is decided.

    Python removes its handlers before it is done, and then a signal would replace that status.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
