"""Checks the files that a run uses, so that it never overwrites one of them or a foreign file.

Invariants: everything is checked before input is read, and the checks neither create nor truncate a
file. Files are identified by device and inode, not by name. A file is written only if it is new or
empty, or if its beginning and end look like what is to be written to it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from itertools import chain, combinations
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct

from target_stitch_import.errors import ConfigurationError, quoted
from target_stitch_import.file_contents import DATABASE, ENDS_BYTES, JOURNAL, FileKind

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_LINKS = 41
_FILE_TYPES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class FileUse(Struct, frozen=True):
    """A file and what it is used for.

    Args:
        role: The name of the file in messages, within a sentence.
        place: A path, the descriptor of an open file, or None.
        content: The kind of file that is written, or None if it is only read.
        is_output_stream: Whether it was already opened for writing, by the shell or for the log.
        must_be_regular: Whether it must be a regular file although it is only read.
    """

    role: str
    place: str | int | None
    content: FileKind | None = None
    is_output_stream: bool = False
    must_be_regular: bool = False

    @property
    def writes(self) -> bool:
        """Return whether it is written to."""
        return self.is_output_stream or self.content is not None

    @property
    def name(self) -> str:
        """The role with its path, within a sentence."""
        return f"{self.role} ({quoted(self.place)})" if isinstance(self.place, str) else self.role


class Files(Struct, frozen=True):
    """All files of a run."""

    uses: Sequence[FileUse]

    def check(self) -> None:
        """Check all files, without changing anything.

        Raises:
            ConfigurationError: Two uses are the same file and one of them writes to it, or a file
                must not or cannot be written; the text names the settings.
        """
        known: dict[tuple[int, int, str], list[FileUse]] = {}
        for use in self.uses:
            if (identity := _identity(use)) is not None:
                known.setdefault(identity, []).append(use)
        for one, other in chain.from_iterable(combinations(uses, 2) for uses in known.values()):
            if _clash(one, other):
                a, b = sorted((one, other), key=lambda use: not use.writes)
                raise ConfigurationError(
                    f"{_opening(a)} and {b.name} are the same file: one would overwrite the other. "
                    "Use a different file for each."
                )
        for use in self.uses:
            if isinstance(use.place, str) and (use.content or use.must_be_regular):
                _check_file(use, use.place)

    def written_as(self, descriptor: int) -> str | None:
        """Return the name of the use that writes to an open file, or None.

        Paths are resolved again, because their files may exist by now.
        """
        identity = _identity(FileUse("", descriptor))
        uses = (use for use in self.uses if use.writes and _identity(use) == identity)
        return next((use.name for use in uses), None)


def descriptor_of(stream: object) -> int | None:
    """Return the descriptor of an open file, or None if it has none."""
    try:
        number: int = stream.fileno()  # type: ignore[attr-defined]  # whatever has none is caught
    except (AttributeError, OSError, ValueError):
        return None
    return number


def configurations(paths: Sequence[str]) -> list[FileUse]:
    """Return the files that `--config` has read."""
    return [
        FileUse("`.env`", ".env") if path == "ENV" else FileUse("the configuration", path)
        for path in paths
    ]


def output_streams(states: object) -> list[FileUse]:
    """Return stdout, which is `states` or a command's output, and stderr."""
    return [
        FileUse("stdout", descriptor_of(states), is_output_stream=True),
        FileUse("stderr", descriptor_of(sys.stderr), is_output_stream=True),
    ]


def database(role: str, path: str) -> list[FileUse]:
    """Return the files of a DuckDB database: DuckDB deletes a journal that it cannot read."""
    return [
        FileUse(role, path, DATABASE),
        FileUse(f"the journal of {role}", f"{path}.wal", JOURNAL),
    ]


def _clash(one: FileUse, other: FileUse) -> bool:
    # With `> log 2>&1`, both are meant to be written to one file.
    return (one.writes or other.writes) and not (one.is_output_stream and other.is_output_stream)


def _identity(use: FileUse) -> tuple[int, int, str] | None:
    """Return the identity of a regular file; None if it is not one, or cannot be reached.

    A file that does not exist yet is identified by its folder and its name in it.

    Raises:
        ConfigurationError: The path contains invalid characters.
    """
    if use.place is None:
        return None
    try:
        status = os.stat(use.place)  # noqa: PTH116 - it may be a descriptor
        return (status.st_dev, status.st_ino, "") if stat.S_ISREG(status.st_mode) else None
    except FileNotFoundError:
        pass
    except OSError:
        return None
    except ValueError:
        raise ConfigurationError(
            f"{_opening(use)} cannot be used: the path contains invalid characters."
        ) from None
    try:
        folder, name = _new_file(str(use.place))
        status = os.stat(folder)  # noqa: PTH116 - as text
    except OSError:
        return None
    return status.st_dev, status.st_ino, name


def _new_file(path: str) -> tuple[str, str]:
    """Return the folder and the name of the file that opening `path` would create.

    Raises:
        OSError: It cannot be created.
    """
    for _ in range(_MAX_LINKS):
        folder, name = os.path.split(path)
        if name in {"", os.curdir, os.pardir}:
            raise _os_error(errno.EISDIR if path else errno.ENOENT)
        try:
            path = os.path.join(folder, os.readlink(path))  # noqa: PTH118, PTH115 - `Path` drops `/.`
        except OSError:
            return folder or os.curdir, name
    raise _os_error(errno.ELOOP)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _check_file(use: FileUse, path: str) -> None:
    try:
        status = os.stat(path)  # noqa: PTH116 - `Path` would normalise the text
        if not stat.S_ISREG(status.st_mode):
            _refuse_type(use, status.st_mode)
        if use.content:
            _check_content(use, path, use.content)
    except FileNotFoundError:
        if use.content:
            _check_folder(use, path)
    except OSError as error:
        _refuse_path(use, error)


def _check_content(use: FileUse, path: str, content: FileKind) -> None:
    file = os.open(path, content.flags | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        size = os.fstat(file).st_size
        head = os.pread(file, ENDS_BYTES, 0)
        start = max(0, size - ENDS_BYTES)
        last = _last_line(os.pread(file, ENDS_BYTES, start), is_all=start == 0)
    finally:
        os.close(file)
    is_right = content.recognises(head, last) if size else content.may_be_empty
    if not is_right:
        raise ConfigurationError(
            f"{_opening(use)} cannot be used: the file exists and contains something other than "
            f"{content.description}. It was not changed. Give another path, or move the file."
        )


def _check_folder(use: FileUse, path: str) -> None:
    import tempfile  # noqa: PLC0415 - only for a file that is new

    try:
        folder, _ = _new_file(path)
        os.stat(folder)  # noqa: PTH116 - as text
        # Permissions alone do not say whether a file can be created. This one has no name, if the
        # system supports that.
        tempfile.TemporaryFile(dir=os.path.realpath(folder)).close()
    except OSError as error:
        _refuse_path(use, error)


def _refuse_type(use: FileUse, mode: int) -> NoReturn:
    found = _FILE_TYPES.get(stat.S_IFMT(mode), "something special")
    raise ConfigurationError(
        f"{_opening(use)} cannot be used: it is {found}, not a regular file. Give the path of a "
        "file."
    )


def _refuse_path(use: FileUse, error: OSError) -> NoReturn:
    raise ConfigurationError(
        f"{_opening(use)} cannot be used: {error.strerror}. Give a path to a readable and writable "
        "file in an existing folder."
    ) from None


def _opening(use: FileUse) -> str:
    """Return the name with a capital letter, for the beginning of a sentence."""
    return use.name[0].upper() + use.name[1:]


def _last_line(tail: bytes, *, is_all: bool) -> bytes | None:
    _, line_break, line = tail.rstrip().rpartition(b"\n")
    return line if line_break or is_all else None
