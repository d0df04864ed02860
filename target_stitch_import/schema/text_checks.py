"""Checks of date-times and numbers on the joined JSON texts of all values of one place.

Invariant: a check accepts only values that the exact check accepts. Decimals are checked exactly,
without creating one for each value.
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
"""Returns whether all decoded values are valid; after False, the exact check decides."""

DOUBLE_DIGITS = 15
"""Decimals of up to this many digits stay distinct and ordered as doubles."""
_DOUBLE_EXPONENT = 200
_SHAPE_CHARACTERS = 60
"""Longer shapes are not cached, so that the cache stays small."""
_DOUBLES = msgspec.json.Decoder(list[float])


def joined(values: Iterable[Any]) -> bytes:
    """Return the texts of `Raw` values joined by commas, without absent members.

    A comma within a text does no harm: the first piece of such a text has no valid shape.
    """
    try:
        return b",".join(values)
    except TypeError:
        return b",".join([each for each in values if each is not UNSET])


class DateTimes(Struct, frozen=True):
    """Checks that values are date-times that the service always accepts, or null if `null`.

    If `naive`, their offsets may be missing.
    """

    null: bool
    naive: bool = False

    def __call__(self, values: Sequence[Any]) -> bool:
        """Check `Raw` values."""
        texts = joined(values)
        return not texts or are_date_times(texts, null=self.null, naive=self.naive)


class Bounds(Struct, frozen=True):
    """The minimum and maximum of a number, or None; each may itself be excluded."""

    least: int | Decimal | float | None = None
    most: int | Decimal | float | None = None
    excludes_least: bool = False
    excludes_most: bool = False

    def hold(self, number: Any) -> bool:
        """Return whether a number is within the bounds."""
        least, most = self.least, self.most
        if least is not None and (number < least or (self.excludes_least and number == least)):
            return False
        return most is None or not (number > most or (self.excludes_most and number == most))

    def as_doubles(self) -> Bounds | None:
        """Return the bounds as doubles; None if comparing doubles with them could be wrong."""
        ends: list[float | None] = []
        for end in (self.least, self.most):
            coefficient, exponent = parts_of(end or 0)  # type: ignore[arg-type]  # no double yet
            if len(str(abs(coefficient))) > DOUBLE_DIGITS or abs(exponent) > _DOUBLE_EXPONENT:
                return None
            ends.append(None if end is None else float(end))
        return replace(self, least=ends[0], most=ends[1])


@dataclass(frozen=True, slots=True)
class Numbers:
    """Checks that values are numbers within bounds, with at most `decimals`, or null if `null`."""

    decimals: int | None
    bounds: Bounds
    null: bool
    _certain: set[bytes] = field(default_factory=set, init=False, compare=False)
    """Shapes whose numbers are all valid: `00.00` is the shape of numbers from 10.00 to 99.99."""

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
        """Return whether all numbers of a shape are valid."""
        if shape == b"null":
            return self.null
        if not self._is_plain(shape):
            return False
        farthest = Decimal(shape.replace(b"0", b"9").decode())
        return self.bounds.hold(farthest) and self.bounds.hold(0)

    def _is_plain(self, shape: bytes) -> bool:
        """Return whether a shape is a number without an exponent and with few enough decimals."""
        whole, _, fraction = shape.removeprefix(b"-").partition(b".")
        is_number = bool(whole) and not (whole + fraction).strip(b"0")
        return is_number and (self.decimals is None or len(fraction) <= self.decimals)

    def _are_right(
        self, texts: Sequence[bytes], shapes: Sequence[bytes], doubtful: set[bytes]
    ) -> bool:
        """Check the numbers of doubtful shapes themselves."""
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
