"""Reads Transit over JSON as plain values, for pushes of `application/transit+json`.

Follows the Transit format 0.8: maps, tags, escapes, and the cache of keys and tags. Big numbers
stay exact; points in time become `Moment`.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.api.values import MalformedError, Moment, parse

if TYPE_CHECKING:
    from collections.abc import Callable

_MAP = "^ "
_CACHE_BASE = 44
_CACHE_FIRST = 48
_CACHE_SIZE = _CACHE_BASE * _CACHE_BASE
_MIN_CACHED = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DIGITS = 4300  # of an integer


class _Tag(str):
    """A tag where a value can be, such as the first item of a tagged array."""

    __slots__ = ()


def read_transit(body: bytes) -> Any:
    """Read one Transit value. Raises MalformedError if it is not Transit."""
    document = parse(body)
    try:
        value = _Reader().value(document)
    except RecursionError:
        raise MalformedError("nested too deeply") from None
    except (ValueError, ArithmeticError, TypeError) as error:
        raise MalformedError(f"not Transit: {error}") from None
    if isinstance(value, _Tag):
        raise MalformedError("not Transit: a tag without a value")
    return value


class _Reader:
    """One reading; the cache is filled in the order of values in the text."""

    def __init__(self) -> None:
        self._cache: list[str] = []

    def value(self, item: Any, *, key: bool = False) -> Any:
        """Return the plain value of one parsed JSON item; `key`: it is a map's key."""
        if isinstance(item, str):
            return _scalar(self._cached(item, key=key))
        if isinstance(item, list):
            return self._array(item)
        if isinstance(item, dict):
            return self._object(item)
        return item

    def _cached(self, text: str, *, key: bool) -> str:
        if text.startswith("^") and text != _MAP:
            index = 0
            for character in text[1:]:
                index = index * _CACHE_BASE + ord(character) - _CACHE_FIRST
            if len(text) == 1 or not 0 <= index < len(self._cache):
                raise ValueError(f"no cached value {text!r}")
            return self._cache[index]
        if len(text) >= _MIN_CACHED and (key or text[:2] in ("~:", "~$", "~#")):
            if len(self._cache) == _CACHE_SIZE:
                self._cache.clear()
            self._cache.append(text)
        return text

    def _array(self, items: list[Any]) -> Any:
        if not items:
            return []
        if items[0] == _MAP:
            if len(items) % 2 == 0:
                raise ValueError("a map with a key and no value")
            return {
                _key(self.value(items[at], key=True)): self.value(items[at + 1])
                for at in range(1, len(items), 2)
            }
        first = self.value(items[0])
        if isinstance(first, _Tag):
            if len(items) != 2:
                raise ValueError("a tagged value has one value")
            return _tagged(first, self.value(items[1]))
        return [first, *(self.value(item) for item in items[1:])]

    def _object(self, items: dict[str, Any]) -> Any:
        if len(items) == 1:
            ((name, item),) = items.items()
            first = self.value(name, key=True)
            if isinstance(first, _Tag):
                return _tagged(first, self.value(item))
            return {_key(first): self.value(item)}
        return {_key(self.value(name, key=True)): self.value(item) for name, item in items.items()}


def _key(value: Any) -> str:
    """Return a map's key as the name of a property."""
    if isinstance(value, _Tag):
        raise ValueError("a tag as a key")  # noqa: TRY004 - the data is wrong, not its reader
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        raise ValueError("a key that is not a scalar")  # noqa: TRY004 - the data's type, not ours
    return str(value)


def _scalar(text: str) -> Any:
    if not text.startswith("~") or len(text) == 1:
        return text
    kind, rest = text[1], text[2:]
    if kind in "~^`":
        return text[1:]
    read = _SCALARS.get(kind)
    if read is None:
        raise ValueError(f"unknown tag {kind!r}")
    return read(rest)


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError("an integer of too many digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a decimal") from None
    if not value.is_finite():
        raise ValueError("a number that is not finite")
    return value


def _boolean(text: str) -> bool:
    if text not in ("t", "f"):
        raise ValueError("neither true nor false")
    return text == "t"


def _special(text: str) -> Any:
    raise ValueError(f"a number that is not finite: {text[:8]}")


def _bytes(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    return text


def _milliseconds(value: Any) -> Moment:
    moment = _EPOCH + timedelta(milliseconds=_integer(str(value)))
    return Moment(moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "_": lambda _text: None,
    "?": _boolean,
    "i": _integer,
    "n": _integer,
    "d": _decimal,
    "f": _decimal,
    "z": _special,
    "t": Moment.checked,
    "m": _milliseconds,
    ":": str,
    "$": str,
    "u": str,
    "r": str,
    "c": str,
    "b": _bytes,
    "#": _Tag,
}


def _tagged(tag: str, value: Any) -> Any:
    """Return the plain value of a tagged one; an unknown tag is dropped."""
    if tag == "m":
        return _milliseconds(value)
    if tag in _SCALARS and isinstance(value, str) and tag != "#":
        return _SCALARS[tag](value)
    if tag == "ratio" and isinstance(value, list) and len(value) == 2:
        return _decimal(str(value[0])) / _decimal(str(value[1]))
    if tag == "cmap" and isinstance(value, list):
        pairs = zip(value[::2], value[1::2], strict=True)
        return {_key(name): each for name, each in pairs}
    return value
