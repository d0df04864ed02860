"""Reads a tap's output in chunks of any size, and returns events as comparable values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from target_stitch_import.errors import InputError
from target_stitch_import.singer.messages import Event, MessageLines, Records
from target_stitch_import.singer.reader import Reader

RECORD = b'{"type":"RECORD","stream":"s","record":{"id":1}}'
STATE = b'{"type":"STATE","value":{"n": 1.50}}'


def read(chunks: list[bytes]) -> tuple[list[Any], str | None]:
    """Return all events of `chunks`, flattened, and the text of the error that ended them."""
    reader = Reader(MessageLines())
    events: list[Any] = []
    try:
        for chunk in chunks:
            events.extend(flat for event in reader.feed(chunk) for flat in flatten(event))
        events.extend(flat for event in reader.close() for flat in flatten(event))
    except InputError as error:
        return events, str(error)
    return events, None


def flatten(event: Event) -> list[Any]:
    """Return an event as comparable values: a tuple for each of several records."""
    if isinstance(event, Records):
        return [
            ("record", line, each.stream, each.version, bytes(each.record), each.time_extracted)
            for line, each in enumerate(event.messages, event.line)
        ]
    return [event]


def cut(text: bytes, places: list[int]) -> list[bytes]:
    """Return `text` cut at `places`, which are taken modulo its length."""
    edges = sorted(place % (len(text) + 1) for place in places)
    return [text[a:b] for a, b in zip([0, *edges], [*edges, len(text)], strict=True)]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
