"""Where a record came from: a line of the tap's output, or of a file that has a name."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from target_stitch_import.errors import quoted


class BatchFile(Struct, frozen=True):
    """A file that the BATCH message on `batch_line` names, or None that a command was given.

    Its records are counted by `unit`.
    """

    path: str
    batch_line: int | None = None
    unit: Literal["Line", "Row"] = "Line"

    def __str__(self) -> str:
        named_by = "" if self.batch_line is None else f" (BATCH on line {self.batch_line})"
        return f"{quoted(self.path)}{named_by}"


def origin(line: int, file: BatchFile | None = None) -> str:
    """Return where a record is from, as a sentence begins: a line of `file` or of the input."""
    return f"{file.unit} {line} of {file}" if file else f"Line {line}"
