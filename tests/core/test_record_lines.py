"""One record per line: the same records for any chunks, and no endless lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.errors import InputError
from target_stitch_import.singer.lines import MAX_LINE_BYTES
from target_stitch_import.singer.messages import MalformedRecord
from target_stitch_import.singer.origin import BatchFile
from target_stitch_import.singer.reader import Reader
from target_stitch_import.singer.record_lines import RecordLines

if TYPE_CHECKING:
    from collections.abc import Iterable


def test_a_line_that_is_too_long_is_refused_before_it_is_whole() -> None:
    reader = Reader(RecordLines("people", None, BatchFile("a", 3)))
    assert list(reader.feed(b'{"id":1}\n'))
    for _ in range(MAX_LINE_BYTES // 1_000_000):
        assert not list(reader.feed(b"x" * 1_000_000))
    with pytest.raises(InputError, match=r"Line 2 of `a` \(BATCH on line 3\) is longer than"):
        list(reader.feed(b"x"))


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
def test_any_cut_of_a_file_gives_the_same_records(size: int) -> None:
    text = b'\xef\xbb\xbf{"id":1}\r\n\n {"id":2} \nno\n{"id":3,"n":NaN}\n5\n{"id":"\xc3\xbc"}'

    def read(chunks: Iterable[bytes]) -> list[tuple[int, bytes]]:
        reader = Reader(RecordLines("people", 7, BatchFile("a", 3)))
        found = [event for chunk in chunks for event in reader.feed(chunk)]
        return [each for event in [*found, *reader.close()] for each in flat(event)]

    def flat(event: Any) -> list[tuple[int, bytes]]:
        assert event.file == BatchFile("a", 3)
        whose = [event] if isinstance(event, MalformedRecord) else event.messages
        assert {(each.stream, each.version) for each in whose} == {("people", 7)}
        if isinstance(event, MalformedRecord):
            return [(event.line, event.text)]
        return [(line, bytes(each.record)) for line, each in enumerate(event.messages, event.line)]

    assert read(text[at : at + size] for at in range(0, len(text), size)) == [
        (1, b'{"id":1}'),
        (3, b'{"id":2}'),
        (4, b"no"),
        (5, b'{"id":3,"n":NaN}'),
        (6, b"5"),
        (7, b'{"id":"\xc3\xbc"}'),
    ]
