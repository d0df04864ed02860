"""Signal handling before a run, when there is nothing to lose yet, and after it.

Until `end_at_once_on_signals` is called, SIGINT prints a traceback. So this module imports only
what Python has already loaded: `_signal` is `signal` without its enumerations.
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
INTERRUPTED_STATUSES = tuple(sorted(128 + each for each in SIGNALS))
"""The exit statuses of a run that a signal ended."""


def end_at_once_on_signals() -> None:
    """From here on, let each of `SIGNALS` end the process at once, without a message.

    Python's own handler of SIGINT raises an exception at any point, and a library that is being
    imported prints a traceback. As process 1 of a container, a process without a handler would
    ignore the signal. Signals that are ignored, or have a handler already, are left unchanged.
    """
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, end_at_once)


def leave_signals_to_python(process_id: int | None = None) -> None:
    """Undo `end_at_once_on_signals`, except where process 1 would then ignore the signal."""
    is_process_1 = (process_id or os.getpid()) == 1
    for number in SIGNALS:
        if signal.getsignal(number) is not end_at_once:
            continue
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        elif not is_process_1:
            signal.signal(number, signal.SIG_DFL)


def end_at_once(number: int, _: object) -> None:
    """Signal handler that ends the process with the signal's exit status."""
    os._exit(128 + number)


def ignore_signals() -> None:
    """Ignore `SIGNALS` during the interpreter's shutdown, when the exit status is decided.

    Python removes its handlers before it exits, and then a signal would replace that status.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
