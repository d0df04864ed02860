"""What Draft 4 says of numbers, on exact decimals: bounds of any size, multiples of any step."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Number = int | Decimal

KEYWORDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number."""
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
    """Whether `value` is `step` times a whole number; exponents of any size cost nothing."""
    digits, exponent = _parts(value)
    step_digits, step_exponent = _parts(step)
    if not digits:
        return True
    shift = exponent - step_exponent
    # Trailing zeros are gone: a digit below the last one of the step is none of its multiples'.
    return shift >= 0 and digits * pow(10, shift, step_digits) % step_digits == 0


def scale_of_step(step: Number) -> int:
    """Give the digits after the point that multiples of `step` have at most."""
    return max(-_parts(step)[1], 0)


def _parts(value: Number) -> tuple[int, int]:
    """Give whole digits and the power of ten, trailing zeros moved to the power."""
    _, digits, exponent = Decimal(value).as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    return int(kept or "0"), int(exponent) + len(text) - len(kept)
