"""One stream's way to the sender: its batches in order, and what has become of its messages.

Law: an activation goes out only when nothing of its stream is in flight, and lets nothing pass
until it has settled. One of a version that lacks a record never goes out: it would delete the rows
of that record that are still there from before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.batching.payload import Batch


@dataclass(slots=True)
class Counts:
    """How far the messages of one stream have come; activations count as messages.

    `activations` is how many were read.
    """

    read: int = 0
    acknowledged: int = 0
    set_aside: int = 0
    in_flight: int = 0
    activations: int = 0


@dataclass(slots=True)
class Lane:
    """Closed batches of one stream that wait for their turn.

    `tainted_versions` lack a record that was set aside; `refused` is the activation that the lane
    ends at for that reason.
    """

    counts: Counts = field(default_factory=Counts)
    tainted_versions: set[int | None] = field(default_factory=set)
    refused: Batch | None = None
    _waiting: deque[Batch] = field(default_factory=deque)
    _is_activating: bool = False

    def join(self, batch: Batch) -> None:
        """Queue up."""
        self._waiting.append(batch)

    def ready(self) -> Iterator[Batch]:
        """Yield the batches that may go out now, which are in flight from then on."""
        while self._waiting and not self._is_activating:
            batch = self._waiting[0]
            if batch.barrier and self.counts.in_flight:
                return
            if batch.barrier and batch.version in self.tainted_versions:
                self.refused = batch
                return
            self._is_activating = batch.barrier
            self.counts.in_flight += batch.count
            yield self._waiting.popleft()

    def settled(self, count: int, lacking: list[int | None]) -> None:
        """Note that `count` messages are settled: set aside one of each version in `lacking`."""
        self.counts.in_flight -= count
        self.counts.set_aside += len(lacking)
        self.counts.acknowledged += count - len(lacking)
        self.tainted_versions.update(lacking)
        if self.counts.in_flight == 0:
            self._is_activating = False
