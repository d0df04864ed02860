"""Formats numbers, sizes, rates and times for people."""

from __future__ import annotations

ACKNOWLEDGED = "acknowledged"
WOULD_BE_SENT = "would be sent"
"""Replaces `ACKNOWLEDGED` in a dry run."""

_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def counted(number: int, name: str) -> str:
    """Return a number with a noun: `1 record`, `2,000 records`, `3 batches`."""
    if number == 1:
        return f"1 {name}"
    return f"{number:,} {name}{'es' if name.endswith(('ch', 's')) else 's'}"


def size(number: float) -> str:
    """Return a number of bytes: `148 B`, `1.2 kB`, `3.4 GB`."""
    for unit_bytes, unit in _SIZES:
        # 999.95 kB would be rounded to 1,000.0 kB, so it is shown as 1.0 MB.
        if number >= unit_bytes * 0.99995:
            return f"{number / unit_bytes:,.1f} {unit}"
    return f"{number:,.0f} B"


def rate(number: float) -> str:
    """Return a rate: `15,012`, and with a decimal if it is small: `0.3`."""
    if number >= 9.95 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 0.095 else f"{max(number, 0.01):.2f}"


def elapsed(seconds: float) -> str:
    """Return a time in minutes and seconds, or with hours: `0:05`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Return a time with its unit, shorter times more precisely: `20 ms`, `3.4 s`, `2:05`."""
    if seconds >= 59.5:
        return elapsed(seconds + 0.5)
    if seconds >= 9.95:
        return f"{seconds:.0f} s"
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1_000
    return f"{milliseconds:.0f} ms" if milliseconds >= 1 or not seconds else "under 1 ms"
