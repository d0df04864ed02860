"""What one simulated run of the target is set to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The target's settings, by their names where they have one; the defaults are its own.

    Args:
        chunk_bytes: How much is read at a time, at most.
        silence_seconds: How long the tap is silent now and then.
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
