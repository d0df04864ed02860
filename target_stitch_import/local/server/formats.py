"""Numbers, sizes, times and long texts as the page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def count(value: int) -> str:
    """Write a number with its thousands apart."""
    return f"{value:,}"


def size(size_bytes: int) -> str:
    """Write a number of bytes in the unit that fits."""
    number, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def took(seconds: float) -> str:
    """Write how long an answer took."""
    if seconds < 0.001:
        return "<1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def clock(moment: datetime | None) -> str:
    """Write a time of day."""
    return "never" if moment is None else f"{moment:%H:%M:%S}"


def cut(text: str, characters: int) -> str:
    """Cut a text in its middle, where names differ the least, and mark it."""
    if len(text) <= characters:
        return text
    head = characters * 2 // 3
    return f"{text[:head]}…{text[head + 1 - characters :]}"
