"""Date-times in the documented spelling, in the columns of all records of a run at once.

Law: whoever checks what is returned, and finds it right, has the records with these date-times
rewritten and nothing else. As many places are rewritten as there are columns' values that must be,
each behind the column's name and from the value's own text; so where none of those values is wrong
any more, it is they that were rewritten, and not some others that look like them.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw

from target_stitch_import.schema.date_times import SHAPE, are_date_times, respelling
from target_stitch_import.schema.repairs import COMPLETED, RESPELLED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_stitch_import.schema.places import Place
    from target_stitch_import.schema.repairs import Rewriter

_Edit: TypeAlias = tuple[bytes, bytes]


class Columns:
    """Columns of date-times in JSON lists of messages, each with its record in `data`.

    `places` has for each column what it is to the rewriter.
    """

    def __init__(self, places: dict[str, Place]) -> None:
        fields = {f"f{at}": name for at, name in enumerate(places)}
        record = msgspec.defstruct(
            "Columns", [(field, Raw, UNSET) for field in fields], rename=fields, gc=False
        )
        message: Any = msgspec.defstruct("Message", [("data", record)], gc=False)
        self._messages = msgspec.json.Decoder(list[message])
        self._columns = [(name, attrgetter(field), places[name]) for field, name in fields.items()]

    def rewritten(
        self, messages: bytes, rewrite: Rewriter
    ) -> tuple[bytes, Counter[tuple[str, str]]] | None:
        """Return the messages and a count by column and kind; None if it cannot be done at once."""
        try:
            records = [each.data for each in self._messages.decode(messages)]
        except (ValueError, RecursionError):
            return None
        done: Counter[tuple[str, str]] = Counter()
        found: list[tuple[int, list[_Edit | None]]] = []
        for name, get, place in self._columns:
            olds = [b"" if each is UNSET else bytes(each) for each in map(get, records)]
            news, kinds = _new_texts(olds, rewrite, place)
            if not kinds:
                continue
            done.update({(name, kind): count for kind, count in kinds.items()})
            key = b'"%b":' % name.encode()
            start = messages.find(key)
            if messages[start + len(key) : start + len(key) + 1] == b" ":
                key += b" "
            found.append((start, _edits(key, olds, news)))
        # As columns follow each other in the first record, they do so in all that are alike.
        columns = [edits for _, edits in sorted(found, key=lambda each: each[0])]
        spliced = _spliced(messages, chain.from_iterable(zip(*columns, strict=True)))
        return None if spliced is None else (spliced, done)


def _new_texts(
    olds: Sequence[bytes], rewrite: Rewriter, place: Place
) -> tuple[list[bytes], Counter[str]]:
    """Return the texts rewritten, and a count by kind; none is left empty."""
    news = list(olds)
    kinds: Counter[str] = Counter()
    shapes = [old.translate(SHAPE) for old in olds]
    for shape in set(shapes) - {b"null", b""}:
        at = [index for index, each in enumerate(shapes) if each == shape]
        changed, done = _changed(shape, [olds[index] for index in at], rewrite, place)
        kinds.update(done)
        if len(at) == len(olds):
            return changed, kinds
        for index, new in zip(at, changed, strict=True):
            news[index] = new
    return news, kinds


def _changed(
    shape: bytes, olds: list[bytes], rewrite: Rewriter, place: Place
) -> tuple[list[bytes], Counter[str]]:
    """Return texts of one shape rewritten, and how often what was done to one."""
    how = respelling(shape)
    if how and (how.has_offset or rewrite.completes):
        news = how.applied(olds)
        if are_date_times(b",".join(news), null=False):
            kind = RESPELLED if how.has_offset else COMPLETED
            return news, Counter({kind: len(olds)} if news != olds else {})
    changes = [rewrite(Raw(old), place) for old in olds]
    news = [change[0] if change else old for change, old in zip(changes, olds, strict=True)]
    return news, Counter(change[1] for change in changes if change)


def _edits(key: bytes, olds: Sequence[bytes], news: Sequence[bytes]) -> list[_Edit | None]:
    """Return for each record what is to be found in it, and put in its place."""
    return [
        None if old == new else (key + old, key + new) for old, new in zip(olds, news, strict=True)
    ]


def _spliced(messages: bytes, edits: Iterable[_Edit | None]) -> bytes | None:
    """Make the edits, one behind the other; None where one has no place behind the last."""
    whole = memoryview(messages)
    pieces: list[bytes | memoryview] = []
    end = 0
    for edit in filter(None, edits):
        old, new = edit
        start = messages.find(old, end)
        if start < 0:
            return None
        pieces += (whole[end:start], new)
        end = start + len(old)
    return b"".join((*pieces, whole[end:])) if pieces else messages
