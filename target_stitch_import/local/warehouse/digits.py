"""Numbers in the warehouse keep every digit: which column type holds these values exactly?

A DOUBLE column holds a number if it prints back as the same number; else DECIMAL(38, scale) must.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_DIGITS = 38
DOUBLE = "DOUBLE"
_SURE_CHARACTERS = 16  # fifteen digits and a point always survive a double
_SURE_WHOLE = 10**15


@dataclass(frozen=True, slots=True)
class Extent:
    """Digits before and after the point that a set of numbers needs."""

    whole: int = 0
    scale: int = 0

    def __or__(self, other: Extent) -> Extent:
        return Extent(max(self.whole, other.whole), max(self.scale, other.scale))

    @property
    def fits(self) -> bool:
        """Whether one DECIMAL type can hold them."""
        return self.whole + self.scale <= MAX_DIGITS


@dataclass(frozen=True, slots=True)
class Fit:
    """The SQL type for a column, and the positions of values that no type can hold."""

    sql_type: str
    outside: Sequence[int] = ()


def decimal_type(scale: int) -> str:
    """Name the DECIMAL type of that scale."""
    return f"DECIMAL({MAX_DIGITS},{scale})"


def scale_of(sql_type: str) -> int | None:
    """Read the scale of a DECIMAL type; None for another type."""
    return int(sql_type[:-1].partition(",")[2]) if sql_type.startswith("DECIMAL") else None


def survives_double(value: int | Decimal) -> bool:
    """Whether a double prints back as this number, or is exactly it."""
    try:
        double = float(value)
    except OverflowError:
        return False
    if not math.isfinite(double):
        return False
    return value == Decimal(repr(double)) or value == Decimal(double)


def extent(value: int | Decimal) -> Extent:
    """Measure one number, trailing zeros aside."""
    _, digits, exponent = Decimal(value).as_tuple()
    power = int(exponent)
    count = len(digits)
    while count > 1 and digits[count - 1] == 0:
        count -= 1
        power += 1
    if digits[:count] == (0,):
        return Extent()
    return Extent(max(count + power, 0), max(-power, 0))


def fit(
    values: Iterable[Any],
    current: str | None,
    wanted_scale: int | None,
    existing: Callable[[], Extent],
) -> Fit:
    """Choose the type for a number column that is to hold `values` (None is no value).

    `current` is the column's type so far, `wanted_scale` what a `multipleOf` asks of a new one,
    and `existing` measures what the column holds already; it is called only before a change.
    """
    numbers = [(at, value) for at, value in enumerate(values) if value is not None]
    scale = scale_of(current) if current else wanted_scale
    if scale is None:
        outside = _outside_double([value for _, value in numbers])
        if not outside:
            return Fit(DOUBLE)
        fallback = Fit(DOUBLE, [numbers[at][0] for at in outside])
    else:
        room = Extent(MAX_DIGITS - scale, scale)
        extents = [extent(value) for _, value in numbers]
        beyond = [at for at, each in enumerate(extents) if room | each != room]
        if not beyond:
            return Fit(decimal_type(scale))
        fallback = Fit(decimal_type(scale), [numbers[at][0] for at in beyond])
    needed = Extent(0, scale or 0)
    for _, value in numbers:
        needed |= extent(value)
    if needed.fits and current is not None:
        needed |= existing()
    return Fit(decimal_type(needed.scale)) if needed.fits else fallback


def _outside_double(values: list[int | Decimal]) -> list[int]:
    """Find the values that a double would change; most columns are judged by length alone."""
    whole = [value for value in values if type(value) is int]
    texts = list(map(str, values if not whole else (v for v in values if type(v) is Decimal)))
    sure = max(map(len, texts), default=0) <= _SURE_CHARACTERS and "E" not in "".join(texts)
    if sure and max(whole, default=0) < _SURE_WHOLE and min(whole, default=0) > -_SURE_WHOLE:
        return []
    return _each_outside(values)


def _each_outside(values: list[int | Decimal]) -> list[int]:
    return [at for at, value in enumerate(values) if not survives_double(value)]
