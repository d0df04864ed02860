"""The settings of a simulated run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The target's settings with its own defaults, and the behaviour of the tap.

    Args:
        chunk_bytes: The maximum number of bytes read at once.
        silence_seconds: How long the tap pauses at times.
    """

    dead_letter: bool = False
    max_bytes: int = 4_000_000
    max_rows: int = 20_000
    delay_seconds: float = 60.0
    max_in_flight: int = 4
    max_buffer_bytes: int = 64_000_000
    max_retry_seconds: float = 3600.0
    chunk_bytes: int = 1 << 18
    silence_seconds: float = 0.0
