"""Writes the dead-letter file: records that are set aside, and activations, one JSON line each.

Invariant: a message counts as settled only once its line is on the disk.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Raw

from target_stitch_import.delivery.tolerance import Allowance
from target_stitch_import.errors import (
    InternalError,
    OutputError,
    quoted,
    why_it_cannot_be_written,
)
from target_stitch_import.private_files import open_private
from target_stitch_import.singer.lines import is_utf8
from target_stitch_import.singer.origin import origin
from target_stitch_import.singer.outline import record_defect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_stitch_import.batching.set_aside import SetAside


UPSERT = "upsert"
ACTIVATE_VERSION = "activate_version"
"""Values of `action` in a line, as in requests; record lines omit it."""
ACTIVATED = "activated"
"""Value of `action` in a line which notes that a version was activated and replaces older ones."""


class DeadLetterSink(Protocol):
    """Stores messages that are set aside; may be used by any thread."""

    sets_aside: bool
    """Whether messages may be set aside; if not, a refused record ends the run."""

    def write(self, messages: Sequence[SetAside]) -> None:
        """Store `messages`, and return when they are safe."""


class NoDeadLetters:
    """Stores nothing: a refused record ends the run."""

    sets_aside = False

    def write(self, messages: Sequence[SetAside]) -> None:  # noqa: ARG002
        """Raise an error, because nothing may be set aside.

        Raises:
            InternalError: Always.
        """
        raise InternalError("Internal error: there is no dead-letter file.")


class DeadLetters:
    """Appends to one file, which only its owner may read; may be used by any thread.

    Args:
        limit: Setting aside more records than this ends the run.
        sync: Returns when the content of a descriptor's file is on the disk.

    Raises:
        OutputError: The file cannot be opened.
    """

    sets_aside = True

    def __init__(self, path: str, limit: int, sync: Callable[[int], None] = os.fsync) -> None:
        self._path = path
        self._allowance = Allowance(limit, path)
        self._sync = sync
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._file = open_private(path, os.O_RDWR | os.O_APPEND)
            _sync_folder(path)
            self._is_in_mid_line = _ends_in_mid_line(self._file)
        except OSError as error:
            raise OutputError(_cannot_be("written", path, error)) from None

    def incomplete_versions(self) -> set[tuple[str, int]]:
        """Return the tables and versions that lack records of the file; see `lacking`.

        Raises:
            OutputError: The file cannot be read.
        """
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123 - one call is enough
                return lacking(file)
        except OSError as error:
            raise OutputError(_cannot_be("read", self._path, error)) from None

    def write(self, messages: Sequence[SetAside]) -> None:
        """Write `messages` and wait until they are on the disk.

        Raises:
            OutputError: They cannot be written.
            InputError: There are too many; those within the limit are on the disk.
        """
        with self._lock:
            if self._closed:  # the run is over, and another run may be using the file
                raise OutputError(f"The dead-letter file {self._path} is closed.")
            allowed = self._allowance.take(messages)
            if allowed:
                self._write(allowed)
            if len(allowed) < len(messages):
                raise self._allowance.exceeded(messages[len(allowed)])

    def _write(self, messages: Sequence[SetAside]) -> None:
        # If a kill or a full disk has cut off the last line, begin a new one.
        text = b"\n" * self._is_in_mid_line + b"".join(map(_line, messages))
        self._is_in_mid_line = True
        try:
            waiting = memoryview(text)
            while waiting:
                waiting = waiting[os.write(self._file, waiting) :]
            self._is_in_mid_line = False
            self._sync(self._file)
        except OSError as error:
            raise OutputError(_cannot_be("written", self._path, error)) from None

    def close(self) -> None:
        """Close the file; threads that outlive the run can no longer write to it."""
        with self._lock:
            self._closed = True
            os.close(self._file)


def lacking(lines: Iterable[bytes]) -> set[tuple[str, int]]:
    """Return the tables and versions that lack records, according to the lines of the file.

    A version lacks each record that a run has set aside, until the line of the record is removed
    from the file, or a newer version is activated.
    """
    found: set[tuple[str, int]] = set()
    activated: dict[str, int] = {}
    for line in lines:
        entry = _read(line)
        if entry is None or entry.version is None:
            continue
        table = entry.request.table_name or entry.stream
        if entry.action == UPSERT:
            found.add((table, entry.version))
        elif entry.action == ACTIVATED:
            activated[table] = max(entry.version, activated.get(table, entry.version))
    return {
        (table, version) for table, version in found if version >= activated.get(table, version)
    }


class DryDeadLetters:
    """Reports records that would be set aside, and writes no file; may be used by any thread."""

    sets_aside = True

    def __init__(self, limit: int, warn: Callable[[str], None]) -> None:
        self._allowance = Allowance(limit, "the log")
        self._warn = warn
        self._lock = threading.Lock()

    def write(self, messages: Sequence[SetAside]) -> None:
        """Report each of `messages`.

        Raises:
            InputError: There are too many.
        """
        with self._lock:
            allowed = self._allowance.take(messages)
            for each in allowed:
                if each.activated:
                    continue  # a note about an activation, which is not set aside
                text = (
                    f"{origin(each.line, each.file)}: {each.noun} of stream {quoted(each.stream)} "
                    f"would be set aside: {each.reason}"
                )
                self._warn(text)
            if len(allowed) < len(messages):
                raise self._allowance.exceeded(messages[len(allowed)])


def _sync_folder(path: str) -> None:
    """Sync the folder of a new file, so that its name is on the disk, too."""
    folder = os.open(Path(path).absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # not every file system supports it
            raise
    finally:
        os.close(folder)


class _Request(msgspec.Struct, frozen=True):
    table_name: str = ""


class _Entry(msgspec.Struct):
    stream: str
    version: int | None = None
    action: str = UPSERT
    request: _Request = _Request()


def _read(line: bytes) -> _Entry | None:
    try:
        return msgspec.json.decode(line, type=_Entry)
    except (ValueError, RecursionError):
        return None


def _ends_in_mid_line(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _line(message: SetAside) -> bytes:
    entry: dict[str, object] = {
        "stream": message.stream,
        "line": message.line,
        **_file(message),
        "sequence": message.sequence,
        "version": message.version,
        "reason": message.reason,
        "request": Raw(message.prefix.arguments),
    }
    if message.time_extracted:
        entry["time_extracted"] = message.time_extracted
    if not message.mapped:
        entry["mapped"] = False
    if message.activated:
        entry["action"] = ACTIVATED
    elif message.record is None:
        entry["action"] = ACTIVATE_VERSION
    elif is_utf8(message.record) and record_defect(message.record) is None:
        entry["record"] = Raw(message.record)
    else:
        # The record is not JSON, so it is written as a string.
        entry["record_text"] = message.record.decode("utf-8", "replace")
    return msgspec.json.encode(entry) + b"\n"


def _file(message: SetAside) -> dict[str, object]:
    """Return the members that name the file of `line`; none for the tap's output."""
    file = message.file
    return {"file": file.path, "batch_line": file.batch_line} if file else {}


def _cannot_be(done: str, path: str, error: OSError) -> str:
    return f"The dead-letter file {path} cannot be {done}: {why_it_cannot_be_written(error)}"
