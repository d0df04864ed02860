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
from target_stitch_import.report.stats import Availability, Delivered, Outage

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


def test_outages_add_up() -> None:
    """From the first failure to the next response, however many failures there are."""
    availability = Availability()
    availability.answered(1.0)
    for now in (2.0, 3.0, 5.0):
        availability.failed(now, 503)
    assert availability.unavailable_seconds(6.0) == 4.0
    availability.answered(7.0)
    availability.failed(10.0, None)
    assert availability.unavailable_seconds(11.0) == 6.0
    assert availability.outage() == Outage(None, None)
    availability.answered(12.0)
    assert (availability.unavailable_seconds(99.0), availability.outage()) == (7.0, None)
