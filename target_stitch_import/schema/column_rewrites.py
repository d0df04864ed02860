"""Rewrites the date-times in columns of a whole group of records at once, to the documented format.

Invariant: only values of these columns are rewritten. Two searches find more than that, so their
results are used only if they found as many values as the decoded columns have.

`with_offsets` finds all strings that end like a date-time without an offset.
`DateTimeColumns` finds all strings and nulls under a column's name, at any depth. It does not find
names with escapes, so messages with escapes that a column's name could contain are not rewritten.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Raw

from target_stitch_import.schema.date_times import SHAPE, are_date_times, respelling
from target_stitch_import.schema.repairs import RESPELLED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_stitch_import.schema.places import Place
    from target_stitch_import.schema.repairs import Rewriter

_UNCHANGED = "unchanged"
_NAIVE = rb"T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
_NAIVE_TEXT = re.compile(_NAIVE + rb'"')
_NAIVE_PIECES = re.compile(rb'(%b)(")' % _NAIVE)


def count_naive(texts: bytes) -> int:
    """Return how many strings in JSON texts end like a date-time without an offset."""
    return len(_NAIVE_TEXT.findall(texts))


def with_offsets(messages: bytes) -> tuple[bytes, int]:
    """Append `Z` to all strings that `count_naive` counts; return also their number.

    If the columns alone have as many, then only their values were changed.
    """
    pieces = _NAIVE_PIECES.split(messages)
    count = len(pieces) // 3
    pieces[2::3] = [b'Z"'] * count
    return b"".join(pieces), count


class Rewritten(NamedTuple):
    """Messages, and how many values of the columns were found in them.

    `changed` has the number of rewritten values, by column and repair; the repair is None for those
    that only got an offset.
    """

    messages: bytes
    values: int
    changed: Mapping[tuple[str, str | None], int]


class DateTimeColumns:
    """Columns of date-times in JSON lists of messages, each with its record in `data`.

    `places` has the place of each column, for the rewriter.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._columns = {name.encode(): (name, place) for name, place in places.items()}
        names = b"|".join(map(re.escape, self._columns))
        space, text = rb"[ \t\r\n]*", rb'"[^"\\\x00-\x1f]*"'
        self._values = re.compile(rb'("(?:%b)"%b:%b)(%b|null)' % (names, space, space, text))
        self._escapes = _escapes_in(places)

    def rewritten(self, messages: bytes, rewrite: Rewriter) -> Rewritten | None:
        """Return the rewritten messages; None if they cannot be rewritten at once."""
        if b"\\" in messages and self._escapes.search(messages):
            return None
        pieces = self._values.split(messages)
        keys, olds = pieces[1::3], pieces[2::3]
        if not olds:
            return Rewritten(messages, 0, {})
        columns = {key: self._columns[key.split(b'"', 2)[1]] for key in {*keys}}
        shapes = b"\n".join(olds).translate(SHAPE).split(b"\n")
        places = [columns[key][1] for key in keys]
        pieces[2::3], repairs = _new_texts(olds, shapes, rewrite, places)
        changed: Counter[tuple[str, str | None]] = Counter()
        for (key, repair), count in Counter(zip(keys, repairs, strict=True)).items():
            if repair != _UNCHANGED:
                changed[columns[key][0], repair] += count
        return Rewritten(b"".join(pieces) if changed else messages, len(olds), changed)


def _escapes_in(names: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern for the escapes with which one of these names could be written."""
    characters = "".join(names)
    escapes = rb"\\u00[2-7]" if characters.isascii() else rb"\\u"
    return re.compile(escapes + rb"|\\/" if "/" in characters else escapes)


def _new_texts(
    olds: Sequence[bytes],
    shapes: Sequence[bytes],
    rewrite: Rewriter,
    places: Sequence[Place],
) -> tuple[list[bytes], list[str | None]]:
    """Return the rewritten texts, and the repair of each, working shape by shape."""
    news = list(olds)
    repairs: list[str | None] = [_UNCHANGED] * len(olds)
    for shape in {*shapes} - {b"null"}:
        at = [index for index, each in enumerate(shapes) if each == shape]
        of_shape = [olds[index] for index in at]
        changes = _changes(shape, of_shape, rewrite, [places[index] for index in at])
        for index, (new, repair) in zip(at, changes, strict=True):
            if new != olds[index]:
                news[index], repairs[index] = new, repair
    return news, repairs


def _changes(
    shape: bytes, olds: Sequence[bytes], rewrite: Rewriter, places: Sequence[Place]
) -> Iterable[tuple[bytes, str | None]]:
    """Return the new texts of texts of one shape, and the repair of each."""
    how = respelling(shape)
    if how and (how.has_offset or rewrite.completes):
        news = how.applied(olds)
        if are_date_times(b",".join(news), null=False):
            repair = RESPELLED if how.has_offset else None
            return [(new, repair) for new in news]
    changes = map(rewrite, map(Raw, olds), places)
    return [change or (old, None) for change, old in zip(changes, olds, strict=True)]
