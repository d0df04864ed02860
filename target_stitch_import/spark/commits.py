"""The message of a task to the driver about its partition: counts, and nothing of the data."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field
from pyspark.sql.datasource import WriterCommitMessage

from target_stitch_import.report.stats import Delivered, Latencies, Reasons

DRIVER = -1
"""The partition number of what the driver itself sends: the activation."""


class PartitionCommit(Struct, WriterCommitMessage):
    """A partition was acknowledged, except the records set aside in the file `dead_letters`."""

    partition: int
    attempt: int
    read: int = 0
    acknowledged: int = 0
    set_aside: int = 0
    activations: int = 0
    activations_set_aside: int = 0
    bytes_sent: int = 0
    retries: int = 0
    possible_duplicates: int = 0
    throttle_changes: int = 0
    seconds_without_room: float = 0.0
    delivered: Delivered = field(default_factory=Delivered)
    latencies: Latencies = field(default_factory=Latencies)
    reasons: Reasons = field(default_factory=Reasons)
    """Why records were set aside."""
    repaired: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many values were repaired, by field and repair."""
    dead_letters: str | None = None

    @property
    def part(self) -> str:
        """The name of partition and attempt; the driver's sorts after those of all partitions."""
        return "driver" if self.partition == DRIVER else f"{self.partition:05}-{self.attempt}"
