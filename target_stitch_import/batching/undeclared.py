"""Activations of streams that are not known yet: they wait for a SCHEMA.

Law: a state after such an activation is not earned before it settles: by its acknowledgement once
the SCHEMA came, or at the end of the input. Its sequence is that of its arrival. Settling it at
once would let a killed run leave a state after an activation that was never sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.batching.payload import Span

_NEVER = float("inf")


class Undeclared(Struct, frozen=True):
    """An activation that waits; `since` is when it came."""

    version: int
    span: Span
    since: float


class UndeclaredActivations:
    """The activations that wait, by stream."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Undeclared]] = {}
        self._told: set[str] = set()

    def add(self, stream: str, activation: Undeclared) -> None:
        """Let an activation wait."""
        self._waiting.setdefault(stream, []).append(activation)

    def take(self, stream: str) -> list[Undeclared]:
        """Return what waits for the SCHEMA of `stream`, and forget it."""
        return self._waiting.pop(stream, [])

    def streams(self) -> list[str]:
        """Return the streams whose SCHEMA is waited for."""
        return list(self._waiting)

    def overdue(self, now: float, patience_seconds: float) -> Iterator[str]:
        """Yield the streams of which one has waited too long to say nothing; each once."""
        for stream in [*self._waiting]:
            if self._due(stream, patience_seconds) <= now:
                self._told.add(stream)
                yield stream

    def next_deadline(self, patience_seconds: float) -> float:
        """Return when the next one is overdue; infinity for never."""
        return min((self._due(each, patience_seconds) for each in self._waiting), default=_NEVER)

    def _due(self, stream: str, patience_seconds: float) -> float:
        if stream in self._told:
            return _NEVER
        return self._waiting[stream][0].since + patience_seconds
