"""Checks Draft 4's rules for numbers on exact decimals: bounds of any size, any `multipleOf`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Number = int | Decimal

KEYWORDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a number."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def number_violations(schema: dict[str, Any], value: Number) -> Iterator[str]:
    """Yield what is wrong with a number, in the words of the live service's validator."""
    for keyword, strict, word in (
        ("minimum", "exclusiveMinimum", "greater"),
        ("maximum", "exclusiveMaximum", "less"),
    ):
        limit = schema.get(keyword)
        if limit is None:
            continue
        exclusive = bool(schema.get(strict))
        beyond = value < limit if keyword == "minimum" else value > limit
        if beyond or (exclusive and value == limit):
            relation = f"{word} than" if exclusive else f"{word} or equal to"
            yield f"{value} is not {relation} {limit}"
    step = schema.get("multipleOf")
    if step is not None and not is_multiple(value, step):
        yield f"{value} is not a multiple of {step}"


def is_multiple(value: Number, step: Number) -> bool:
    """Return whether `value` is a multiple of `step`; large exponents cost nothing extra."""
    digits, exponent = _parts(value)
    step_digits, step_exponent = _parts(step)
    if not digits:
        return True
    shift = exponent - step_exponent
    # Without trailing zeros, no multiple has a digit below the last one of the step.
    return shift >= 0 and digits * pow(10, shift, step_digits) % step_digits == 0


def scale_of_step(step: Number) -> int:
    """Return how many digits after the point multiples of `step` can have."""
    return max(-_parts(step)[1], 0)


def _parts(value: Number) -> tuple[int, int]:
    """Return significant digits and the power of ten, which includes trailing zeros."""
    _, digits, exponent = Decimal(value).as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    return int(kept or "0"), int(exponent) + len(text) - len(kept)
