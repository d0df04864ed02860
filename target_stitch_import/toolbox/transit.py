"""Writes JSON records as Transit, with date-times as points in time.

Follows the verbose JSON form of Transit 0.8, which every reader of the JSON form accepts.
Invariant: no number loses a digit, and every other string arrives unchanged.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from target_stitch_import.schema.date_times import respelled

_ESCAPED = ("~", "^", "`")
_PLAIN_INTEGERS = range(-(2**53) + 1, 2**53)
"""The integers that every JSON reader keeps exact; others are sent as tagged text."""
_INT64 = range(-(2**63), 2**63)


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def to_transit(record: bytes) -> bytes:
    """Return the JSON object `record` as Transit.

    A string that is a date-time with an offset becomes a point in time, at any depth of the
    record. It is written in UTC, with up to nine digits of its fraction.

    Raises:
        ValueError: It is not JSON, or nested too deeply; the text has no value of the record.
    """
    try:
        value = json.loads(
            record, parse_int=_Number, parse_float=_Number, parse_constant=_not_a_number
        )
        return json.dumps(_transit(value), ensure_ascii=False, separators=(",", ":")).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON at column {error.colno}: {error.msg}") from None
    except ArithmeticError:
        raise ValueError("it contains a number with too large an exponent") from None
    except UnicodeEncodeError:
        raise ValueError("it contains an unpaired surrogate") from None


def integer(number: int) -> Any:
    """Return an integer in Transit's JSON form."""
    if number in _PLAIN_INTEGERS:
        return number
    return f"~i{number}" if number in _INT64 else f"~n{number}"


def text(value: str) -> str:
    """Return a string in Transit's JSON form: one that begins like a tag is escaped."""
    return f"~{value}" if value.startswith(_ESCAPED) else value


def _not_a_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _transit(value: Any) -> Any:
    if isinstance(value, _Number):
        return _number(value)
    if isinstance(value, str):
        moment = respelled(value)
        return text(value) if moment is None else _point_in_time(moment)
    if isinstance(value, dict):
        return {text(name): _transit(member) for name, member in value.items()}
    return [_transit(item) for item in value] if isinstance(value, list) else value


def _number(digits: _Number) -> Any:
    if digits.lstrip("-").isdigit():
        # Python refuses to convert thousands of digits, and Transit does not need it.
        return integer(int(digits)) if len(digits) <= 20 else f"~n{digits}"
    nearest = float(digits)
    # Numbers that a double would change are sent as exact decimals.
    same = Decimal(repr(nearest)) == Decimal(digits)
    return nearest if same else f"~f{digits}"


def _point_in_time(date_time: str) -> str:
    """Return a date-time as a point in time, in UTC, with its fraction unchanged."""
    seconds, offset = date_time[:19], date_time[19:].lstrip(".0123456789")
    fraction = date_time[19 : len(date_time) - len(offset)]
    if offset in ("Z", "z"):
        return f"~t{seconds[:10]}T{seconds[11:]}{fraction}Z"
    sign = -1 if offset[0] == "-" else 1
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    try:
        moment = datetime.fromisoformat(f"{seconds[:10]}T{seconds[11:]}") - sign * shift
    except (ValueError, OverflowError):
        return text(date_time)  # outside the years that `datetime` supports
    return f"~t{moment.isoformat()}{fraction}Z"
