"""Checks on the JSON texts of all values of one place in the records of a run, joined.

Invariant: a check says yes only where the exact one would of each value. Exact in decimals, without
making one for each value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from target_stitch_import.schema.date_times import SHAPE, are_date_times
from target_stitch_import.schema.values import exact_decimal, is_multiple, parts_of

ValuesCheck: TypeAlias = Callable[[Sequence[Any]], bool]
"""Says yes to decoded values that are all right; a no means only that they must be looked at."""

DOUBLE_DIGITS = 15
"""Decimals of up to this many digits stay distinct and ordered as doubles."""
_DOUBLE_EXPONENT = 200
_SHAPE_CHARACTERS = 60
"""Longer shapes are not remembered, so that there are not many of them."""
_DOUBLES = msgspec.json.Decoder(list[float])


def joined(values: Iterable[Any]) -> bytes:
    """Return the texts of `Raw` values with commas between; those of absent members are left out.

    A comma within a text does no harm to a check of shapes: no piece of such a text has one.
    """
    try:
        return b",".join(values)
    except TypeError:
        return b",".join([each for each in values if each is not UNSET])


class DateTimes(Struct, frozen=True):
    """Date-times as the service takes them in every mode, or null where `null`."""

    null: bool

    def __call__(self, values: Sequence[Any]) -> bool:
        """Check `Raw` values."""
        texts = joined(values)
        return not texts or are_date_times(texts, null=self.null)


class Bounds(Struct, frozen=True):
    """The least and the most that a number may be, or None; either may be excluded itself."""

    least: int | Decimal | float | None = None
    most: int | Decimal | float | None = None
    excludes_least: bool = False
    excludes_most: bool = False

    def hold(self, number: Any) -> bool:
        """Return whether a number is within."""
        least, most = self.least, self.most
        if least is not None and (number < least or (self.excludes_least and number == least)):
            return False
        return most is None or not (number > most or (self.excludes_most and number == most))

    def as_doubles(self) -> Bounds | None:
        """Return the same for doubles of few digits; None where they might be told wrongly."""
        ends: list[float | None] = []
        for end in (self.least, self.most):
            coefficient, exponent = parts_of(end or 0)  # type: ignore[arg-type]  # no double yet
            if len(str(abs(coefficient))) > DOUBLE_DIGITS or abs(exponent) > _DOUBLE_EXPONENT:
                return None
            ends.append(None if end is None else float(end))
        return replace(self, least=ends[0], most=ends[1])


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers within bounds with no more than `decimals` after the point, or null where `null`."""

    decimals: int | None
    bounds: Bounds
    null: bool
    _certain: set[bytes] = field(default_factory=set, init=False, compare=False)
    """Shapes of which every number is right: `00.00` is that of numbers from 10.00 to 99.99."""

    def __call__(self, values: Sequence[Any]) -> bool:
        """Check `Raw` values."""
        texts = joined(values)
        if not texts:
            return True
        shapes = texts.translate(SHAPE).split(b",")
        if self._certain.issuperset(shapes):
            return True
        unknown = set(shapes) - self._certain
        doubtful = {each for each in unknown if not self._is_certain(each)}
        self._certain.update(each for each in unknown - doubtful if len(each) <= _SHAPE_CHARACTERS)
        return not doubtful or self._are_right(texts.split(b","), shapes, doubtful)

    def _is_certain(self, shape: bytes) -> bool:
        """Return whether all numbers of a shape are right."""
        if shape == b"null":
            return self.null
        if not self._is_plain(shape):
            return False
        farthest = Decimal(shape.replace(b"0", b"9").decode())
        return self.bounds.hold(farthest) and self.bounds.hold(0)

    def _is_plain(self, shape: bytes) -> bool:
        """Return whether a shape is that of a number without exponent, with few enough decimals."""
        whole, _, fraction = shape.removeprefix(b"-").partition(b".")
        is_number = bool(whole) and not (whole + fraction).strip(b"0")
        return is_number and (self.decimals is None or len(fraction) <= self.decimals)

    def _are_right(
        self, texts: Sequence[bytes], shapes: Sequence[bytes], doubtful: set[bytes]
    ) -> bool:
        """Look at the numbers of doubtful shapes themselves."""
        left = [text for text, shape in zip(texts, shapes, strict=True) if shape in doubtful]
        bounds = self.bounds.as_doubles()
        if bounds and all(len(each) <= DOUBLE_DIGITS and self._is_plain(each) for each in doubtful):
            doubles = _DOUBLES.decode(b"[%b]" % b",".join(left))
            return bounds.hold(min(doubles)) and bounds.hold(max(doubles))
        return all(map(self._is_right, left))

    def _is_right(self, text: bytes) -> bool:
        if text == b"null":
            return self.null
        try:
            number = exact_decimal(text.decode("ascii"))
        except (ValueError, UnicodeError):
            return False
        step = None if self.decimals is None else Decimal((0, (1,), -self.decimals))
        return self.bounds.hold(number) and (step is None or is_multiple(number, step))
