"""Where both programs begin: signals end them quietly from here on, also during the imports.

`python -m target_stitch_import` is `target-stitch-import`.
"""

from __future__ import annotations

import sys

from target_stitch_import.interrupts import INTERRUPTED_STATUS, EndAtOnce, end_as_process_1


def target_stitch_import() -> None:
    """Run `target-stitch-import`."""
    end_as_process_1()
    try:
        with EndAtOnce():
            from target_stitch_import.cli import main  # noqa: PLC0415 - SIGINT is seen to first
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)


def stitch_import() -> None:
    """Run `stitch-import`."""
    end_as_process_1()
    try:
        with EndAtOnce():
            from target_stitch_import.toolbox import main  # noqa: PLC0415 - SIGINT is seen to first
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)


if __name__ == "__main__":
    target_stitch_import()
