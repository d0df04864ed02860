"""Drives a pipeline in tests: feeds messages, and takes and settles batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_stitch_import.batching.gathering import GATHER_SECONDS
from target_stitch_import.singer.messages import MessageLines
from target_stitch_import.singer.reader import Reader
from tests.support.singer import lines

if TYPE_CHECKING:
    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.pipeline import Pipeline


def feed(to: Pipeline, messages: list[Any], now: float = 0.0, clock_ns: int = 10**18) -> None:
    """Receive messages, and end the gathering of their records."""
    reader = Reader(MessageLines())
    for event in [*reader.feed(lines(messages)), *reader.close()]:
        to.receive(event, now, clock_ns)
    to.expire(now + GATHER_SECONDS)


def take(of: Pipeline) -> list[Batch]:
    """Remove and return the batches that are ready."""
    ready = list(of.ready)
    of.ready.clear()
    return ready


def settle(of: Pipeline, *batches: Batch) -> None:
    """Report batches as acknowledged and released."""
    for batch in batches:
        of.settled(batch)
        of.released(batch)
