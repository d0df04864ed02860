"""How a local Import API is to run: each option, with its default, in one place.

Standard library only, so that a command line can be read before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Strictness:
    """Where documents disagree: each switch takes the stricter reading."""

    strict_keys: bool = False
    """Refuse string keys of 256 characters and more, not only those over 1,024."""
    strict_datetime: bool = False
    """Refuse the offset form `+0000`."""
    count_data_points: bool = True
    """Refuse records of more than 10,000 data points."""
    live_messages: bool = False
    """Word a record's violations as the live service was seen to, with line breaks."""


@dataclass(frozen=True)
class Options:
    """The options of `serve` and of `ImportApi`; see `docs/local-import-api.md`."""

    database: Path | None = None
    accounts: Path | str | Mapping[str, Any] | None = None
    host: str = "127.0.0.1"
    port: int = 0
    region: str | None = None
    destination: str = "postgresql"
    nested: str | None = None
    kept_bytes: int | None = 64_000_000
    max_body_bytes: int = 20_000_000  # 20MB, taken as decimal: the safe reading
    public_page: bool = False
    strictness: Strictness = Strictness()
