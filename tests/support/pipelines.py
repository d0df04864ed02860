"""A pipeline as tests drive it: fed with messages, its batches taken and settled by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_stitch_import.batching.buffers import Limits
from target_stitch_import.batching.gathering import GATHER_SECONDS
from target_stitch_import.batching.pipeline import Pipeline, PipelineRules
from target_stitch_import.singer.messages import MessageReader
from tests.support.singer import lines

if TYPE_CHECKING:
    from target_stitch_import.batching.payload import Batch


def pipeline(limits: Limits | None = None, **rules: Any) -> Pipeline:
    return Pipeline(PipelineRules(**rules), limits or Limits())


def feed(to: Pipeline, messages: list[Any], now: float = 0.0, clock_ns: int = 10**18) -> None:
    reader = MessageReader()
    for event in [*reader.feed(lines(messages)), *reader.close()]:
        to.receive(event, now, clock_ns)
    to.expire(now + GATHER_SECONDS)


def take(of: Pipeline) -> list[Batch]:
    ready = list(of.ready)
    of.ready.clear()
    return ready


def settle(of: Pipeline, *batches: Batch) -> None:
    for batch in batches:
        of.settled(batch)
        of.released(batch)
