"""Recognises date-times: RFC 3339 with an offset, as the live service requires."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_REST = (
    r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
    r"(?:Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)"
)
_DATE_TIME = re.compile(
    rf"(\d{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]){_REST}",
    re.ASCII,
)
# On a day that every month has, so that no calendar is needed.
_SURE = re.compile(rf"\d{{4}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8]){_REST}", re.ASCII)
_STRICT_OFFSET = re.compile(r".*(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def is_date_time(text: str) -> bool:
    """Return whether `text` is a date-time that exists, with an offset (`Z`, `+00:00`, `+0000`)."""
    if _SURE.fullmatch(text) is not None:
        return True
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return False
    try:
        date(int(match[1]) or 4, int(match[2]), int(match[3]))  # year 0000 is a leap year
    except ValueError:
        return False
    return True


def is_strict_date_time(text: str) -> bool:
    """Like `is_date_time`, without the `+0000` form."""
    return _STRICT_OFFSET.fullmatch(text) is not None and is_date_time(text)


def all_sure(texts: Iterable[str]) -> bool:
    """Return whether all texts match quickly; if not, `is_date_time` must decide for each."""
    return all(map(_SURE.fullmatch, texts))
