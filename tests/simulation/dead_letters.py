"""The dead-letter file of a simulated machine, whose disk is sometimes full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_stitch_import.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from target_stitch_import.batching.set_aside import SetAside


class DeadLetterFile:
    """The content of the file on the simulated disk; it outlives the runs."""

    def __init__(self, random: Random, sometimes: Callable[[str], None]) -> None:
        self._random = random
        self._sometimes = sometimes
        self.trouble = 0.0
        """The probability that the disk is full."""
        self.safe: list[bytes] = []
        self.lacking: set[tuple[str, int]] = set()
        """The streams and versions that lack a record, until it is repaired."""

    def write(self, records: Sequence[SetAside]) -> None:
        """Store `records`, or raise `OutputError`."""
        if self._random.random() < self.trouble:
            self._sometimes("disk full")
            raise OutputError("The dead-letter file cannot be written.")
        self.safe += [each.record for each in records if each.record is not None]
        self.lacking |= {
            (each.stream, each.version)
            for each in records
            if each.version and not each.is_activation
        }
