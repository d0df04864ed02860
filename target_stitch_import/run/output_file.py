"""Writes the file of request bodies for `--output-file`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from target_stitch_import.errors import OutputError, why_it_cannot_be_written
from target_stitch_import.private_files import open_private

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutputFile:
    """Saves delivered request bodies, one per line, in a file that only its owner may read.

    Its methods raise `OutputError` if the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._output_errors():
            self._file = os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb")

    def write(self, body: bytes) -> None:
        """Append one body."""
        with self._output_errors():
            self._file.write(body + b"\n")

    def close(self) -> None:
        """Write what is still buffered, and close the file."""
        with self._output_errors():
            self._file.close()

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"The output file {self._path} cannot be written: {why_it_cannot_be_written(error)}"
            ) from None
