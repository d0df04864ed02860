"""Messages that must not be sent: set aside, or the reason why the run ends.

Law: messages are set aside in the order of their stream, an activation after the records whose rows
it would have deleted. Where nothing is set aside, the run ends with the first one of the input.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec.structs import replace

from target_stitch_import.batching.set_aside import SetAside
from target_stitch_import.errors import quoted
from target_stitch_import.singer.origin import origin

if TYPE_CHECKING:
    from target_stitch_import.batching.examining import BadRecord
    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.stream import Stream
    from target_stitch_import.errors import InputError, InterruptedRunError


class Refusals:
    """What was refused and is not dealt with yet.

    Args:
        sets_aside: Whether records are set aside, else they end the run.
    """

    def __init__(self, *, sets_aside: bool) -> None:
        self.to_set_aside: deque[SetAside] = deque()
        self.replacements_to_record: deque[SetAside] = deque()
        """Activations to record in the dead-letter file, although they are settled."""
        self._sets_aside = sets_aside
        self._first: tuple[int, InputError] | None = None
        """The sequence of the first record that ends the run, and what to tell of it."""
        self._interrupted: InterruptedRunError | None = None

    def refuse_record(self, stream: Stream, version: int | None, bad: BadRecord) -> None:
        """Refuse a record."""
        span = bad.span
        if not self._sets_aside:
            text = (
                f"{origin(span.line, span.file)}: invalid record in stream {quoted(stream.name)}: "
                f"{bad.refused}. With `on_invalid_record: dead_letter`, such records are set aside "
                "instead."
            )
            if self._first is None or span.sequence < self._first[0]:
                self._first = span.sequence, bad.refused.error(text)
            return
        self.to_set_aside.append(
            SetAside(
                stream.name,
                version,
                span.line,
                span.sequence,
                span.epoch,
                str(bad.refused),
                bytes(bad.record),
                stream.prefix(version),
                span.file,
                bad.mapped,
                bad.time_extracted or None,
            )
        )

    def withhold(self, batch: Batch) -> None:
        """Set aside the activation of a version that lacks a record."""
        reason = f"version {batch.version} lacks a record that was set aside before it"
        self.to_set_aside.append(_activation(batch, reason))

    def note_replacement(self, batch: Batch) -> None:
        """Note the activation, which was sent, of a version newer than those that lack a record."""
        if self._sets_aside:
            reason = f"version {batch.version} was activated, and older ones are not replayed"
            self.replacements_to_record.append(replace(_activation(batch, reason), activated=True))

    def interrupted(self, error: InterruptedRunError) -> None:
        """End the run: there is no time to check more records."""
        self._interrupted = error

    def raise_first(self) -> None:
        """End the run if it is to be ended.

        Raises:
            InputError: It is.
            InterruptedRunError: It is, by a signal.
        """
        first, interrupted = self._first, self._interrupted
        self._first = self._interrupted = None
        if first:
            raise first[1]
        if interrupted:
            raise interrupted


def _activation(batch: Batch, reason: str) -> SetAside:
    (span,) = batch.spans
    return SetAside(
        batch.stream,
        batch.version,
        span.line,
        span.sequence,
        span.epoch,
        reason,
        None,
        batch.prefix,
    )
