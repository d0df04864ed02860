"""What came in: accepted requests verbatim within a bound of bytes, and a short log of all.

Tokens are left out before anything is kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MAX_LOG_ENTRIES = 500
MAX_RATE_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Kept:
    """One accepted request as it came."""

    number: int
    received_at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    def as_json(self) -> dict[str, Any]:
        """Give it as `GET /_local/requests` shows it."""
        return {
            "number": self.number,
            "received_at": self.received_at.isoformat(),
            "method": self.method,
            "path": self.path,
            "headers": dict(self.headers),
            "body": self.body.decode("utf-8", "replace"),
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: what came, what was answered, and why."""

    number: int
    received_at: datetime
    method: str
    path: str
    tables: tuple[str, ...]
    records: int
    rejected: int
    size_bytes: int
    status: int
    accepted: bool
    reason: str
    seconds: float
    notes: tuple[str, ...] = ()
    """What the client's author should know, though the request was taken."""


class Journal:
    """Keeps requests; used from one thread. `kept_bytes` None keeps all, 0 none."""

    def __init__(self, kept_bytes: int | None) -> None:
        self._limit = kept_bytes
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._kept: deque[Kept] = deque()
        self._size = 0
        self._arrived = 0
        self.dropped = 0
        self.log: deque[Entry] = deque(maxlen=MAX_LOG_ENTRIES)
        self.rate: dict[int, int] = {}
        """Records accepted, by second."""
        self.accepted = self.refused = self.records = 0

    def arrive(self) -> int:
        """Give the number of a request that has just arrived."""
        self._arrived += 1
        return self._arrived

    def keep(self, request: Kept) -> None:
        """Keep an accepted request, and drop the oldest beyond the bound."""
        if self._limit == 0:
            self.dropped += 1
            return
        self._kept.append(request)
        self._size += len(request.body)
        while self._limit is not None and self._size > self._limit:
            self._size -= len(self._kept.popleft().body)
            self.dropped += 1

    def requests(self) -> list[Kept]:
        """Give the kept requests in order of arrival."""
        return sorted(self._kept, key=lambda request: request.number)

    def note(self, entry: Entry) -> None:
        """Add a line to the log and to the rate."""
        self.log.append(entry)
        if not entry.accepted:
            self.refused += 1
            return
        self.accepted += 1
        self.records += entry.records
        second = int(entry.received_at.timestamp())
        self.rate[second] = self.rate.get(second, 0) + entry.records
        while len(self.rate) > MAX_RATE_SECONDS:
            del self.rate[min(self.rate)]
