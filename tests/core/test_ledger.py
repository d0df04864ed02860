"""The ledger, compared with a model that tracks every single message."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.batching.ledger import Ledger


@dataclass
class Model:
    """Tracks, for each state, every message before it."""

    unsettled: dict[int, bool] = field(default_factory=dict)
    states: list[tuple[bytes, frozenset[int]]] = field(default_factory=list)

    def may_write(self, state: bytes) -> bool:
        """Return whether everything before `state` is settled."""
        (before,) = [before for known, before in self.states if known == state]
        return not any(self.unsettled[each] for each in before)

    def newest_earned(self) -> bytes | None:
        """Return the newest state with everything before it settled."""
        earned = [state for state, _ in self.states if self.may_write(state)]
        return earned[-1] if earned else None


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("checkpoint"), st.just(0)),
        st.tuples(st.just("settle"), st.integers(0, 10**6)),
    ),
    max_size=60,
)


@given(ACTIONS, st.sampled_from([1, 2, 3, 1000]))
def test_a_state_becomes_writable_when_everything_before_it_is_settled(
    actions: list[tuple[str, int]], max_epochs: int
) -> None:
    """Never early and always in order; not late, either, unless epochs are scarce."""
    ledger, model = Ledger(max_epochs), Model()
    open_messages: list[tuple[int, int]] = []
    written: list[bytes] = []
    for name, number in actions:
        if name == "read":
            epoch = ledger.read(number)
            for _ in range(number):
                message = len(model.unsettled)
                model.unsettled[message] = True
                open_messages.append((message, epoch))
        elif name == "checkpoint":
            state = b"%d" % len(model.states)
            model.states.append((state, frozenset(model.unsettled)))
            ledger.checkpoint(state)
        elif open_messages:
            message, epoch = open_messages.pop(number % len(open_messages))
            model.unsettled[message] = False
            ledger.settle(epoch, 1)
        earned = ledger.earned()
        if earned is not None:
            assert model.may_write(earned)
            assert all(int(earned) > int(before) for before in written)
            written.append(earned)
        if max_epochs == 1000:
            assert (written[-1] if written else None) == model.newest_earned()
        assert ledger.earned() is None
    for _, epoch in open_messages:
        ledger.settle(epoch, 1)
    earned = ledger.earned() or (written[-1] if written else None)
    assert earned == (model.states[-1][0] if model.states else None), "the last state, at the end"


def test_live_epochs_are_bounded() -> None:
    ledger = Ledger(max_epochs=10)
    epochs = set()
    for number in range(1_000):
        epochs.add(ledger.read(1))
        ledger.checkpoint(b"%d" % number)
    assert len(epochs) == 10
    for epoch in sorted(epochs):
        ledger.settle(epoch, 1 if epoch < max(epochs) else 991)
    assert ledger.earned() == b"999"


def test_the_text_of_waiting_states_is_bounded() -> None:
    ledger = Ledger(max_pending_bytes=100)
    epochs = set()
    for _ in range(50):
        epochs.add(ledger.read(1))
        ledger.checkpoint(b"x" * 40)
    assert len(epochs) == 3


@pytest.mark.parametrize("count", [0, 3, -1])
def test_settling_an_impossible_count_is_an_error(count: int) -> None:
    ledger = Ledger()
    epoch = ledger.read(2)
    with pytest.raises(ValueError, match="settled of 2"):
        ledger.settle(epoch, count)
