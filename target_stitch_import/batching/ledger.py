"""Decides which states may be written, by counting the unsettled messages of each epoch.

Invariant: a state is earned once every record and activation before it in the input is settled.
States are earned in order; if several are earned at once, only the newest is returned.

STATE messages divide the input into epochs. A message counts in the epoch in which it was read,
until it settles. When no more epochs may be opened, a new state replaces the newest pending one:
that delays a checkpoint, but never writes one too early.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

MAX_EPOCHS = 1_000
MAX_PENDING_BYTES = 16_000_000
"""The total size of pending states; one more state may always wait, whatever its size."""


class _Epoch(Struct):
    unsettled: int = 0
    state: bytes | None = None


class Ledger:
    """Counts the unsettled messages, and returns the states that are earned."""

    def __init__(
        self, max_epochs: int = MAX_EPOCHS, max_pending_bytes: int = MAX_PENDING_BYTES
    ) -> None:
        self._epochs: deque[_Epoch] = deque([_Epoch()])
        self._first = 0
        self._max_epochs = max_epochs
        self._max_pending_bytes = max_pending_bytes
        self._pending_bytes = 0

    def read(self, count: int) -> int:
        """Count `count` messages as read; return their epoch."""
        newest = self._epochs[-1]
        if newest.state is not None and (
            len(self._epochs) < self._max_epochs and self._pending_bytes < self._max_pending_bytes
        ):
            newest = _Epoch()
            self._epochs.append(newest)
        newest.unsettled += count
        return self._first + len(self._epochs) - 1

    def checkpoint(self, state: bytes) -> None:
        """Add a state: it covers everything read before it."""
        newest = self._epochs[-1]
        self._pending_bytes += len(state) - len(newest.state or b"")
        newest.state = state

    def settle(self, epoch: int, count: int) -> None:
        """Count `count` messages of `epoch` as settled.

        Raises:
            ValueError: The epoch has fewer unsettled messages.
        """
        entry = self._epochs[epoch - self._first]
        if not 0 < count <= entry.unsettled:
            raise ValueError(f"{count} settled of {entry.unsettled} in epoch {epoch}")
        entry.unsettled -= count

    def earned(self) -> bytes | None:
        """Return the newest state earned since the last call, or None."""
        earned = None
        while self._epochs[0].unsettled == 0:
            epoch = self._epochs[0]
            if epoch.state is not None:
                earned, epoch.state = epoch.state, None
                self._pending_bytes -= len(earned)
            if len(self._epochs) == 1:
                break
            self._epochs.popleft()
            self._first += 1
        return earned
