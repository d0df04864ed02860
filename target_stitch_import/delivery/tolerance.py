"""Limits on invalid records: how many a run sets aside, and how many refusals in a row end it.

Invariant: the limit for records that are set aside applies to the whole run. When the service
refuses eight single records in a row, the problem affects all records, and the run ends; the first
of them may already be in the dead-letter file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_stitch_import.errors import InputError
from target_stitch_import.singer.origin import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_stitch_import.batching.set_aside import SetAside

MAX_REFUSALS_IN_A_ROW = 8
"""How many single records refused in a row end the run."""


class RefusalStreak:
    """Counts the single records refused in a row; shared by all deliveries of a run."""

    def __init__(self) -> None:
        self.in_a_row = 0

    def note_accepted(self) -> None:
        """Note that the service accepted a batch, or a part of one."""
        self.in_a_row = 0

    def note_refused(self) -> None:
        """Note that the service refused a single record."""
        self.in_a_row += 1

    @property
    def is_systemic(self) -> bool:
        """Return whether the service seems to refuse all records."""
        return self.in_a_row >= MAX_REFUSALS_IN_A_ROW


class Allowance:
    """How many records of a run may still be set aside.

    Args:
        limit: Setting aside more records than this ends the run; activations do not count.
        place: Where those set aside are, for the error message.
    """

    def __init__(self, limit: int, place: str) -> None:
        self._limit = limit
        self._place = place
        self._left = limit

    def take(self, messages: Sequence[SetAside]) -> Sequence[SetAside]:
        """Return the first of `messages`, as many as may be set aside, and count them."""
        for number, each in enumerate(messages):
            if not each.is_activation:
                if self._left == 0:
                    return messages[:number]
                self._left -= 1
        return messages

    def exceeded(self, first: SetAside) -> InputError:
        """Return the error that ends the run; `first` is the first record over the limit."""
        return InputError(
            f"More than {self._limit:,} records would be set aside (`dead_letter_limit`). The "
            f"first record beyond the limit: {origin(first.line, first.file)}: {first.reason}. "
            f"Those before it are in {self._place}."
        )
