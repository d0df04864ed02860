"""Which states may be written: epochs and their unsettled counts.

Law: a state is earned once every record and activation before it in the input is settled. States
are earned in order, and of those earned at once only the newest counts.

STATE messages cut the input into epochs. What is read joins the newest epoch; what settles leaves
its own. While no more epochs may be opened, a state takes the place of the newest pending one,
which delays a checkpoint and never brings one forward.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

MAX_EPOCHS = 1_000
MAX_PENDING_BYTES = 16_000_000
"""Of states that wait; one state more may always wait, however large."""


class _Epoch(Struct):
    unsettled: int = 0
    state: bytes | None = None


class Ledger:
    """Counts what is read and settled, and says which state is earned."""

    def __init__(
        self, max_epochs: int = MAX_EPOCHS, max_pending_bytes: int = MAX_PENDING_BYTES
    ) -> None:
        self._epochs: deque[_Epoch] = deque([_Epoch()])
        self._first = 0
        self._max_epochs = max_epochs
        self._max_pending_bytes = max_pending_bytes
        self._pending_bytes = 0

    def read(self, count: int) -> int:
        """Enter `count` messages just read; return their epoch."""
        newest = self._epochs[-1]
        if newest.state is not None and (
            len(self._epochs) < self._max_epochs and self._pending_bytes < self._max_pending_bytes
        ):
            newest = _Epoch()
            self._epochs.append(newest)
        newest.unsettled += count
        return self._first + len(self._epochs) - 1

    def checkpoint(self, state: bytes) -> None:
        """Enter a state just read: it covers everything read before it."""
        newest = self._epochs[-1]
        self._pending_bytes += len(state) - len(newest.state or b"")
        newest.state = state

    def settle(self, epoch: int, count: int) -> None:
        """Note that `count` messages of `epoch` arrived, or are set aside for good."""
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
