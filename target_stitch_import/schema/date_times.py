"""Recognises date-times, and rewrites other formats to the one that the Import API documents.

Invariant: a text is rewritten only if it is unambiguous, except perhaps for its offset. The instant
does not change, except that digits after the ninth of its fraction are cut.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HOUR = r"(?:[01]\d|2[0-3])"
DATE_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)T"
    rf"(?P<time>{_HOUR}:[0-5]\d:[0-5]\d)(?:\.(?P<fraction>\d{{1,9}}))?"
    rf"(?P<offset>Z|[+-]{_HOUR}:[0-5]\d)",
    re.ASCII,
)
"""A date-time in the documented format, whether or not its day exists."""

_SPELLING = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ]"
    rf"(?P<minute>{_HOUR}:[0-5]\d)(?::(?P<second>[0-5]\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?: ?(?:(?P<utc>[Zz]|UTC|GMT)|"
    rf"(?P<sign>[+-])(?P<hours>{_HOUR})(?::?(?P<minutes>[0-5]\d)(?::?(?P<seconds>[0-5]\d))?)?))?",
    re.ASCII,
)
"""A date-time in the formats of databases and programs; the offset may be missing."""

_FRACTION_DIGITS = 9
LONGEST_SPELLING = 100
"""A text with more characters is not examined."""


def is_date_time(text: object) -> bool:
    """Return whether `text` is a date-time that the service always accepts.

    True for values that are not strings, as `format` does not apply to them.
    """
    if not isinstance(text, str):
        return True
    match = DATE_TIME.fullmatch(text)
    return match is not None and is_a_day(match["day"])


def is_a_day(text: str) -> bool:
    """Return whether a day in the format `YYYY-MM-DD` exists."""
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def respelled(text: str, zone: str = "") -> str | None:
    """Return a date-time in the documented format; None for any other text.

    Args:
        text: A date-time in any of the known formats.
        zone: The offset for a date-time without one; if it is empty, None is returned for that.
    """
    match = _SPELLING.fullmatch(text) if len(text) <= LONGEST_SPELLING else None
    if match is None or not is_a_day(match["day"]):
        return None
    moment = f"{match['day']}T{match['minute']}:{match['second'] or '00'}"
    if match["sign"]:
        zone = f"{match['sign']}{match['hours']}:{match['minutes'] or '00'}"
        if (match["seconds"] or "00") != "00":
            try:
                moment, zone = _in_utc(moment, match), "Z"
            except OverflowError:
                return None  # in UTC, the year is before 1 or after 9999
    elif match["utc"]:
        zone = "Z"
    fraction = (match["fraction"] or "")[:_FRACTION_DIGITS]
    return f"{moment}{'.' if fraction else ''}{fraction}{zone}" if zone else None


def _in_utc(moment: str, match: re.Match[str]) -> str:
    hours, minutes, seconds = (int(match[name]) for name in ("hours", "minutes", "seconds"))
    ahead = dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    local = dt.datetime.fromisoformat(moment)
    return (local + ahead if match["sign"] == "-" else local - ahead).isoformat()


class Respelling(Struct, frozen=True):
    """How date-times of one shape are rewritten to the documented format.

    `parts` are slices of the JSON text, and texts between them. `has_offset` is whether the shape
    has an offset; if not, a date-time gets the offset of UTC.
    """

    parts: tuple[slice | bytes, ...]
    has_offset: bool

    def applied(self, texts: Sequence[bytes]) -> list[bytes]:
        """Return the rewritten JSON texts of this shape, like `respelled` if the days exist."""
        pieces: list[Iterable[bytes]] = [
            repeat(part) if isinstance(part, bytes) else [text[part] for text in texts]
            for part in self.parts
        ]
        return list(map(b"".join, zip(*pieces, strict=False)))  # `repeat` is infinite


@lru_cache(maxsize=256)
def respelling(shape: bytes) -> Respelling | None:
    """Return how to rewrite JSON texts of a shape; None if it is not a known format."""
    text = shape.decode("latin-1")
    match = _SPELLING.fullmatch(text, 1, len(text) - 1)
    if match is None or match["seconds"] or len(text) > LONGEST_SPELLING:
        return None
    end_of_day, end_of_minute = match.end("day"), match.end("minute")
    new: list[int | str] = [*range(end_of_day), "T", *range(end_of_day + 1, end_of_minute)]
    if match["second"]:
        new += range(end_of_minute, match.end("second"))
    else:
        new += ":00"
    if match["fraction"]:
        start, end = match.span("fraction")
        new += [".", *range(start, min(end, start + _FRACTION_DIGITS))]
    if match["sign"]:
        new += [match.start("sign"), *range(*match.span("hours")), ":"]
        new += range(*match.span("minutes")) if match["minutes"] else "00"
    else:
        new += "Z"
    return Respelling(_parts([*new, '"'], text), bool(match["sign"] or match["utc"]))


def _parts(new: list[int | str], old: str) -> tuple[slice | bytes, ...]:
    """Merge adjacent positions of the old text into slices, and adjacent new characters."""
    parts: list[slice | bytes] = []
    for each in new:
        last = parts[-1] if parts else None
        at = last.stop if isinstance(last, slice) else None
        if at is not None and (each == at or (at < len(old) and each == old[at])):
            parts[-1] = slice(last.start, at + 1)  # type: ignore[union-attr]  # as it has a stop
        elif isinstance(each, int):
            parts.append(slice(each, each + 1))
        elif isinstance(last, bytes):
            parts[-1] = last + each.encode()
        else:
            parts.append(each.encode())
    return tuple(parts)


SHAPE = bytes.maketrans(b"123456789", b"000000000")
"""Translates a text to its shape: all digits become zeros."""
_FRACTIONS = ("", *(f".{'0' * digits}" for digits in range(1, _FRACTION_DIGITS + 1)))
_EXISTING = msgspec.json.Decoder(list[dt.datetime | None])


def _shapes(zones: Iterable[str], *, null: bool) -> frozenset[bytes]:
    shapes = (f'"0000-00-00T00:00:00{each}{zone}",' for each in _FRACTIONS for zone in zones)
    return frozenset(map(str.encode, shapes)) | ({b"null,"} if null else frozenset())


_ZONES = ("Z", "+00:00", "-00:00")
_SHAPES = {
    (null, naive): _shapes(("", *_ZONES) if naive else _ZONES, null=null)
    for null in (False, True)
    for naive in (False, True)
}


def are_date_times(texts: bytes, *, null: bool, naive: bool = False) -> bool:
    """Return whether all JSON `texts`, joined by commas, are date-times, or null if `null`.

    The result is that of `is_date_time` for each, except that offsets may be missing if `naive`.
    Most records have date-times, so all are checked together: first their shapes, then whether they
    exist.
    """
    known = _SHAPES[null, naive]
    left = texts.translate(SHAPE) + b","
    while left:
        # A longer text that ends with this shape loses its end and comma, so it is refused later.
        shape = left[: left.find(b",") + 1]
        if shape not in known:
            return False
        are_alike = left == shape * (len(left) // len(shape))
        left = b"" if are_alike else left.replace(shape, b"")
    try:
        _EXISTING.decode(b"[%b]" % texts)
    except msgspec.MsgspecError:
        return False
    return True
