"""Collects the messages that must not be sent: they are set aside, or end the run.

Invariant: messages are set aside in the order of their stream, an activation after the records
whose rows it would have deleted. If nothing may be set aside, the first bad record of the input
ends the run.
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
    """Refused messages that the caller has not handled yet.

    Args:
        sets_aside: Whether bad records are set aside; otherwise they end the run.
    """

    def __init__(self, *, sets_aside: bool) -> None:
        self.to_set_aside: deque[SetAside] = deque()
        self.replacements_to_record: deque[SetAside] = deque()
        """Acknowledged activations that are to be recorded in the dead-letter file."""
        self._sets_aside = sets_aside
        self._first_bad_sequence: int | None = None
        """The sequence of the first bad record found so far that ends the run."""
        self._bad: InputError | None = None
        """The error of that record, until it is raised."""
        self._interrupted: InterruptedRunError | None = None

    def refuse_record(self, stream: Stream, version: int | None, bad: BadRecord) -> None:
        """Queue a bad record to be set aside, or remember its error for `raise_first`."""
        span = bad.span
        if not self._sets_aside:
            text = (
                f"{origin(span.line, span.file)}: invalid record in stream {quoted(stream.name)}: "
                f"{bad.refused}. With `on_invalid_record: dead_letter`, such records are set aside "
                "instead."
            )
            first = self._first_bad_sequence
            if first is None or span.sequence < first:
                self._first_bad_sequence = span.sequence
                self._bad = bad.refused.error(text)
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
        """Queue an acknowledged activation that replaced versions that lack a record."""
        if self._sets_aside:
            reason = f"version {batch.version} was activated, and older ones are not replayed"
            self.replacements_to_record.append(replace(_activation(batch, reason), activated=True))

    def interrupted(self, error: InterruptedRunError) -> None:
        """Remember for `raise_first` that a signal ended the checking of records."""
        self._interrupted = error

    def raise_first(self) -> None:
        """Raise what ends the run, if anything does.

        After an error about a bad record, only one about an earlier record is raised.

        Raises:
            InputError: The first bad record, if bad records end the run. An interruption is not
                raised then: running again would not help before the record is fixed.
            InterruptedRunError: A signal ended the checking of records.
        """
        bad, interrupted = self._bad, self._interrupted
        self._bad = self._interrupted = None
        if bad:
            raise bad
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
