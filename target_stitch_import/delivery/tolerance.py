"""How many bad records a run puts up with, those that it finds and those that the service refuses.

Law: the limit of records set aside is of a whole run. When the service refuses record after record,
the fault is not in single records, and the run ends; those refused first may have been set aside
already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_stitch_import.errors import InputError
from target_stitch_import.singer.origin import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_stitch_import.batching.set_aside import SetAside

LONE_REFUSALS_IN_A_ROW = 8
REFUSED_SHARE = 0.01
REFUSED_SHARE_OF_AT_LEAST = 1_000


class Judgement:
    """Tells bad records from a service that refuses everything; one for all deliveries of a run."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._refused = 0
        self._messages = 0

    def accepted(self, count: int) -> None:
        """Note that the service took `count` messages."""
        self._in_a_row = 0
        self._messages += count

    def __str__(self) -> str:
        return f"{self._refused:,} of {self._messages:,}"

    def condemns_all(self) -> bool:
        """Note one more lone record refused; tell whether that is too many."""
        self._in_a_row += 1
        self._refused += 1
        self._messages += 1
        return self._in_a_row >= LONE_REFUSALS_IN_A_ROW or (
            self._messages >= REFUSED_SHARE_OF_AT_LEAST
            and self._refused > REFUSED_SHARE * self._messages
        )


class Allowance:
    """How many records of a run may be set aside.

    Args:
        limit: More records than this end the run; activations do not count.
        path: The dead-letter file, for the words.
    """

    def __init__(self, limit: int, path: str) -> None:
        self._limit = limit
        self._path = path
        self._left = limit

    def take(self, messages: Sequence[SetAside]) -> Sequence[SetAside]:
        """Return as many of `messages`, from the first one on, as may be set aside."""
        for number, each in enumerate(messages):
            if not each.is_activation:
                if self._left == 0:
                    return messages[:number]
                self._left -= 1
        return messages

    def exceeded(self, first: SetAside) -> InputError:
        """Return what ends the run: `first` is the first record too many."""
        return InputError(
            f"More than {self._limit:,} records would be set aside (`dead_letter_limit`). The "
            f"first one too many: {origin(first.line, first.file)}: {first.reason}. Those before "
            f"it are in {self._path}."
        )
