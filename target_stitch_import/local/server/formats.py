"""Formats numbers, sizes, times and long texts for the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def count(value: int) -> str:
    """Return a number with thousands separators."""
    return f"{value:,}"


def size(size_bytes: int) -> str:
    """Return a number of bytes in a suitable unit, from B to TB."""
    number, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def took(seconds: float) -> str:
    """Return a duration in milliseconds or seconds."""
    if seconds < 0.001:
        return "<1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def clock(moment: datetime | None) -> str:
    """Return a time of day; `never` for None."""
    return "never" if moment is None else f"{moment:%H:%M:%S}"


def cut(text: str, characters: int) -> str:
    """Shorten a text with an ellipsis in its middle, where names differ least."""
    if len(text) <= characters:
        return text
    head = characters * 2 // 3
    return f"{text[:head]}…{text[head + 1 - characters :]}"
