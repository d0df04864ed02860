"""METRIC lines as the Singer SDK's plugins log them, for whatever reads those already.

Invariant: the record counts of a stream add up to what was acknowledged; how many lines there are in a
minute does not depend on how many streams or batches there are.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from typing import Any

from msgspec import Struct

_LOGGER = logging.getLogger("singer_sdk.metrics")
"""The SDK's own, so that a logging configuration made for its plugins governs ours, too."""

INTERVAL_SECONDS = 60.0
"""As in the SDK."""
MAX_LINES = 100
"""Of each metric in one interval; at the end, every count is told."""


class Point(Struct, frozen=True):
    """One measurement; stands in for `singer_sdk.metrics.Point` where the SDK is not loaded."""

    metric_type: str
    metric: str
    value: float
    tags: dict[str, Any]

    def __str__(self) -> str:
        return json.dumps(
            {
                "type": self.metric_type,
                "metric": self.metric,
                "value": self.value,
                "tags": self.tags,
            },
            separators=(",", ":"),
        )


class Metrics:
    """Counts acknowledged records and times batches; `due` is when `tell` wants to be called.

    Args:
        now: Seconds on a clock that never steps back.
    """

    def __init__(self, now: float) -> None:
        self.due = now + INTERVAL_SECONDS
        self._records: Counter[str] = Counter()
        self._timers_left = MAX_LINES

    def delivered(self, stream: str, records: int) -> None:
        """Count records that were acknowledged."""
        self._records[stream] += records

    def processed(self, stream: str, seconds: float, *, succeeded: bool) -> None:
        """Log how long a batch took from its first request to its end, unless many did already."""
        if self._timers_left > 0:
            self._timers_left -= 1
            status = "succeeded" if succeeded else "failed"
            _log("timer", "batch_processing_time", round(seconds, 6), stream, status=status)

    def tell(self, now: float) -> None:
        """Log the counts since the last time, those of the busiest streams; others wait."""
        for stream, records in self._records.most_common(MAX_LINES):
            _log("counter", "record_count", records, stream)
            del self._records[stream]
        self._timers_left = MAX_LINES
        self.due = now + INTERVAL_SECONDS

    def close(self) -> None:
        """Log all counts that were not logged yet."""
        for stream, records in self._records.items():
            _log("counter", "record_count", records, stream)
        self._records.clear()


def _log(kind: str, metric: str, value: float, stream: str, **tags: str) -> None:
    if not _LOGGER.isEnabledFor(logging.INFO):
        return
    tags_of_all = {"stream": stream, "pid": os.getpid(), **tags}
    # Its formatters and filters know its own points only; where they are in use, it is loaded.
    sdk: Any = sys.modules.get("singer_sdk.metrics")
    point = (
        sdk.Point(kind, sdk.Metric(metric), value, tags_of_all)
        if sdk
        else Point(kind, metric, value, tags_of_all)
    )
    _LOGGER.info("METRIC: %s", point)
