"""Reads the input of a run: the tap's output, and the files of BATCH messages.

Invariant: `read` reads a bounded portion, so that a run can check for signals, and wait for room in
the buffer, between any two portions.
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import stat
import termios
from array import array
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from target_stitch_import.errors import InputError
from target_stitch_import.singer.messages import MessageLines, RecordFiles
from target_stitch_import.singer.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from target_stitch_import.run.batch_files import BatchFiles
    from target_stitch_import.singer.messages import Event

CHUNK_BYTES = 1 << 18
PIPE_BYTES = 1 << 20
PAUSE_SECONDS = 0.08
"""After a small read, a tap that flushes each line gets this long to write more."""
CHECK_SECONDS = 0.04
"""The time between two checks, during this pause, whether the pipe is full enough to be read."""


class Source:
    """The tap's output as bytes, from any object that was opened for reading."""

    def __init__(self, stream: IO[Any]) -> None:
        binary: IO[Any] = getattr(stream, "buffer", stream)
        if isinstance(stream, io.StringIO):
            binary = io.BytesIO(stream.getvalue().encode())
        self._binary = binary
        try:
            self.descriptor: int | None = binary.fileno()
        except (OSError, AttributeError):
            self.descriptor = None
        pipe_bytes = _enlarge_pipe(self.descriptor)
        self._little_bytes = min(pipe_bytes, CHUNK_BYTES) // 4
        self._much_bytes = pipe_bytes // 2
        self.brought_little = False
        """Whether the last read got so little from a pipe that waiting for more is worth it."""

    def has_much(self) -> bool:
        """Return whether the pipe is so full that it should be read now; True if unknown."""
        if self.descriptor is None:
            return True
        waiting = array("i", [0])
        try:
            fcntl.ioctl(self.descriptor, termios.FIONREAD, waiting)
        except OSError:
            return True  # unknown
        return waiting[0] >= self._much_bytes

    def read(self) -> bytes:
        """Return the available bytes, at most `CHUNK_BYTES`; empty at the end of the input.

        Raises:
            InputError: The input cannot be read.
        """
        try:
            if self.descriptor is None:
                return bytes(self._binary.read(CHUNK_BYTES))
            chunk = os.read(self.descriptor, CHUNK_BYTES)
        except OSError as error:
            raise InputError(f"The input cannot be read: {error.strerror or error}.") from None
        self.brought_little = len(chunk) < self._little_bytes
        return chunk


def _enlarge_pipe(descriptor: int | None) -> int:
    """Enlarge a pipe if the system allows it, and return its capacity in bytes; 0 if no pipe."""
    if descriptor is None or not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return 0
    with suppress(OSError, AttributeError):  # only on Linux, and within the user's limit
        return fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with suppress(OSError, AttributeError):
        return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    return select.PIPE_BUF


class Intake:
    """Reads events in portions, from `source` and from the files that its BATCH messages name.

    The lines after a BATCH message wait until its files are read.
    """

    def __init__(self, source: Source, files: BatchFiles) -> None:
        self._source = source
        self._files = files
        self._reader = Reader(MessageLines())
        self._source_ended = False
        self._waiting: Iterator[Event] | None = None
        self._portions: Iterator[Iterable[Event]] = iter(())

    @property
    def lines_read(self) -> int:
        """The number of lines read from the tap's output."""
        return self._reader.lines_read

    @property
    def is_at_end(self) -> bool:
        """Return whether everything was read."""
        return self._source_ended and self._waiting is None

    @property
    def descriptor(self) -> int | None:
        """The descriptor to wait for before the next `read`; None if there is no need to wait."""
        return self._source.descriptor if self._waiting is None else None

    @property
    def pause_seconds(self) -> float:
        """How long to delay the next `read`, so that it reads more at once."""
        return PAUSE_SECONDS if self._waiting is None and self._source.brought_little else 0.0

    def has_much(self) -> bool:
        """Return whether the tap has written so much that `read` should be delayed no longer."""
        return self._source.has_much()

    def read(self) -> Iterator[Event]:
        """Yield the events of the next portion, of a file or of the tap's output.

        All of them must be taken before the next call, which would lose the rest.

        Raises:
            InputError: The input or a file is invalid; everything before it was yielded.
            ConfigurationError: A file needs an extra that is not installed.
        """
        portion = next(self._portions, None)
        if portion is not None:
            yield from portion
            return
        if self._waiting is None:
            chunk = self._source.read()
            self._source_ended = not chunk
            self._waiting = self._reader.feed(chunk) if chunk else self._reader.close()
        for event in self._waiting:
            yield event
            if isinstance(event, RecordFiles):
                self._portions = self._files.portions(event)
                return
        self._waiting = None
