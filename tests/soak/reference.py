"""A slow, obvious reader of Singer messages, to compare the fast one with.

It reads line by line, with the whole input in memory and only the standard library. Where readers
may differ, such as on large numbers or deep nesting, it raises `AmbiguousError`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

TYPES: dict[str, dict[str, type]] = {
    "RECORD": {"stream": str, "record": object, "version": int, "time_extracted": str},
    "SCHEMA": {"stream": str, "schema": object},
    "STATE": {"value": object},
    "ACTIVATE_VERSION": {"stream": str, "version": int},
    "BATCH": {"stream": str, "encoding": dict, "manifest": list, "version": int},
}
OPTIONAL = {"version", "time_extracted"}
_WHITE_SPACE = b" \t\n\r\x0b\x0c"


class AmbiguousError(Exception):
    """Readers may differ about this input."""


@dataclass(frozen=True)
class Read:
    """One message: its line, kind, stream and parsed value."""

    line: int
    kind: str
    stream: str
    value: Any


def read(text: bytes) -> tuple[list[Read], int | None]:
    """Return the messages before the first invalid line, and the number of that line or None.

    Raises:
        AmbiguousError: Readers may differ on whether the next line is a message.
    """
    messages: list[Read] = []
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip(_WHITE_SPACE):
            continue
        message = _message(number, line)
        if message is None:
            return messages, number
        messages.append(message)
    return messages, None


def _message(number: int, line: bytes) -> Read | None:
    try:
        parsed = json.loads(line.decode(), parse_constant=_no_number, object_pairs_hook=_members)
    except RecursionError:
        raise AmbiguousError from None
    except ValueError:
        if b'"RECORD"' in line and b"{" in line:
            raise AmbiguousError from None  # a bad record in a sound message is an event
        return None
    kind = parsed.get("type") if isinstance(parsed, dict) else None
    if not isinstance(kind, str) or kind not in TYPES:
        return None
    if not all(_fits(parsed, kind, name) for name in TYPES[kind]):
        return None
    if kind in {"SCHEMA", "BATCH"}:
        raise AmbiguousError  # their members have other tests
    values = {
        "RECORD": [parsed.get("record"), parsed.get("version")],
        "STATE": parsed.get("value"),
        "ACTIVATE_VERSION": parsed.get("version"),
    }
    return Read(number, kind, parsed.get("stream", ""), values[kind])


def _fits(message: dict[str, Any], kind: str, name: str) -> bool:
    """Return whether a member is present and of its type, or optional and absent."""
    value = message.get(name)
    if kind in {"RECORD", "BATCH"} and name in OPTIONAL and value is None:
        return True
    type_ = TYPES[kind][name]
    if type_ is int and isinstance(value, float):
        raise AmbiguousError  # 3.0 is an integer to some
    return (
        name in message
        and isinstance(value, type_)
        and not (type_ is int and isinstance(value, bool))
    )


def _no_number(_: str) -> NoReturn:
    raise ValueError


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise AmbiguousError  # readers differ on which of two members counts
    for _, value in pairs:
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            raise AmbiguousError  # an unpaired surrogate is not a character
        if isinstance(value, int) and abs(value) >= 1 << 63:
            raise AmbiguousError  # not every reader accepts large integers
    return dict(pairs)
