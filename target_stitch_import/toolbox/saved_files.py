"""Reads the files of a replay: in order, repeatedly if needed, with one open at a time."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING

import click

from target_stitch_import.errors import InputError, OutputError, why_it_cannot_be_written
from target_stitch_import.singer.origin import BatchFile
from target_stitch_import.toolbox.saved_lines import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COPIED_BYTES = 1_000_000
"""How much of a file that can be read only once is copied at a time."""


class SavedFiles:
    """The files of request bodies and dead letters; close it after reading.

    Args:
        paths: The files in the order of their replay; `-` is stdin. Messages name the file if there
            are several.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        names = {path: BatchFile(path) if len(paths) > 1 else None for path in paths}
        self._names = names
        self._numbers = {name: number for number, name in enumerate(names.values())}
        self._copies: dict[str, IO[bytes]] = {}
        self._open = ExitStack()

    def lines(self) -> Iterator[tuple[Place, bytes]]:
        """Yield each line that is not blank.

        Raises:
            InputError: A file cannot be read.
            OutputError: A file can be read only once, and its copy cannot be written.
        """
        for path, name in self._names.items():
            try:
                with self._opened(path) as file:
                    for line, text in enumerate(file, 1):
                        if not text.isspace():
                            yield Place(line, name), text
            except OSError as error:
                raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None

    def order(self, place: Place) -> tuple[int, int]:
        """Return a sort key: the order in which places are read."""
        return self._numbers[place.file], place.line

    def close(self) -> None:
        """Remove the copies of inputs that can be read only once."""
        self._open.close()

    @contextmanager
    def _opened(self, path: str) -> Iterator[IO[bytes]]:
        if path in self._copies:
            self._copies[path].seek(0)
            yield self._copies[path]
            return
        with click.open_file(path, "rb") as file:
            if file.seekable():
                file.seek(0)  # stdin stays open
                yield file
                return
            with _copy_errors(path):
                copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
            self._copies[path] = self._open.enter_context(copy)
            for part in iter(lambda: file.read(_COPIED_BYTES), b""):
                _write(copy, part, path)
        copy.seek(0)
        yield copy


def _write(copy: IO[bytes], part: bytes, path: str) -> None:
    with _copy_errors(path):
        try:
            copy.write(part)
            copy.flush()
        except OSError:
            with suppress(OSError):  # closing writes what is still buffered, and fails again
                copy.close()
            raise


@contextmanager
def _copy_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"The temporary copy of {path} cannot be written: {why_it_cannot_be_written(error)}"
        ) from None
