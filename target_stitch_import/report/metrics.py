"""Logs METRIC lines like the Singer SDK's plugins, for tools that read those.

Invariant: the record counts of a stream add up to its acknowledged records. The number of lines per
minute is bounded, whatever the number of streams and batches.
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
"""The SDK's own logger, so that a logging configuration for its plugins applies here, too."""

INTERVAL_SECONDS = 60.0
"""The interval at which the SDK logs metrics."""
MAX_LINES = 100
"""The limit for each metric in one interval; at the end, every count is logged."""


class Point(Struct, frozen=True):
    """One measurement; replaces `singer_sdk.metrics.Point` while the SDK is not loaded."""

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
    """Counts acknowledged records and logs batch times; `due` is when `log_counts` is next due.

    Args:
        now: Seconds on a monotonic clock.
    """

    def __init__(self, now: float) -> None:
        self.due = now + INTERVAL_SECONDS
        self._records: Counter[str] = Counter()
        self._timers_left = MAX_LINES

    def delivered(self, stream: str, records: int) -> None:
        """Count records that were acknowledged."""
        self._records[stream] += records

    def processed(self, stream: str, seconds: float, *, succeeded: bool) -> None:
        """Log the time of a batch, unless the limit of the interval is reached."""
        if self._timers_left > 0:
            self._timers_left -= 1
            status = "succeeded" if succeeded else "failed"
            _log("timer", "batch_processing_time", round(seconds, 6), stream, status=status)

    def log_counts(self, now: float) -> None:
        """Log the new counts of the busiest streams; those of the others are kept for later."""
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
    # The SDK's formatters and filters accept only its own points. If they are used, it is loaded.
    sdk: Any = sys.modules.get("singer_sdk.metrics")
    point = (
        sdk.Point(kind, sdk.Metric(metric), value, tags_of_all)
        if sdk
        else Point(kind, metric, value, tags_of_all)
    )
    _LOGGER.info("METRIC: %s", point)
