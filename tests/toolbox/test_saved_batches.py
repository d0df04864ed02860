"""The lines that a replay has read and not yet put into a batch."""

from __future__ import annotations

import pytest
from msgspec import Raw

from target_stitch_import.batching.buffers import Limits
from target_stitch_import.batching.payload import Upsert
from target_stitch_import.toolbox.saved_batches import RecordBatches
from target_stitch_import.toolbox.saved_lines import Place, SavedRequest


@pytest.mark.parametrize(
    ("max_bytes", "waiting"),
    [
        (10**6, [[1], [], [3], []]),  # two records fill a batch
        (1, [[], [], [], []]),  # each record is larger than the limit, and sent alone
        (150, [[1], [2], [3], [4]]),  # each record closes the batch of the one before it
    ],
)
def test_lines_wait_until_their_batch_is_complete(max_bytes: int, waiting: list[list[int]]) -> None:
    batches = RecordBatches(Limits(max_bytes, 2, float("inf")))
    request = SavedRequest("people", Raw(b"{}"))
    seen, sent = [], 0
    for line in range(1, 5):
        upsert = Upsert(line, Raw(b'{"id":1}'))
        for batch in batches.add(Place(line), request, request.prefix(), upsert):
            sent += batch.count
        seen.append([each.line for each in batches.waiting()])
    sent += sum(batch.count for batch in batches.rest())
    assert (seen, sent, list(batches.waiting())) == (waiting, 4, [])
