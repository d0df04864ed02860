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

_WRITE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE, errno.EIO, errno.EBADF}
)
"""What a write to stdout can raise; any other OSError of a command is reported as a bug."""


def give_up_stdout(error: OSError) -> OutputError:
    """Write nothing more to stdout, and return the error for the write that failed."""
    # Otherwise Python flushes stdout again as it exits, and prints another error.
    sys.stdout = None
    return OutputError(f"Stdout cannot be written to: {why_it_cannot_be_written(error)}")


class ReportsStdoutErrors(click.Command):
    """A command that raises `OutputError` if its output or its help cannot be written to stdout."""

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
        if error.errno not in _WRITE_ERRORS:
            raise
        raise give_up_stdout(error) from None
