"""Pages of made-up runs."""

from __future__ import annotations

import json
from typing import Any

from target_stitch_import.report.page.document import page
from target_stitch_import.report.summary import read_summary


def plain(**changes: Any) -> str:
    """Return the page of a made-up summary of an earlier version, with `changes` of its members."""
    series: dict[str, list[float]] = {
        name: [] for name in ("seconds", "acknowledged", "bytes", "retries")
    }
    document: dict[str, Any] = {
        "program": "target-stitch-import",
        "version": "1",
        "started_at": "2024-01-01T00:00:00.000Z",
        "ended_at": "2024-01-01T01:00:00.000Z",
        "error": None,
        "last_state": None,
        "latency_seconds": {},
        "streams": {},
        "series": series | {"in_flight": [], "held_bytes": []},
    }
    names = """seconds exit_status read acknowledged set_aside batches bytes messages_per_second
        bytes_per_second requests bytes_sent retries possible_duplicates throttle_changes
        seconds_without_room"""
    document = dict.fromkeys(names.split(), 0) | document | changes
    return page(read_summary(json.dumps(document).encode(), "summary.json"))
