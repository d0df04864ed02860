"""JSON values as the Import API reads them: exact numbers, and the type names of its errors.

Numbers with a fraction or exponent are read as Decimal, so that no digit is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_stitch_import.local.options import Strictness

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)
MAX_SEQUENCE = 2**63 - 1
MAX_KEY_CHARACTERS = 1024  # push errors: "String keys cannot be longer than 1024 characters"
STRICT_KEY_CHARACTERS = 255  # the reference's prose: fewer than 256
MAX_DATA_POINTS = 10_000  # per `data` object
MAX_RECORDS = 20_000  # per request


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)


class Moment(str):
    """A point in time that its sender typed as one (Transit), in RFC 3339 form."""

    __slots__ = ()

    @classmethod
    def checked(cls, text: str) -> Moment:
        """Take `text` as it is, or raise ValueError."""
        if _RFC3339.fullmatch(text) is None:
            raise ValueError("not a point in time")
        return cls(text)


class MalformedError(ValueError):
    """A body that is not JSON, or is nested or sized beyond what can be read."""


def decoder_for(type_: Any) -> msgspec.json.Decoder[Any]:
    """Make a decoder for `type_` that reads fractions as Decimal."""
    return msgspec.json.Decoder(type_, float_hook=_fraction)


def _fraction(text: str) -> Decimal:
    if "e" not in text and "E" not in text:
        return Decimal(text)
    number = Decimal(text)
    # Written like an integer it would count as one, but `1e0` is not one in Draft 4.
    return number if number.as_tuple().exponent else Decimal(f"{number}.0")


_any = decoder_for(Any)


def parse(body: bytes) -> Any:
    """Read a JSON body; raise MalformedError for anything that is not exactly one value."""
    try:
        return _any.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from None
    except RecursionError:
        raise MalformedError("nested too deeply") from None
    except InvalidOperation:
        raise MalformedError("number out of range") from None


def type_name(value: Any) -> str:
    """Name the type of a JSON value as the API's errors do."""
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int):
        if value in INT32:
            return "Integer"
        return "Long" if value in INT64 else "BigInteger"
    if value is None:
        return "Null"
    if isinstance(value, dict):
        return "JSONObject"
    if isinstance(value, list):
        return "JSONArray"
    return "Double" if isinstance(value, Decimal) else "String"


def longest_key(strictness: Strictness) -> int:
    """Return how many characters a string key may have."""
    return STRICT_KEY_CHARACTERS if strictness.strict_keys else MAX_KEY_CHARACTERS


def data_points(value: Any) -> int:
    """Count the scalar values at any depth: each element of an array counts, and so does null."""
    count = 0
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is dict:
            pending.extend(item.values())
        elif type(item) is list:
            pending.extend(item)
        else:
            count += 1
    return count


@dataclass(frozen=True, slots=True)
class Columns:
    """Records of one table, and their values by property; None where a record lacks it."""

    records: list[dict[str, Any]]
    values: dict[str, Sequence[Any]]
    kinds: dict[str, set[type]]
    uniform: bool
    """Whether every record has the same properties."""

    @classmethod
    def of(cls, records: list[dict[str, Any]]) -> Columns:
        """Make the columns of `records`, in order of appearance."""
        found: dict[str, Sequence[Any]]
        if not records:
            return cls(records, {}, {}, uniform=True)
        first = tuple(records[0])
        uniform = all(tuple(record) == first for record in records)
        if uniform:
            found = dict(zip(first, zip(*map(dict.values, records), strict=True), strict=True))
        else:
            present = dict.fromkeys(chain.from_iterable(records))
            found = {name: [record.get(name) for record in records] for name in present}
        kinds = {name: set(map(type, each)) for name, each in found.items()}
        return cls(records, found, kinds, uniform)

    def ordered(self, names: Iterable[str]) -> Columns:
        """Return a copy with the columns in the order of `names`; other columns follow."""
        order = dict.fromkeys(chain(names, self.values))
        values = {name: self.values[name] for name in order if name in self.values}
        return Columns(self.records, values, self.kinds, self.uniform)

    def has_null(self, name: str) -> bool:
        """Return whether a record has the property with the value null."""
        if self.uniform:
            return type(None) in self.kinds[name]
        return any(record.get(name, 0) is None for record in self.records)


def pointer(path: tuple[str | int, ...]) -> str:
    """Write a place in a document as a JSON Pointer with a leading `#`."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join(["#", *(f"/{step}" for step in steps)])
