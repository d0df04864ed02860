"""Lines are assembled from chunks, however long they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.singer.lines import WholeLines
from tests.support.events import cut


@given(
    st.lists(st.sampled_from([b"", b"\r", b"{}", b"x" * 30, b"y" * 600]), max_size=30),
    st.lists(st.integers(0, 10_000), max_size=3),
)
def test_lines_are_found_however_long_they_are(texts: list[bytes], places: list[int]) -> None:
    found = WholeLines()
    whole = b"\n".join([*texts, b""])
    lines = [bytes(line) for chunk in cut(whole, places) for line in found.feed(chunk)]
    assert [*lines, found.close()] == [*texts, b""]
