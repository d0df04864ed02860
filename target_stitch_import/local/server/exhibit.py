"""Prepares a request's body for its page: messages one by one, with invalid values marked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from target_stitch_import.local.api.values import MalformedError, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHOWN_MESSAGES = 20
MAX_LINES = 400  # of a part; up to as many further lines are shown if they are marked
MAX_SEARCHED_LINES = 50_000
MAX_DEPTH = 40  # what is nested deeper is shown in one line
MAX_TEXT_CHARACTERS = 300
MAX_RAW_CHARACTERS = 20_000
AROUND_BYTES = 200  # shown on either side of the byte that is not JSON
_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of JSON; `marked`: what it shows is invalid."""

    depth: int
    text: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a body under a title; `marked`: something in it is invalid."""

    title: str
    lines: Sequence[Line]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A body: its parts if it is JSON, else its text around the first byte that is not JSON."""

    parts: Sequence[Part] = ()
    left_out: int = 0
    """Messages that are not shown."""
    before: str = ""
    culprit: str = ""
    after: str = ""


def exhibit(body: bytes, places: Sequence[str], reason: str = "") -> Exhibit:
    """Return what the page shows of a body; `places` are JSON Pointers to invalid values."""
    try:
        value = parse(body)
    except MalformedError:
        return _raw(body, reason)
    messages = value.get("messages") if isinstance(value, dict) else value
    base = "/messages" if isinstance(value, dict) else ""
    marks = _marks(places)
    if not messages or not isinstance(messages, list):
        return Exhibit([_part("Body", value, "", marks)])
    parts = []
    if isinstance(value, dict):
        rest = {name: each for name, each in value.items() if name != "messages"}
        parts.append(_part("All but the messages", rest, "", marks))
    positions = [_position(place, base) for place in places]
    faulty = {at for at in positions if at is not None and at < len(messages)}
    shown = sorted({*sorted(faulty)[:SHOWN_MESSAGES], *range(min(len(messages), SHOWN_MESSAGES))})
    what = "Message" if isinstance(value, dict) else "Record"
    parts += [_part(f"{what} {at}", messages[at], f"{base}/{at}", marks) for at in shown]
    parts.sort(key=lambda part: not part.marked)
    return Exhibit(parts, len(messages) - len(shown))


def _position(place: str, base: str) -> int | None:
    """Return the position of the message that a JSON Pointer leads into, or None."""
    first = place.removeprefix(base).lstrip("/").partition("/")[0]
    return int(first) if place.startswith(base) and first.isdecimal() else None


def _marks(places: Sequence[str]) -> dict[str, bool]:
    """Return the JSON Pointers to invalid values (True), and to what contains one (False)."""
    marks: dict[str, bool] = {}
    for place in places:
        marks[place] = True
        above = place
        while above:
            above = above.rpartition("/")[0]
            marks.setdefault(above, False)
    return marks


def _part(title: str, value: Any, here: str, marks: Mapping[str, bool]) -> Part:
    lines: list[Line] = []
    every = _lines(value, here, "", "", 0, marks)
    for number, line in enumerate(islice(every, MAX_SEARCHED_LINES)):
        if number < MAX_LINES or (line.marked and len(lines) < 2 * MAX_LINES):
            lines.append(line)
        elif lines[-1].text != "…":
            lines.append(Line(0, "…"))
    return Part(title, lines, any(line.marked for line in lines))


def _lines(  # noqa: PLR0913, PLR0917 - what a recursion carries
    value: Any, here: str, before: str, after: str, depth: int, marks: Mapping[str, bool]
) -> Iterator[Line]:
    """Yield the lines of a value; the first line of each invalid value is marked.

    An invalid value without a line of its own marks the line that it is in.
    """
    marked = marks.get(here, False)
    if not value:
        yield Line(depth, f"{before}{_json(value)}{after}", marked)
    elif depth > MAX_DEPTH:
        yield Line(depth, f"{before}{_json(value)}{after}", here in marks)
    elif isinstance(value, dict):
        yield Line(depth, f"{before}{{", marked)
        for number, (name, each) in enumerate(value.items(), 1):
            step = name.replace("~", "~0").replace("/", "~1")
            comma = "," if number < len(value) else ""
            yield from _lines(each, f"{here}/{step}", f"{_json(name)}: ", comma, depth + 1, marks)
        yield Line(depth, f"}}{after}")
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        yield Line(depth, f"{before}[", marked)
        for number, each in enumerate(value):
            comma = "," if number + 1 < len(value) else ""
            yield from _lines(each, f"{here}/{number}", "", comma, depth + 1, marks)
        yield Line(depth, f"]{after}")
    else:
        yield Line(depth, f"{before}{_json(value)}{after}", here in marks)


def _json(value: Any) -> str:
    text = _ENCODER.encode(value).decode()
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[:MAX_TEXT_CHARACTERS]}…"


def _raw(body: bytes, reason: str) -> Exhibit:
    _, found, rest = reason.rpartition("(byte ")
    number = rest.rstrip(")")
    if not found or not number.isdecimal() or int(number) >= len(body):
        return Exhibit(before=body[:MAX_RAW_CHARACTERS].decode("utf-8", "replace"))
    at = int(number)
    start = max(at - AROUND_BYTES, 0)
    return Exhibit(
        before=("…" if start else "") + body[start:at].decode("utf-8", "replace"),
        culprit=body[at : at + 1].decode("utf-8", "replace"),
        after=body[at + 1 : at + AROUND_BYTES].decode("utf-8", "replace"),
    )
