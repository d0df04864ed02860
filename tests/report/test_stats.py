"""Statistics of deliveries, in a run and in Spark's tasks."""

from __future__ import annotations

import pytest

from target_stitch_import.batching.payload import (
    Batch,
    BodyPrefix,
    Fragment,
    Span,
    activation,
)
from target_stitch_import.report.stats import Delivered

PREFIX = BodyPrefix.of("s", b"{}", ())


def part(*sequences: int) -> Batch:
    messages = b",".join(b'{"action":"upsert","sequence":%d,"data":{}}' % n for n in sequences)
    spans = [Span(1, n, 0) for n in sequences]
    fragment = Fragment(b"[%b]" % messages, spans, sequences[0], sequences[-1])
    return Batch.of("s", PREFIX, [fragment])


PARTS = [part(5, 6), part(9, 3), part(7), activation("s", PREFIX, 1, Span(1, 10, 0))]


def counted(parts: list[Batch]) -> Delivered:
    total = Delivered()
    for each in parts:
        total.add(each)
    return total


def test_sequences_may_come_in_any_order() -> None:
    size = sum(each.size for each in PARTS)
    assert counted(PARTS) == Delivered(4, size, 1, first_sequence=3, last_sequence=10)


@pytest.mark.parametrize("at", range(5))
def test_counts_of_several_tasks_add_up(at: int) -> None:
    total = counted(PARTS[:at])
    total.include(counted(PARTS[at:]))
    assert total == counted(PARTS)
