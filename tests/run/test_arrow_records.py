"""Record batches become events; errors name the row that cannot be written."""

from __future__ import annotations

from itertools import chain

import pyarrow as pa
import pytest

from target_stitch_import.errors import InputError
from target_stitch_import.run.arrow_records import PORTION_BYTES, ArrowReader
from target_stitch_import.singer.origin import BatchFile

LONG, TOO_LONG = PORTION_BYTES + 1, 2 * PORTION_BYTES


@pytest.mark.parametrize(
    ("texts", "row"),
    [
        ([b"x" * TOO_LONG], 1),
        ([b"x", b"x" * TOO_LONG], 2),
        ([b"x" * LONG, b"x", b"x" * LONG, b"x" * TOO_LONG], 4),
        ([b"x" * LONG, b"\xff"], 2),
        ([b"x", b"\xff"], 2),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_the_error_names_the_row_that_cannot_be_written(
    texts: list[bytes], row: int, before: int
) -> None:
    reader = ArrowReader("people", None, BatchFile("a", 4, "Row"), TOO_LONG)
    list(reader.feed(pa.record_batch({"t": pa.array(["x"] * before, pa.string())})))
    rows = pa.record_batch({"t": pa.array(texts).view(pa.string())})
    with pytest.raises(InputError, match=f"^Row {before + row} of "):
        list(chain.from_iterable(reader.feed(rows)))
