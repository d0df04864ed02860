"""Checks Draft 4's rules for numbers on exact decimals: bounds of any size, any `multipleOf`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


def written_scale(numbers: Iterable[Decimal]) -> tuple[int, list[Decimal]]:
    """Return the most digits after the point that `numbers` are written with, trailing zeros too.

    Also returns the numbers left out: those written with an exponent. Reading texts is quick.
    """
    texts = list(map(str, numbers))
    others: list[Decimal] = []
    if "E" in "".join(texts):  # such as 0.0000000, which is written 0E-7
        others = [Decimal(text) for text in texts if "E" in text]
        texts = [text for text in texts if "E" not in text]
    scale = max((len(text) - text.find(".") - 1 for text in texts if "." in text), default=0)
    return scale, others


def _parts(value: Number) -> tuple[int, int]:
    """Return significant digits and the power of ten, which includes trailing zeros."""
    _, digits, exponent = Decimal(value).as_tuple()
    text = "".join(map(str, digits))
    kept = text.rstrip("0")
    return int(kept or "0"), int(exponent) + len(text) - len(kept)
