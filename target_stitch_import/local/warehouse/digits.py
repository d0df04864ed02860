"""Chooses the column types of numbers, so that the warehouse keeps every digit.

A DOUBLE column holds a number if it prints back as the same number; else DECIMAL(38, scale) must,
and where that has too few digits, text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.api.numbers import written_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Number = int | Decimal

MAX_DIGITS = 38
DOUBLE = "DOUBLE"
TEXT = "VARCHAR"
MAX_DECLARED_SCALE = MAX_DIGITS // 2  # a greater one leaves few digits before the point
_SURE_DIGITS = 15  # always survive a double


@dataclass(frozen=True, slots=True)
class Extent:
    """Digits before and after the point that a set of numbers needs."""

    whole: int = 0
    scale: int = 0

    def __or__(self, other: Extent) -> Extent:
        return Extent(max(self.whole, other.whole), max(self.scale, other.scale))

    @property
    def fits(self) -> bool:
        """Return whether one DECIMAL type can hold these numbers."""
        return self.whole + self.scale <= MAX_DIGITS


@dataclass(frozen=True, slots=True)
class Range:
    """A destination's documented limits of decimals: digits before and after the point, and total.

    0 means no limit. Numbers that a double holds are within every range.
    """

    whole: int = 0
    scale: int = 0
    digits: int = 0

    def holds(self, needed: Extent) -> bool:
        """Return whether a number that needs these digits is within the limits."""
        return (
            (not self.whole or needed.whole <= self.whole)
            and (not self.scale or needed.scale <= self.scale)
            and (not self.digits or needed.whole + needed.scale <= self.digits)
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """The SQL type for a column, and the positions of values outside the destination's range."""

    sql_type: str
    outside: Sequence[int] = ()


def decimal_type(scale: int) -> str:
    """Return the DECIMAL type with this scale."""
    return f"DECIMAL({MAX_DIGITS},{scale})"


def scale_of(sql_type: str) -> int | None:
    """Read the scale of a DECIMAL type; None for another type."""
    return int(sql_type[:-1].partition(",")[2]) if sql_type.startswith("DECIMAL") else None


def survives_double(value: int | Decimal) -> bool:
    """Return whether a double prints back as this number, or equals it exactly."""
    try:
        double = float(value)
    except OverflowError:
        return False
    if not math.isfinite(double):
        return False
    return value == Decimal(repr(double)) or value == Decimal(double)


def extent(value: int | Decimal) -> Extent:
    """Return the digits of one number, without trailing zeros."""
    _, digits, exponent = Decimal(value).as_tuple()
    power = int(exponent)
    count = len(digits)
    while count > 1 and digits[count - 1] == 0:
        count -= 1
        power += 1
    if digits[:count] == (0,):
        return Extent()
    return Extent(max(count + power, 0), max(-power, 0))


def plain(value: Number) -> str:
    """Write a number in digits only, its canonical form in a text column."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def as_json_values(kind: str, sql_type: str, values: Sequence[Any]) -> Sequence[Any]:
    """Return a column's values as JSON can carry them: numbers that it would round become text."""
    if kind not in ("integer", "number") or sql_type == "BIGINT":
        return values
    text = plain if sql_type == TEXT else str
    return [None if value is None else text(value) for value in values]


@dataclass(frozen=True, slots=True)
class ColumnState:
    """A number column before a load: its type, None for a new column.

    `existing` measures the numbers already in it; it is called only before its type changes.
    """

    sql_type: str | None
    declared_scale: int | None
    """The scale that `multipleOf` gives a new column, if it is not above MAX_DECLARED_SCALE."""
    existing: Callable[[], Extent]


def fit(values: Sequence[Number | None], state: ColumnState, allowed: Range) -> Fit:
    """Choose the type of a number column, given the `values` to load (None: no value)."""
    rough = rough_extent(values)
    outside: list[int] = []
    if not allowed.holds(rough):
        outside = [
            at
            for at, value in enumerate(values)
            if value is not None and not allowed.holds(extent(value)) and not survives_double(value)
        ]
        beyond = frozenset(outside)
        values = [None if at in beyond else value for at, value in enumerate(values)]
        rough = rough_extent(values)
    return Fit(_type(values, rough, state), outside)


def _type(values: Sequence[Number | None], rough: Extent, state: ColumnState) -> str:
    current = state.sql_type
    if current == TEXT:
        return TEXT
    scale = scale_of(current) if current else state.declared_scale
    if current is None and scale is not None and scale > MAX_DECLARED_SCALE:
        scale = 0
    if scale is None:
        if not _changed_by_double(values, rough):
            return DOUBLE
        scale = 0
    needed = Extent(0, scale) | rough
    if not needed.fits or needed.scale > scale:  # perhaps only because of trailing zeros
        needed = Extent(0, scale) | exact_extent(values)
    if needed.fits and current not in (None, decimal_type(needed.scale)):
        needed |= state.existing()
    return decimal_type(needed.scale) if needed.fits else TEXT


def exact_extent(values: Iterable[Number | None]) -> Extent:
    """Return the digits that all of `values` need."""
    needed = Extent()
    for value in values:
        if value is not None:
            needed |= extent(value)
    return needed


def rough_extent(values: Sequence[Number | None]) -> Extent:
    """Return the digits that `values` need by their texts: never too few, at times too many."""
    decimals = [value for value in values if type(value) is Decimal]
    scale, others = written_scale(decimals)
    if others:
        decimals = [each for each in decimals if "E" not in str(each)]
    whole = max(map(Decimal.adjusted, decimals), default=-1) + 1
    integers = [value for value in values if type(value) is int]
    if integers:
        whole = max(whole, len(str(abs(max(integers)))), len(str(abs(min(integers)))))
    return Extent(max(whole, 0), scale) | exact_extent(others)


def _changed_by_double(values: Sequence[Number | None], rough: Extent) -> bool:
    """Return whether a double would change one of `values`; few digits rule that out quickly."""
    if rough.whole + rough.scale <= _SURE_DIGITS:
        return False
    return not all(value is None or survives_double(value) for value in values)
