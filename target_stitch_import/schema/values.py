"""Parses records to exact values without rounding, measures them before parsing, and compares them.

Invariant: parsing any text returns a value, or raises an error that says why there is none; no
other error leaves this module.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_NUMBER = 4_000
"""The maximum number of digits, and the maximum exponent: beyond, computing takes too long."""

_MEMBERS = msgspec.json.Decoder(dict[str, Raw] | list[Raw])
_TOKEN = re.compile(rb'"[^"]*"|,|[\[{]\s*[\]}]?')
_BYTES_PARSED = 20_000_000
_BEYOND = f"it has more than {LONGEST_NUMBER:,} digits, or an exponent beyond that"


class UnreadableRecordError(ValueError):
    """A record that has no exact value; the text says why."""


def exact_decimal(text: str) -> Decimal:
    """Return a number as an exact decimal.

    Raises:
        ValueError: It has too many digits or too large an exponent.
    """
    if len(text) > LONGEST_NUMBER:
        raise ValueError(_BEYOND)
    try:
        number = Decimal(text)
    except ArithmeticError as error:
        raise ValueError(_BEYOND) from error
    if abs(number.adjusted()) > LONGEST_NUMBER:
        raise ValueError(_BEYOND)
    return number


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(_BEYOND)
    return int(text)


def _not_json(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def parse_exactly(record: Raw | bytes) -> Any:
    """Return the value of a record with exact numbers.

    Raises:
        UnreadableRecordError: The record has no exact value.
    """
    try:
        return json.loads(
            bytes(record), parse_float=exact_decimal, parse_int=_integer, parse_constant=_not_json
        )
    except RecursionError:
        raise UnreadableRecordError("it is nested too deeply") from None
    except json.JSONDecodeError:
        raise UnreadableRecordError("it is not JSON") from None
    except ValueError as error:
        raise UnreadableRecordError(
            f"it contains a number that cannot be validated: {error}"
        ) from None


def unreadable_path(text: Raw | bytes, levels: int = 20) -> tuple[str | int, ...]:
    """Return the path, or its beginning, to the value in a record that has no exact form.

    Each level is parsed again, so for longer texts the path has fewer levels.
    """
    levels = min(levels, _BYTES_PARSED // len(text))
    try:
        members = _MEMBERS.decode(text) if levels > 0 else {}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ()
    pairs: Iterable[tuple[str | int, Raw]]
    pairs = members.items() if isinstance(members, dict) else enumerate(members)
    for step, member in pairs:
        try:
            parse_exactly(member)
        except UnreadableRecordError:
            return (step, *unreadable_path(member, levels - 1))
    return ()


class Size(Struct, frozen=True):
    """The size of a JSON text: `data_points` is the number of scalars, `values` of all values."""

    data_points: int
    values: int


def size_of(text: Raw | bytes, most: Size) -> Size:
    """Count the values of a valid JSON text without parsing it, so that no memory is needed.

    Counting ends once `most` is exceeded; the counts until then are returned.
    """
    # Without escaped quotation marks, a string ends at the next quotation mark.
    bare = bytes(text).replace(rb"\\", b"").replace(rb"\"", b"")
    commas = empty = containers = 0
    for token in _TOKEN.finditer(bare):
        found = token[0]
        if found == b",":
            commas += 1
        elif found[:1] != b'"':
            containers += 1
            empty += found[-1:] in b"]}"
        # Each value except for the first one of its container has a comma before it.
        if commas - empty > most.data_points or commas + containers - empty > most.values:
            break
    return Size(data_points=commas + 1 - empty, values=commas + 1 + containers - empty)


def json_type(value: object) -> str:
    """Return the JSON Schema name of a parsed value's type."""
    return _TYPES[type(value)]


_TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    Decimal: "number",
    str: "string",
    dict: "object",
    list: "array",
}


def canonical(value: Any) -> str:
    """Return a text that is the same for two values exactly if they are equal in JSON's sense.

    Numbers are compared by value, and the order of members is ignored. It is a text because an
    attacker can choose numbers that all have the same hash, but not texts.
    """
    if isinstance(value, dict):
        members = [f"{_quote(name)}:{canonical(value[name])}" for name in sorted(value)]
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        coefficient, exponent = parts_of(value)
        return f"{coefficient}e{exponent}"
    if value is None or isinstance(value, bool):
        return str(value)
    raise TypeError(type(value).__name__)


_quote = json.encoder.encode_basestring


_DIGITS = b"0123456789".ljust(256)
"""Translates the numbers 0 to 9, as bytes, to their characters."""


def parts_of(number: int | Decimal) -> tuple[int, int]:
    """Return integers `c` and `e` so that the number is `c * 10**e`, and `c` ends in no zero."""
    sign, digits, exponent = Decimal(number).as_tuple()
    text = bytes(digits).translate(_DIGITS).decode()
    short = text.rstrip("0")
    if not short:
        return 0, 0
    coefficient = -int(short) if sign else int(short)
    return coefficient, int(exponent) + len(text) - len(short)


def is_multiple(number: int | Decimal, factor: int | Decimal) -> bool:
    """Return exactly whether `number` is a multiple of `factor`, whatever their exponents."""
    coefficient, exponent = parts_of(number)
    step, step_exponent = parts_of(factor)
    if coefficient == 0:
        return True
    if exponent < step_exponent:
        return False  # it has digits after the last one of any multiple
    return coefficient * pow(10, exponent - step_exponent, step) % step == 0
