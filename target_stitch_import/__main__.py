"""The entry points of both programs; from here on, signals end them without a traceback.

`python -m target_stitch_import` runs `target-stitch-import`.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

from target_stitch_import.interrupts import (
    INTERRUPTED_STATUS,
    end_at_once_on_signals,
    ignore_signals,
    leave_signals_to_python,
)

TYPE_CHECKING = False  # importing `typing` takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Callable

GC_THRESHOLD = 50_000
"""Allocations between two collections of cyclic garbage, of which imports and runs create almost
none. With Python's default of 700, the collector would scan all imported modules, and the schemas
of all streams, again and again."""


def target_stitch_import() -> None:
    """Run `target-stitch-import`."""
    _run(_target)


def stitch_import() -> None:
    """Run `stitch-import`."""
    _run(_tool)


def _target() -> None:
    from target_stitch_import.cli import main  # noqa: PLC0415 - after the signals are set up

    main()


def _tool() -> None:
    from target_stitch_import.toolbox import main  # noqa: PLC0415 - after the signals are set up

    leave_signals_to_python()
    main()


def _run(program: Callable[[], None]) -> None:
    end_at_once_on_signals()
    gc.set_threshold(GC_THRESHOLD)
    atexit.register(ignore_signals)  # the first registered is the last called
    try:
        program()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)
    except SystemExit as end:
        _end_at_once_without_memory(end)
        raise
    finally:
        _drop_stderr()


def _end_at_once_without_memory(end: SystemExit) -> None:
    """After a `ResourceError`, exit without Python's own cleanup, which may abort: it needs memory.

    Nothing is lost: states and files are already written, and stderr is written line by line.
    """
    from contextlib import suppress  # noqa: PLC0415 - loaded by now

    from target_stitch_import.errors import ResourceError  # noqa: PLC0415 - likewise

    if end.code == ResourceError.exit_status:
        with suppress(OSError, ValueError):
            if sys.stdout:
                sys.stdout.flush()
        os._exit(ResourceError.exit_status)


def _drop_stderr() -> None:
    """Drop a stderr that cannot be flushed: Python would exit with a different status for it."""
    try:
        if sys.stderr:
            sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None


if __name__ == "__main__":
    target_stitch_import()
