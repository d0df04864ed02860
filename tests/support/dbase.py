"""Writes dBase III files with integers and texts, for a tap that reads them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME_BYTES = 12
COLUMNS = (("ID", "I", 4), ("NAME", "C", NAME_BYTES))


def write_dbase(path: Path, rows: Sequence[tuple[int, str]]) -> None:
    """Write a table of the columns ID and NAME; an existing file is replaced."""
    header_bytes = 32 + 32 * len(COLUMNS) + 1
    row_bytes = 1 + sum(length for _, _, length in COLUMNS)
    table = struct.pack("<4BIHH20x", 0x03, 113, 3, 1, len(rows), header_bytes, row_bytes)
    for name, kind, length in COLUMNS:
        table += struct.pack("<11sc4xBB14x", name.encode(), kind.encode(), length, 0)
    table += b"\r"
    for number, name in rows:
        table += b" " + struct.pack("<i", number) + name.encode().ljust(NAME_BYTES)
    path.write_bytes(table + b"\x1a")
