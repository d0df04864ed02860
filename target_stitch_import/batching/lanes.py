"""A queue of closed batches for each stream, with activations as barriers, and message counts.

Invariant: an activation is sent only when nothing of its stream is in flight, and nothing of the
stream is sent until it has settled. The activation of a version that lacks a record is withheld,
unless `activate_incomplete_versions` is set: activating would delete that record's earlier rows.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterator, Sequence

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.set_aside import SetAside


class Counts(Struct):
    """How many messages of one stream are in each state; activations count as messages.

    `activations` is how many activations were read, `activations_set_aside` how many of them were
    set aside.
    """

    read: int = 0
    acknowledged: int = 0
    set_aside: int = 0
    ready_or_in_flight: int = 0
    activations: int = 0
    activations_set_aside: int = 0

    def add_set_aside(self, messages: Sequence[SetAside]) -> None:
        """Count messages that are safe in the dead-letter file."""
        self.set_aside += len(messages)
        self.activations_set_aside += sum(each.is_activation for each in messages)


class Lane(Struct):
    """The queue of one stream's closed batches.

    `lacking` maps each version that lacks records to the sequence of the first of them.
    """

    counts: Counts = field(default_factory=Counts)
    lacking: dict[int | None, int] = field(default_factory=dict)
    _waiting: deque[Batch] = field(default_factory=deque)
    _is_activating: bool = False

    def note_lacking(self, version: int | None, sequence: int) -> None:
        """Note that a version lacks the record that has this `sequence`."""
        self.lacking[version] = min(sequence, self.lacking.get(version, sequence))

    def is_incomplete(self, activation: Batch) -> bool:
        """Return whether the version to activate lacks a record that was read before."""
        first_lacking = self.lacking.get(activation.version)
        return first_lacking is not None and first_lacking < activation.first_sequence

    def forget_replaced(self, activation: Batch) -> bool:
        """Remove all older versions from `lacking`; return whether there were any."""
        version = activation.version
        if version is None:
            return False
        older = [each for each in self.lacking if each is not None and each < version]
        for each in older:
            del self.lacking[each]
        return bool(older)

    def enqueue(self, batch: Batch) -> None:
        """Add a closed batch to the queue."""
        self._waiting.append(batch)

    def take_ready(self, *, withholds: bool) -> Iterator[tuple[Batch, bool]]:
        """Remove the batches that are ready; yield each, and whether it is withheld.

        If `withholds`, activations of versions that lack a record are withheld: they block nothing.
        All other batches count as in flight from then on.
        """
        while self._waiting and not self._is_activating:
            batch = self._waiting[0]
            if batch.barrier and self.counts.ready_or_in_flight:
                return
            is_withheld = withholds and batch.barrier and self.is_incomplete(batch)
            if not is_withheld:
                self._is_activating = batch.barrier
                self.counts.ready_or_in_flight += batch.count
            yield self._waiting.popleft(), is_withheld

    def settled(self, count: int, set_aside: Sequence[SetAside]) -> None:
        """Note that `count` messages in flight are settled, including those in `set_aside`."""
        self.counts.ready_or_in_flight -= count
        self.counts.add_set_aside(set_aside)
        self.counts.acknowledged += count - len(set_aside)
        for each in set_aside:
            self.note_lacking(each.version, each.sequence)
        if self.counts.ready_or_in_flight == 0:
            self._is_activating = False


class Lanes:
    """The lanes of all streams, and the memory of closed batches that are not released yet.

    `ready` contains the batches that may be sent.

    Args:
        activate_incomplete: Whether versions that lack a record are activated.
        withhold: Called with each activation that must not be sent.
        note_replacement: Called with each acknowledged activation that replaces versions that lack
            a record.
    """

    def __init__(
        self,
        *,
        activate_incomplete: bool,
        withhold: Callable[[Batch], None],
        note_replacement: Callable[[Batch], None],
    ) -> None:
        self.ready: deque[Batch] = deque()
        self.held_bytes = 0
        self.ready_or_in_flight = 0
        """Batches in `ready` or in flight; those queued in a lane do not count."""
        self._withholds = not activate_incomplete
        self._withhold = withhold
        self._note_replacement = note_replacement
        self._lanes: dict[str, Lane] = {}

    def __getitem__(self, stream: str) -> Lane:
        return self._lanes.setdefault(stream, Lane())

    def open(self, stream: str) -> None:
        """Create the lane of a stream if there is none, so that its counts are reported."""
        self._lanes.setdefault(stream, Lane())

    def items(self) -> ItemsView[str, Lane]:
        """Return all lanes with the names of their streams."""
        return self._lanes.items()

    def enqueue(self, batch: Batch) -> None:
        """Queue a batch that was just closed."""
        self.held_bytes += batch.held_bytes
        lane = self[batch.stream]
        lane.enqueue(batch)
        self._advance(lane)

    def settled(self, part: Batch, set_aside: Sequence[SetAside]) -> None:
        """Note that the messages of a part are settled, including those in `set_aside`."""
        lane = self[part.stream]
        lane.settled(part.count, set_aside)
        if part.barrier and not set_aside and lane.forget_replaced(part):
            self._note_replacement(part)
        self._advance(lane)

    def released(self, batch: Batch) -> None:
        """Note that nothing refers to a batch from `ready` any more."""
        self.held_bytes -= batch.held_bytes
        self.ready_or_in_flight -= 1

    def _advance(self, lane: Lane) -> None:
        for batch, is_withheld in lane.take_ready(withholds=self._withholds):
            if is_withheld:
                self.held_bytes -= batch.held_bytes
                self._withhold(batch)
            else:
                self.ready_or_in_flight += 1
                self.ready.append(batch)
