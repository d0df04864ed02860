"""The dead-letter file: records set aside, one JSON line each.

Law: a record counts as settled only once its line is on the disk.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Raw

from target_stitch_import.errors import InputError, OutputError, quoted
from target_stitch_import.private_files import open_private
from target_stitch_import.singer.origin import place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_stitch_import.batching.set_aside import SetAside


class Shelf(Protocol):
    """Where records go that are set aside; from any thread."""

    def write(self, records: Sequence[SetAside]) -> None:
        """Put `records` where they are safe."""


class DeadLetters:
    """Appends to one file, which only its owner may read; from any thread.

    Args:
        limit: More records than this end the run.
        sync: Comes back once what a descriptor's file holds is on the disk.
    """

    def __init__(self, path: str, limit: int, sync: Callable[[int], None] = os.fsync) -> None:
        self._path = path
        self._limit = limit
        self._sync = sync
        self._lock = threading.Lock()
        self._count = 0
        self._closed = False
        try:
            self._file = open_private(path, os.O_RDWR | os.O_APPEND)
            _sync_folder(path)
            self._is_in_mid_line = _ends_in_mid_line(self._file)
        except OSError as error:
            raise OutputError(_cannot_write(path, error)) from None

    def versions(self) -> set[tuple[str, int]]:
        """Return the streams and table versions that records in the file were set aside from.

        A version lacks these records until they are repaired and sent, whichever run set them
        aside.
        """
        found: set[tuple[str, int]] = set()
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123 - beside the descriptor
                for line in file:
                    entry = _read(line)
                    if entry and entry.version is not None:
                        found.add((entry.stream, entry.version))
        except OSError as error:
            raise OutputError(_cannot_write(self._path, error)) from None
        return found

    def write(self, records: Sequence[SetAside]) -> None:
        """Write `records` and wait until they are on the disk.

        Raises:
            OutputError: They are not.
            InputError: There are too many; these were not written.
        """
        with self._lock:
            if self._closed:  # the run is over, and its file may be another one's by now
                raise OutputError(f"The dead-letter file {self._path} is closed.")
            self._write(records)

    def _write(self, records: Sequence[SetAside]) -> None:
        self._count += len(records)
        _check_limit(self._count, self._limit, records[-1], self._path)
        # A line that was cut off, by a kill or a full disk, must not spoil the next one.
        text = b"\n" * self._is_in_mid_line + b"".join(map(_line, records))
        self._is_in_mid_line = True
        try:
            waiting = memoryview(text)
            while waiting:
                waiting = waiting[os.write(self._file, waiting) :]
            self._is_in_mid_line = False
            self._sync(self._file)
        except OSError as error:
            raise OutputError(_cannot_write(self._path, error)) from None

    def close(self) -> None:
        """Close the file; a thread that outlives the run writes nothing any more."""
        with self._lock:
            self._closed = True
            os.close(self._file)


class DryDeadLetters:
    """Tells of records that would be set aside, and leaves every file alone; from any thread."""

    def __init__(self, path: str, limit: int, tell: Callable[[str], None]) -> None:
        self._path = path
        self._limit = limit
        self._tell = tell
        self._count = 0
        self._lock = threading.Lock()

    def write(self, records: Sequence[SetAside]) -> None:
        """Tell of `records`.

        Raises:
            InputError: There are too many.
        """
        with self._lock:
            for record in records:
                self._count += 1
                _check_limit(self._count, self._limit, record, self._path)
                text = (
                    f"{place(record.line, record.file)}: a record of stream "
                    f"{quoted(record.stream)} would be set aside: {record.reason}"
                )
                self._tell(text)


def _check_limit(count: int, limit: int, last: SetAside, path: str) -> None:
    if count > limit:
        raise InputError(
            f"More than {limit:,} records were set aside (`dead_letter_limit`). The last one: "
            f"{place(last.line, last.file)}: {last.reason}. See {path}."
        )


def _sync_folder(path: str) -> None:
    """Make the name of a new file as lasting as what will stand in it."""
    folder = os.open(Path(path).absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # not every file system can
            raise
    finally:
        os.close(folder)


class _Entry(msgspec.Struct):
    stream: str
    version: int | None = None


def _read(line: bytes) -> _Entry | None:
    try:
        return msgspec.json.decode(line, type=_Entry)
    except (ValueError, RecursionError):
        return None


def _ends_in_mid_line(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _line(record: SetAside) -> bytes:
    entry: dict[str, object] = {
        "stream": record.stream,
        "line": record.line,
        **_file(record),
        "sequence": record.sequence,
        "version": record.version,
        "reason": record.reason,
        "request": Raw(record.prefix.arguments),
    }
    if not record.mapped:
        entry["mapped"] = False
    try:
        msgspec.json.decode(record.record, type=Raw)
        entry["record"] = Raw(record.record)
    except (ValueError, RecursionError):
        # No JSON by itself, so it goes in as text.
        entry["record_text"] = record.record.decode("utf-8", "replace")
    return msgspec.json.encode(entry) + b"\n"


def _file(record: SetAside) -> dict[str, object]:
    """Return what tells where `line` is, for a record that came from a file."""
    file = record.file
    return {"file": file.path, "batch_line": file.batch_line} if file else {}


def _cannot_write(path: str, error: OSError) -> str:
    return f"The dead-letter file {path} cannot be written: {error.strerror or error}."
