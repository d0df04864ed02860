"""What a task tells the driver of its partition: counts alone, and nothing of the data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pyspark.sql.datasource import WriterCommitMessage

from target_stitch_import.report.stats import Latencies, Reasons

DRIVER = -1
"""The partition of what the driver sends by itself."""


@dataclass(slots=True)
class Arrived(WriterCommitMessage):
    """One partition is acknowledged, but for the records set aside in the file `letters`."""

    partition: int
    attempt: int
    read: int = 0
    acknowledged: int = 0
    set_aside: int = 0
    activations: int = 0
    activated: int = 0
    batches: int = 0
    bytes: int = 0
    bytes_sent: int = 0
    retries: int = 0
    possible_duplicates: int = 0
    throttle_changes: int = 0
    seconds_without_room: float = 0.0
    first_sequence: int | None = None
    last_sequence: int | None = None
    latencies: Latencies = field(default_factory=Latencies)
    reasons: Reasons = field(default_factory=Reasons)
    """Why records were set aside."""
    repaired: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many values were repaired, by field and repair."""
    letters: str | None = None

    @property
    def part(self) -> str:
        """What this is of, as a name; what the driver sends comes after all partitions."""
        return "driver" if self.partition == DRIVER else f"{self.partition:05}-{self.attempt}"
