"""Connects a pipeline with its sender, its dead-letter file, and a listener that reports.

Invariants: each ready batch is submitted once, each report of the sender is processed once, and a
message that is set aside settles only once it is safe. Used by one thread, which decides when to
call it and how long to wait.
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
    """Is called when something happens, on the thread of the exchange."""

    def notice(self, notice: Notice) -> None:
        """Called with something that the user should know about a stream."""

    def repaired(self, stream: str, field: str, repair: str, count: int) -> None:
        """Called when values of a field were repaired."""

    def delivered(self, part: Batch) -> None:
        """Called when a batch, or a part of one, was acknowledged."""

    def processed(self, batch: Batch, seconds: float, *, succeeded: bool) -> None:
        """Called when the sender has finished `batch`, after `seconds`."""

    def set_aside(self, messages: Sequence[SetAside]) -> None:
        """Called when messages are safe in the dead-letter file."""


class Exchange:
    """Keeps a pipeline, its sender, its dead letters and a listener consistent.

    Args:
        save: Called with each acknowledged body.
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
        """The number of batches that the sender has."""
        self._pipeline = pipeline
        self._sender = sender
        self._dead_letters = dead_letters
        self._listener = listener
        self._save = save
        self._can_set_aside = True

    def take_reports(self) -> TargetError | None:
        """Process the sender's reports; return the error that ends the run, if there is one.

        Raises:
            OutputError: A body could not be saved; later reports are not processed yet.
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

    def forward(self) -> None:
        """Forward the pipeline's output to the dead-letter file, the sender and the listener.

        Raises:
            TargetError: See `set_aside`.
        """
        self.set_aside()
        self.forward_rest()

    def set_aside(self) -> None:
        """Write dead letters; after a failure, nothing more is written.

        Raises:
            TargetError: They cannot be written, or there are too many.
        """
        waiting, notes = self._pipeline.to_set_aside, self._pipeline.replacements_to_record
        if self._can_set_aside and (waiting or notes):
            self._can_set_aside = False  # after a failure, the same lines are not written again
            self._dead_letters.write((*waiting, *notes))
            self._can_set_aside = True
            notes.clear()
            self._listener.set_aside(tuple(waiting))
            while waiting:
                self._pipeline.set_aside(waiting.popleft())

    def forward_rest(self) -> None:
        """Forward batches to the sender, and notices and repair counts to the listener."""
        while self._pipeline.ready:
            self._sender.submit(self._pipeline.ready.popleft())
            self.in_flight += 1  # not if no thread can be started
        while self._pipeline.notices:
            self._listener.notice(self._pipeline.notices.popleft())
        while self._pipeline.repaired:
            done = self._pipeline.repaired.popleft()
            self._listener.repaired(done.stream, done.field, done.repair, done.count)
