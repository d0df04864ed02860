"""The origin of a record, as errors name it: a line of the tap's output, or of a file."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from target_stitch_import.errors import quoted


class BatchFile(Struct, frozen=True):
    """A file of records; `unit` is what its records are counted in.

    `batch_line` is the line of the BATCH message that names the file, or None for a file that was
    given to a command.
    """

    path: str
    batch_line: int | None = None
    unit: Literal["Line", "Row"] = "Line"

    def __str__(self) -> str:
        named_by = "" if self.batch_line is None else f" (BATCH on line {self.batch_line})"
        return f"{quoted(self.path)}{named_by}"


def origin(line: int, file: BatchFile | None = None) -> str:
    """Return where a record is from, as the beginning of a sentence, such as `Line 17`."""
    return f"{file.unit} {line} of {file}" if file else f"Line {line}"
