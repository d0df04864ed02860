"""What goes between a pipeline, its sender, its dead letters, and what counts and tells it.

Invariants: each batch that is ready is submitted once, each report is taken once, and what is set aside
settles only once it is safe. For one thread, which decides when to look and how long to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from target_stitch_import.delivery.deliver import LimitLearned, Settled
from target_stitch_import.errors import assert_never
from target_stitch_import.run.sender import Failed, Released

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.pipeline import Pipeline
    from target_stitch_import.batching.set_aside import SetAside
    from target_stitch_import.batching.streams import Notice
    from target_stitch_import.errors import TargetError
    from target_stitch_import.run.dead_letter import DeadLetterSink
    from target_stitch_import.run.sender import Sender


class Listener(Protocol):
    """Is called as things happen, on the thread of the exchange."""

    def notice(self, notice: Notice) -> None:
        """Called with something that the user should know about a stream."""

    def repaired(self, stream: str, field: str, repair: str, count: int) -> None:
        """Called when values of a field were repaired."""

    def delivered(self, part: Batch) -> None:
        """Called when a part was acknowledged."""

    def processed(self, batch: Batch, seconds: float, *, succeeded: bool) -> None:
        """Called when the sender is done with `batch`, which it had for `seconds`."""

    def set_aside(self, records: Sequence[SetAside]) -> None:
        """Called when records are safe in the dead-letter file."""


class Exchange:
    """Keeps a pipeline, its sender, its dead letters and a listener consistent.

    Args:
        save: Is given each body that was acknowledged.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        sender: Sender,
        dead_letters: DeadLetterSink,
        listener: Listener,
        save: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.in_flight = 0
        """How many batches the sender has."""
        self._pipeline = pipeline
        self._sender = sender
        self._dead_letters = dead_letters
        self._listener = listener
        self._save = save
        self._can_set_aside = True

    def take_reports(self) -> TargetError | None:
        """Take what the sender reports; return why the run cannot go on, if so.

        Raises:
            OutputError: A body could not be saved; what follows it is not taken yet.
        """
        failed: TargetError | None = None
        while self._sender.reports:
            match self._sender.reports.popleft():
                case Settled(part, set_aside):
                    self._settle(part, set_aside)
                case Released(batch, seconds, succeeded):
                    self.in_flight -= 1
                    self._pipeline.released(batch)
                    if succeeded is not None:
                        self._listener.processed(batch, seconds, succeeded=succeeded)
                case LimitLearned(max_bytes):
                    self._pipeline.learn_limit(max_bytes)
                case Failed(error):
                    failed = failed or error
                case report:
                    assert_never(report)
        return failed

    def _settle(self, part: Batch, set_aside: Sequence[SetAside]) -> None:
        self._pipeline.settled(part, set_aside)
        if set_aside:
            self._listener.set_aside(set_aside)
        else:
            self._listener.delivered(part)
            self._save(part.body)

    def hand_on(self) -> None:
        """Hand on what the pipeline has for others: the dead letters, the sender, the listener.

        Raises:
            TargetError: As `set_aside`.
        """
        self.set_aside()
        self.hand_on_the_rest()

    def set_aside(self) -> None:
        """Write dead letters; nothing more is written once that has failed.

        Raises:
            TargetError: They cannot be written, or are too many.
        """
        waiting, notes = self._pipeline.to_set_aside, self._pipeline.replacements_to_record
        if self._can_set_aside and (waiting or notes):
            self._can_set_aside = False  # should it fail, the same lines are not written once more
            self._dead_letters.write((*waiting, *notes))
            self._can_set_aside = True
            notes.clear()
            self._listener.set_aside(tuple(waiting))
            while waiting:
                self._pipeline.set_aside(waiting.popleft())

    def hand_on_the_rest(self) -> None:
        """Hand on what need not be safe: batches to the sender, what there is to tell."""
        while self._pipeline.ready:
            self.in_flight += 1
            self._sender.submit(self._pipeline.ready.popleft())
        while self._pipeline.notices:
            self._listener.notice(self._pipeline.notices.popleft())
        while self._pipeline.repaired:
            done = self._pipeline.repaired.popleft()
            self._listener.repaired(done.stream, done.field, done.repair, done.count)
