"""The error of a stdout that cannot be written to, also where `click` writes, as for `--help`.

`click` itself exits with 1 if stdout is a closed pipe, a status that nothing else has.
"""

from __future__ import annotations

import errno
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from target_stitch_import.errors import OutputError, why_it_cannot_be_written

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAILS = frozenset({errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF})


def stdout_error(error: OSError) -> OutputError:
    """Return the error for a write to stdout that failed; nothing more is written there."""
    # Otherwise Python flushes stdout again as it exits, and prints another error.
    sys.stdout = None
    return OutputError(f"Stdout cannot be written to: {why_it_cannot_be_written(error)}")


class ReportsStdoutErrors(click.Command):
    """A command that raises `OutputError` if it, or its help, cannot be written to stdout."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Parse the command line; options such as `--help` are executed, too."""
        with _stdout_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _stdout_errors():
            return super().invoke(ctx)


@contextmanager
def _stdout_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FAILS:
            raise
        raise stdout_error(error) from None
