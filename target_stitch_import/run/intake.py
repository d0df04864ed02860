"""What a run reads: the tap's output, and in the place of a BATCH message its files.

Law: `read` takes in a bounded portion, so that a run can look around, and wait for room, between
any two of them.
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
"""After a read that brought little, a tap that flushes each line gets this long to write more."""
LOOK_SECONDS = 0.04
"""How often it is looked whether it has written much, and is not to be kept waiting."""


class Source:
    """The tap's output, as bytes; anything that was opened for reading will do."""

    def __init__(self, stream: IO[Any]) -> None:
        binary: IO[Any] = getattr(stream, "buffer", stream)
        if isinstance(stream, io.StringIO):
            binary = io.BytesIO(stream.getvalue().encode())
        self._binary = binary
        try:
            self.descriptor: int | None = binary.fileno()
        except (OSError, AttributeError):
            self.descriptor = None
        pipe_bytes = _pipe_capacity(self.descriptor)
        self._little_bytes = min(pipe_bytes, CHUNK_BYTES) // 4
        self._much_bytes = pipe_bytes // 2
        self.brought_little = False
        """Whether the last read found so little in a pipe that waiting for more is worth it."""

    def has_much(self) -> bool:
        """Tell whether there is so much in a pipe that it had better be read."""
        if self.descriptor is None:
            return True
        waiting = array("i", [0])
        try:
            fcntl.ioctl(self.descriptor, termios.FIONREAD, waiting)
        except OSError:
            return True  # it cannot be told
        return waiting[0] >= self._much_bytes

    def read(self) -> bytes:
        """Return what there is; nothing at the end.

        Raises:
            InputError: It cannot be read.
        """
        try:
            if self.descriptor is None:
                return bytes(self._binary.read(CHUNK_BYTES))
            chunk = os.read(self.descriptor, CHUNK_BYTES)
        except OSError as error:
            raise InputError(f"The input cannot be read: {error.strerror or error}.") from None
        self.brought_little = len(chunk) < self._little_bytes
        return chunk


def _pipe_capacity(descriptor: int | None) -> int:
    """Return the capacity in bytes of a pipe, enlarged where the system allows it; 0 for others."""
    if descriptor is None or not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return 0
    with suppress(OSError, AttributeError):  # Linux alone can, and not beyond a user's share
        return fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with suppress(OSError, AttributeError):
        return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    return select.PIPE_BUF


class Intake:
    """Reads events, portion by portion, from `source` and the files that it names.

    What follows a BATCH message waits until its files are read.
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
        """How many lines of the tap's output were read."""
        return self._reader.lines_read

    @property
    def is_at_end(self) -> bool:
        """Tell whether everything was read."""
        return self._source_ended and self._waiting is None

    @property
    def descriptor(self) -> int | None:
        """What must become readable before the next `read`; None where it need not wait."""
        return self._source.descriptor if self._waiting is None else None

    @property
    def pause_seconds(self) -> float:
        """How long the next `read` had better wait, though it need not."""
        return PAUSE_SECONDS if self._waiting is None and self._source.brought_little else 0.0

    def has_much(self) -> bool:
        """Tell whether such a wait had better end."""
        return self._source.has_much()

    def read(self) -> Iterator[Event]:
        """Yield the events of the next portion: of a file, or what is left of one of stdin.

        Take all of them before the next call: what is left behind is lost.

        Raises:
            InputError: Something cannot be read; everything before it was yielded.
            ConfigurationError: Files cannot be read as this target is set up.
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
