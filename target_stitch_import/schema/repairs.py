"""Rewrites single values: date-times to the documented format, and others as `repairs` allows.

Invariant: a value that the schema and the API accept does not change, and an invalid one changes
only as the settings allow.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from target_stitch_import.pointers import pointer_to
from target_stitch_import.schema.date_times import (
    LONGEST_SPELLING,
    is_a_day,
    is_date_time,
    respelled,
)
from target_stitch_import.schema.node import same_value
from target_stitch_import.schema.values import LONGEST_NUMBER, exact_decimal, is_multiple, parts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from msgspec import Raw

    from target_stitch_import.schema.node import Node
    from target_stitch_import.schema.places import Place

RESPELLED = "date_time_spelling"
"""The repair of a date-time in another format; it is always enabled."""

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
"""The replacements, by `clamp_dates`, of earlier and later date-times."""

_LIKE_A_DATE = re.compile(
    r"(?P<year>[+-]?\d{4,9})-(?P<day>\d\d-\d\d)"
    r"(?:[Tt ](?P<time>\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[+-]\d\d(?::?\d\d){0,2})?)"
    r"(?: ?(?:[Zz]|UTC|GMT))?)?(?P<bc> BC)?",
    re.ASCII,
)
"""A date or a date-time, with any numbers."""


class Rewriter:
    """Rewrites the text of one value if it is invalid.

    Args:
        completes: Whether a date-time without an offset gets the offset of UTC.
        repairs: Names of the enabled repairs.
    """

    def __init__(self, *, completes: bool, repairs: Collection[str] = ()) -> None:
        self.completes = completes
        self._repairs = frozenset(repairs)

    def __call__(self, text: Raw, place: Place) -> tuple[bytes, str | None] | None:
        """Return the new text of a string or number, and the repair; None if it does not change.

        The repair is None if a date-time only got its missing offset.
        """
        if bytes(memoryview(text)[:1]) == b'"':
            if not place.is_date_time or len(text) > LONGEST_SPELLING:
                return None
            return self._date_time(msgspec.json.decode(text, type=str))
        if place.step is None or "round_decimals" not in self._repairs:
            return None
        new = rounded(str(text, "ascii"), place.step)
        return (new.encode(), "round_decimals") if new else None

    def _date_time(self, text: str) -> tuple[bytes, str | None] | None:
        if is_date_time(text):
            return None
        if new := respelled(text):
            return b'"%b"' % new.encode(), RESPELLED
        if naive := respelled(text, "Z"):
            return (b'"%b"' % naive.encode(), None) if self.completes else None
        if "clamp_dates" in self._repairs and (end := clamped(text)):
            return b'"%b"' % end.encode(), "clamp_dates"
        if "invalid_dates_to_null" in self._repairs and is_impossible_date(text):
            return b"null", "invalid_dates_to_null"
        return None


def rounded(text: str, step: int | Decimal) -> str | None:
    """Return a number rounded to a multiple of `step`, half to even.

    None if it is a multiple, has no more decimals than `step`, or if `step` is too large to compute
    with.

    Raises:
        ValueError: It is not a number, or too long.
    """
    number = exact_decimal(text)
    coefficient, exponent = parts_of(number)
    step_coefficient, step_exponent = parts_of(step)
    if exponent >= step_exponent or is_multiple(number, step):
        return None
    if step_exponent > LONGEST_NUMBER:
        return None  # computing would take too long
    unit = step_coefficient * 10 ** (step_exponent - exponent)
    whole, rest = divmod(abs(coefficient), unit)
    whole += 2 * rest > unit or (2 * rest == unit and whole % 2 == 1)
    is_negative = coefficient < 0 and whole > 0
    sign = "-" if is_negative else ""
    return format(Decimal(f"{sign}{whole * step_coefficient}e{step_exponent}"), "f")


def clamped(text: str) -> str | None:
    """Return the nearest date-time in the years 1 to 9999; None if `text` is one, or invalid."""
    match = _LIKE_A_DATE.fullmatch(text)
    if match is None or not (match["time"] and _is_real(match)):
        return None
    year = int(match["year"])
    if match["bc"] or year < 1:
        return FIRST
    return LAST if year > 9999 else None


def is_impossible_date(text: str) -> bool:
    """Return whether `text` has the form of a date or date-time, but of one that does not exist."""
    match = _LIKE_A_DATE.fullmatch(text)
    return match is not None and not (
        _is_real(match) and not match["bc"] and 1 <= int(match["year"]) <= 9999
    )


def _is_real(match: re.Match[str]) -> bool:
    """Return whether day and time exist, whatever the year."""
    year = abs(int(match["year"])) % 400 or 400  # the calendar repeats every 400 years
    moment = f"{year:04}-{match['day']}"
    if not is_a_day(moment):
        return False
    return match["time"] is None or respelled(f"{moment}T{match['time']}", "Z") is not None


def shown_path(path: Iterable[str | int], root: Node) -> str:
    """Return a pointer that may be shown: without indices, and with `*` for names that are data."""
    nodes = same_value(root)
    shown: list[str] = []
    for step in path:
        if isinstance(step, int):
            below = [each for node in nodes for each in node.all_items()]
        else:
            below = [node.properties[step] for node in nodes if step in node.properties]
            is_known = below or (not shown and all(isinstance(node.rest, bool) for node in nodes))
            shown.append(step if is_known else "*")
            below = below or [node.rest for node in nodes if not isinstance(node.rest, bool)]
        nodes = [each for node in below for each in same_value(node)]
    return pointer_to(shown)
