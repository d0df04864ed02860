"""The service's own words without the values of the records that they are about. Pure.

Law: what a request carried as a value is in no text that came back for it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VALUE = "[value]"
_SHORT = 3
"""Characters; a shorter value is also a word of every sentence, so it counts where one is told."""
_HEAD = 16
"""Characters by which a long value is known: an answer may hold no more than its beginning."""
_TOLD = r"""(?:(?<=[\[("'`=<])|(?<=: )|^)"""
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w|\.\d)")


class _Message(msgspec.Struct):
    data: Raw | UnsetType = UNSET


class _Batch(msgspec.Struct):
    messages: list[_Message] = []


_BODY = msgspec.json.Decoder(_Batch | list[_Message])


def without_values(text: str, body: bytes) -> str:
    """Return `text`, an answer to the request `body`, with `[value]` for what its records hold.

    Names of members stay: they say where to look.
    """
    if not text or not body:
        return text
    try:
        strings, numbers = _values(_records(body))
    except (ValueError, RecursionError):
        return "an answer that is not shown, as the request cannot be read"
    # The longest first: a shorter one may be a part of it.
    for form in sorted(set(_found(strings, text)), key=len, reverse=True):
        text = _without(form, text)
    return _without_numbers(text, numbers) if numbers else text


def _records(body: bytes) -> Iterator[Any]:
    decoded = _BODY.decode(body)
    messages = decoded.messages if isinstance(decoded, _Batch) else decoded
    for message in messages:
        if message.data is not UNSET:
            yield msgspec.json.decode(message.data)


def _values(records: Iterable[Any]) -> tuple[set[str], set[float]]:
    """Return the strings and numbers in records, at any depth."""
    strings: set[str] = set()
    numbers: set[float] = set()
    for record in records:
        waiting = [record]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                strings.add(value)
            elif isinstance(value, dict):
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                numbers.add(_float(value))
    return strings, numbers


def _float(number: str | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _found(strings: set[str], text: str) -> Iterator[str]:
    """Yield how the strings that `text` holds, whole or in part, are written there."""
    for value in strings:
        for form in _forms(value):
            if form[:_HEAD] in text and form.strip():
                yield form


def _forms(value: str) -> tuple[str, ...]:
    """Return how a string can stand in an answer: as it is, or as JSON."""
    if value.isalnum() and value.isascii():
        return (value,)
    written = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    return tuple({value, *written, *(each.replace("/", "\\/") for each in written)})


def _without(form: str, text: str) -> str:
    if len(form) > _HEAD:
        return _without_beginnings(form, text)
    opens = _TOLD if len(form) < _SHORT else r"(?<!\w)" if form[0].isalnum() else ""
    closes = r"(?!\w)" if form[-1].isalnum() else ""
    return re.sub(f"{opens}{re.escape(form)}{closes}", VALUE, text)


def _without_beginnings(form: str, text: str) -> str:
    """Cut a long value out also where the answer breaks off in it."""
    kept: list[str] = []
    while (at := text.find(form[:_HEAD])) >= 0:
        end = at + _HEAD
        while end < len(text) and end - at < len(form) and text[end] == form[end - at]:
            end += 1
        kept += text[:at], VALUE
        text = text[end:]
    return "".join([*kept, text])


def _without_numbers(text: str, numbers: set[float]) -> str:
    """Cut numbers out however they are written, `1.10` or `1.1`."""

    def shown(found: re.Match[str]) -> str:
        number = found[0]
        is_told = len(number) >= _SHORT or re.search(_TOLD + "$", text[: found.start()])
        return VALUE if is_told and _float(number) in numbers else number

    return _NUMBER.sub(shown, text)
