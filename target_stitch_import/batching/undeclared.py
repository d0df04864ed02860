"""Keeps activations of streams that have had no SCHEMA yet, until the SCHEMA arrives.

Invariant: a state after such an activation is not earned before the activation settles: when it is
acknowledged after the SCHEMA, or at the end of the input. It keeps the sequence of its arrival.
Settling it at once would let a killed run leave a state after an activation that was never sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.batching.payload import Span

_NEVER = float("inf")


class Undeclared(Struct, frozen=True):
    """An activation that waits; `since` is when it arrived."""

    version: int
    span: Span
    since: float


class UndeclaredActivations:
    """The activations that wait, by stream."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Undeclared]] = {}
        self._reported: set[str] = set()

    def add(self, stream: str, activation: Undeclared) -> None:
        """Add an activation that waits for the SCHEMA of `stream`."""
        self._waiting.setdefault(stream, []).append(activation)

    def take(self, stream: str) -> list[Undeclared]:
        """Remove and return the activations that wait for the SCHEMA of `stream`."""
        return self._waiting.pop(stream, [])

    def streams(self) -> list[str]:
        """Return the streams with waiting activations."""
        return list(self._waiting)

    def overdue(self, now: float, patience_seconds: float) -> Iterator[str]:
        """Yield each stream, once, whose activation has waited for `patience_seconds`."""
        for stream in [*self._waiting]:
            if self._due(stream, patience_seconds) <= now:
                self._reported.add(stream)
                yield stream

    def next_deadline(self, patience_seconds: float) -> float:
        """Return when the next stream is overdue; infinity for never."""
        return min((self._due(each, patience_seconds) for each in self._waiting), default=_NEVER)

    def _due(self, stream: str, patience_seconds: float) -> float:
        if stream in self._reported:
            return _NEVER
        return self._waiting[stream][0].since + patience_seconds
