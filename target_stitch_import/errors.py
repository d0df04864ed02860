"""The errors that end a run, one class for each exit status, and their messages.

Every message says what is wrong, where, and what to do; none contains a record value or a token.
"""

from __future__ import annotations

import errno
from typing import NoReturn


def assert_never(value: NoReturn) -> NoReturn:
    """Raise TypeError for a case that type checkers exclude; in `typing` since Python 3.11."""
    raise TypeError(f"there is no case for {type(value).__name__}")


class TargetError(Exception):
    """Ends the run with `exit_status`; its text is shown to the user.

    `meaning` and `remedy` describe the status in `--help` and on the report page.
    """

    exit_status: int
    meaning: str
    remedy: str


class InputError(TargetError):
    """The tap's output, or a record or batch that was refused: fix the data or the tap."""

    exit_status = 65  # EX_DATAERR
    meaning = "invalid input, or refused by the service"
    remedy = "the message names the line"


class StreamUnknownError(InputError):
    """A message of a stream came before its SCHEMA."""


class KeyMissingError(InputError):
    """A record lacks a key property."""


class ServiceUnavailableError(TargetError):
    """The Import API was unavailable for longer than `max_retry_seconds`: run again later."""

    exit_status = 69  # EX_UNAVAILABLE
    meaning = "the service was unavailable"
    remedy = "run again later"


class InternalError(TargetError):
    """The program has a defect: report it."""

    exit_status = 70  # EX_SOFTWARE
    meaning = "internal error"
    remedy = "report it, with the last line of the log"


class ResourceError(TargetError):
    """Memory or threads are exhausted: raise the limits, or use less."""

    exit_status = 71  # EX_OSERR
    meaning = "out of memory or threads"
    remedy = "raise the process's limits, or lower max_buffer_bytes"


class OutputError(TargetError):
    """Stdout or a file could not be written to."""

    exit_status = 74  # EX_IOERR
    meaning = "stdout or a file cannot be written to"
    remedy = "free disk space, or find out why stdout was closed"


def why_it_cannot_be_written(error: Exception) -> str:
    """Return the second half of an `OutputError`'s text: the cause, and what to do about it."""
    why = getattr(error, "strerror", None) or type(error).__name__
    match getattr(error, "errno", None):
        case errno.ENOSPC | errno.EDQUOT:
            return f"{why}. Free disk space, then run again."
        case errno.EFBIG:
            return f"{why}. Raise the limit on the size of files (`ulimit -f`), then run again."
        case errno.EROFS:
            return f"{why}. Make the file system writable or use another one, then run again."
        case errno.EACCES | errno.EPERM:
            return f"{why}. Give this user permission to read and write there, then run again."
        case errno.EPIPE:
            return f"{why}. The program that reads it has ended: see its log, then run again."
        case _:
            return f"{why}. Check the path and the disk, then run again."


class ProtocolError(TargetError):
    """The response is not from the Import API: check `region`, `api_url` and proxies."""

    exit_status = 76  # EX_PROTOCOL
    meaning = "the response is not from the service"
    remedy = "check the URL and proxies"


class CredentialsError(TargetError):
    """The Import API refused the token: check `token` and `region`."""

    exit_status = 77  # EX_NOPERM
    meaning = "credentials refused"
    remedy = "check token and region"


class ConfigurationError(TargetError):
    """A setting is invalid; the text names it."""

    exit_status = 78  # EX_CONFIG
    meaning = "invalid configuration or command line"
    remedy = "the message names what is wrong"


class InterruptedRunError(TargetError):
    """A signal ended the run; `exit_status` is 128 plus its number."""

    meaning = "interrupted"
    remedy = "run again"

    def __init__(self, signal_number: int) -> None:
        text = f"Stopped by signal {signal_number}. Run again, from the last state."
        super().__init__(text)
        self.exit_status = 128 + signal_number


FAILURES: dict[int, type[TargetError]] = {
    each.exit_status: each
    for each in (
        InputError,
        ServiceUnavailableError,
        InternalError,
        ResourceError,
        OutputError,
        ProtocolError,
        CredentialsError,
        ConfigurationError,
    )
}
"""The exit statuses of failed runs in ascending order, except for runs ended by a signal."""


def statuses_help(success: str, interrupted: str) -> str:
    """Return the paragraph on exit statuses for `--help`, marked so that click does not wrap it.

    Args:
        success: What 0 means.
        interrupted: The statuses after a signal.
    """
    lines = [f"{status:<4} {each.meaning}: {each.remedy}" for status, each in FAILURES.items()]
    ended = f"{interrupted:<4} {InterruptedRunError.meaning}: {InterruptedRunError.remedy}"
    return "\n  ".join(["\b\nExit status:", f"{0:<4} {success}", *lines, ended])


_NO_ROOM = ("can't start new thread", "can't allocate")
"""Python's messages when it cannot create a thread or a lock; the type of the error varies."""


def internal_error(error: BaseException) -> TargetError:
    """Return the error for an unexpected exception, with its type and place, but no values."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_ROOM):
        return ResourceError(
            "The process is out of memory or threads. Raise its limit (`ulimit`, or the "
            "container's), or lower `max_buffer_bytes`, `batch_size_bytes` and "
            "`max_in_flight_requests`."
        )
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    place = f" at {at.tb_frame.f_code.co_filename.rpartition('/')[2]}:{at.tb_lineno}" if at else ""
    return InternalError(f"Internal error, please report it: {type(error).__name__}{place}")


def quoted(text: str, *, mark: str = "`", limit: int = 200) -> str:
    """Return `text` for a message: between marks, control characters escaped, and truncated."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:limit])
    return f"{mark}{shown}{'...' if len(text) > limit else ''}{mark}"
