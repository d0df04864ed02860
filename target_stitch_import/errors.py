"""What can end a run, named by what the user must do about it, each with its exit status.

Every message names what is wrong, where, and what to do; none carries a record value or a token.
"""

from __future__ import annotations

from typing import NoReturn


def assert_never(value: NoReturn) -> NoReturn:
    """Fail on a case that type checkers know cannot be; `typing` has this from Python 3.11 on."""
    raise TypeError(f"there is no case for {type(value).__name__}")


class TargetError(Exception):
    """Ends the run with `exit_status`; its text is shown to the user as it is."""

    exit_status = 70  # EX_SOFTWARE: an internal error


class InputError(TargetError):
    """The tap's output, or a record or batch that was refused: mend the data or the tap."""

    exit_status = 65


class StreamUnknownError(InputError):
    """A message of a stream came before its SCHEMA."""


class KeyMissingError(InputError):
    """A record lacks a key property."""


class ServiceUnavailableError(TargetError):
    """The Import API stayed out of reach past `max_retry_seconds`: run again later."""

    exit_status = 69


class ResourceError(TargetError):
    """The machine gives no more memory or threads: give it more, or use less."""

    exit_status = 71  # EX_OSERR


class OutputError(TargetError):
    """Stdout, the dead-letter file, or the output file could not be written."""

    exit_status = 74


class ProtocolError(TargetError):
    """What answered is not the Import API: check `region`, `api_url` and proxies."""

    exit_status = 76


class CredentialsError(TargetError):
    """The Import API refused the token: check `token` and `region`."""

    exit_status = 77


class ConfigurationError(TargetError):
    """A setting cannot work; the text names it."""

    exit_status = 78


class InterruptedRunError(TargetError):
    """A signal ended the run; `exit_status` is 128 plus its number."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"Stopped by signal {signal_number}.")
        self.exit_status = 128 + signal_number


_NO_ROOM = ("can't start new thread", "can't allocate")
"""Python's words where it has no room for a thread or a lock; the type of the error varies."""


def internal_error(error: BaseException) -> TargetError:
    """Return what is told of an exception that nobody meant: its type and place, and no values."""
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
    return TargetError(f"Internal error, please report it: {type(error).__name__}{place}")


def quoted(text: str, *, mark: str = "`", limit: int = 200) -> str:
    """Return `text` fit for a message: no control characters, not endless, in quotation marks."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:limit])
    return f"{mark}{shown}{'...' if len(text) > limit else ''}{mark}"
