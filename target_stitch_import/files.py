"""The files that a run uses: what each is for, and that none of them is written over another.

Laws: everything is checked before input is read, and nothing is created or emptied by the checks.
Files are told apart by device and inode, not by name. A file is written only where it is new or
empty, or where it begins and ends like what is to be written there.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING, NoReturn

from target_stitch_import.errors import ConfigurationError, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ENDS_BYTES = 1 << 16
"""How much of a file's beginning and of its end is looked at to tell what it holds."""
_MOST_LINKS = 41
_SPACES = frozenset(" \t\r\n")
_DECODER = json.JSONDecoder()
_FILE_TYPES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Content:
    """What is written to a file, in words, and how to recognise it.

    `recognises` is given the file's first bytes, and its last line or None where that is too long
    to be looked at; at most ENDS_BYTES each.
    """

    words: str
    recognises: Callable[[bytes, bytes | None], bool]
    may_be_empty: bool = True
    flags: int = os.O_RDWR


@dataclass(frozen=True, slots=True)
class Use:
    """A file and what it is used for.

    Args:
        role: What users know it by, within a sentence.
        place: A path, the descriptor of an open file, or None where there is none.
        content: What is written to it, if anything.
        is_output_stream: Whether it was opened for writing before the run looked, by the shell or
            for the log.
        must_be_regular: Whether anything but a regular file is refused although it is only read.
    """

    role: str
    place: str | int | None
    content: Content | None = None
    is_output_stream: bool = False
    must_be_regular: bool = False

    @property
    def writes(self) -> bool:
        """Tell whether it is written to."""
        return self.is_output_stream or self.content is not None

    @property
    def name(self) -> str:
        """The role with its path, within a sentence."""
        return f"{self.role} ({quoted(self.place)})" if isinstance(self.place, str) else self.role


@dataclass(frozen=True, slots=True)
class Files:
    """All files of a run."""

    uses: Sequence[Use]

    def check(self) -> None:
        """Refuse what cannot work, without changing anything.

        Raises:
            ConfigurationError: Two uses are one file and one of them writes, or a file is none
                that may be written; the text names the settings.
        """
        known: dict[tuple[int, int, str], list[Use]] = {}
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
        """Return the role of an open file that is written, and None for any other file.

        Paths are resolved again: their files may exist by now.
        """
        identity = _identity(Use("", descriptor))
        uses = (use for use in self.uses if use.writes and _identity(use) == identity)
        return next((use.name for use in uses), None)


def descriptor_of(stream: object) -> int | None:
    """Return the descriptor of an open file, and None for what has none."""
    try:
        number: int = stream.fileno()  # type: ignore[attr-defined]  # whatever has none is caught
    except (AttributeError, OSError, ValueError):
        return None
    return number


def configurations(paths: Sequence[str]) -> list[Use]:
    """Return what `--config` has read."""
    return [
        Use("`.env`", ".env") if path == "ENV" else Use("the configuration", path) for path in paths
    ]


def output_streams(states: object) -> list[Use]:
    """Return where `states`, or what a command answers, and messages for people go."""
    return [
        Use("stdout", descriptor_of(states), is_output_stream=True),
        Use("stderr", descriptor_of(sys.stderr), is_output_stream=True),
    ]


def database(role: str, path: str) -> list[Use]:
    """Return what DuckDB uses for the database at `path`: it deletes a journal it cannot read."""
    return [Use(role, path, DATABASE), Use(f"the journal of {role}", f"{path}.wal", JOURNAL)]


def _clash(one: Use, other: Use) -> bool:
    # `> log 2>&1` is the shell's way to say that both are meant to be in one file.
    return (one.writes or other.writes) and not (one.is_output_stream and other.is_output_stream)


def _identity(use: Use) -> tuple[int, int, str] | None:
    """Return what tells a file from all others; None for what is no regular file, or nowhere.

    A file that is still to be made is told by its folder and its name in there.

    Raises:
        ConfigurationError: No file can have such a path.
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
    """Return the folder and the name that a file would get which is made by opening `path`.

    Raises:
        OSError: It cannot be made.
    """
    for _ in range(_MOST_LINKS):
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


def _check_file(use: Use, path: str) -> None:
    try:
        status = os.stat(path)  # noqa: PTH116 - as text, with all that it has
        if not stat.S_ISREG(status.st_mode):
            _refuse_type(use, status.st_mode)
        if use.content:
            _check_content(use, path, use.content)
    except FileNotFoundError:
        if use.content:
            _check_folder(use, path)
    except OSError as error:
        _refuse_path(use, error)


def _check_content(use: Use, path: str, content: Content) -> None:
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
            f"{content.words}. It was not changed. Give another path, or move the file."
        )


def _check_folder(use: Use, path: str) -> None:
    import tempfile  # noqa: PLC0415 - only for a file that is new

    try:
        folder, _ = _new_file(path)
        os.stat(folder)  # noqa: PTH116 - as text
        # Its permissions alone do not tell. Where the system can, this file has no name at all.
        tempfile.TemporaryFile(dir=os.path.realpath(folder)).close()
    except OSError as error:
        _refuse_path(use, error)


def _refuse_type(use: Use, mode: int) -> NoReturn:
    found = _FILE_TYPES.get(stat.S_IFMT(mode), "something special")
    raise ConfigurationError(
        f"{_opening(use)} cannot be used: it is {found}, not a regular file. Give the path of a "
        "file."
    )


def _refuse_path(use: Use, error: OSError) -> NoReturn:
    raise ConfigurationError(
        f"{_opening(use)} cannot be used: {error.strerror}. Give a path to a readable and writable "
        "file in an existing folder."
    ) from None


def _opening(use: Use) -> str:
    """Return the name as a sentence begins with it."""
    return use.name[0].upper() + use.name[1:]


def _last_line(tail: bytes, *, is_all: bool) -> bytes | None:
    _, line_break, line = tail.rstrip().rpartition(b"\n")
    return line if line_break or is_all else None


def _members(text: str) -> tuple[set[str], bool] | None:
    """Return the names of the members of the JSON object that `text` begins with.

    Returns:
        The names, and whether the object was there to its end; None for what is no object.
    """
    names: set[str] = set()
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        return None
    at = _after_space(text, at + 1)
    while at < len(text) and text[at] != "}":
        try:
            name, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, at)
            if not isinstance(name, str) or text[at : at + 1] not in {":", ""}:
                return None
            names.add(name)
            _, at = _DECODER.raw_decode(text, _after_space(text, at + 1))
        except (ValueError, RecursionError):
            return names, False  # most likely cut off in there
        at = _after_space(text, at)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
        elif text[at : at + 1] not in {"}", ""}:
            return None
    return names, at < len(text)


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACES:
        at += 1
    return at


def _is_object(text: bytes, required: set[str], optional: set[str]) -> bool:
    """Tell whether `text` begins with an object of such members, or with the beginning of one."""
    if not text.strip():
        return True
    found = _members(text.decode(errors="replace"))
    if found is None:
        return False
    names, is_whole = found
    return names >= required or (not is_whole and names <= required | optional)


def _json_lines(required: set[str], optional: set[str]) -> Callable[[bytes, bytes | None], bool]:
    def recognises(head: bytes, last: bytes | None) -> bool:
        ends = (head, last or b"")
        return all(_is_object(end, required, optional) for end in ends)

    return recognises


LETTERS = Content(
    "dead letters",
    _json_lines(
        {"sequence", "request"},
        {"stream", "line", "file", "batch_line", "version", "reason", "mapped"}
        | {"record", "record_text", "time_extracted", "action"},
    ),
    flags=os.O_RDWR | os.O_APPEND,
)
BODIES = Content(
    "request bodies",
    _json_lines(
        {"table_name", "schema", "messages"}, {"key_names", "table_version", "bookmark_names"}
    ),
)
_EARLY = {"ended_at", "seconds"}
SUMMARY = Content(
    "the summary of a run",
    lambda head, _: _is_object(head, {"program", "version", "started_at", "exit_status"}, _EARLY),
)
PAGE = Content(
    "the page of a run",
    lambda head, _: head.startswith(b"<!doctype html>") and b"<title>Run of " in head,
)
ANYTHING = Content("anything", lambda *_: True)
"""For files that are new or only appended to."""
DATABASE = Content("a DuckDB database", lambda head, _: head[8:12] == b"DUCK", may_be_empty=False)
_JOURNAL_START = b"d\x00be\x00"
JOURNAL = Content(
    "the journal of a DuckDB database",
    lambda head, _: head[: len(_JOURNAL_START)] == _JOURNAL_START[: len(head)],
)
