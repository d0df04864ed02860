"""Keeps the newest requests verbatim, up to a number of bytes, and a short log of all requests.

Refused requests are kept for the page, with a limit of their own. The caller leaves out tokens.
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
MAX_REFUSED_BYTES = 20_000_000
MAX_ANSWER_CHARACTERS = 20_000


Rate = dict[int, int]
"""Records stored, by second."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One request as received."""

    number: int
    received_at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int

    def as_json(self) -> dict[str, Any]:
        """Return it as `GET /_local/requests` shows it."""
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
class Stored:
    """How many records of one table a request stored."""

    source: str
    table: str
    records: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: a request, its answer, and the reason if it was refused."""

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
    """What the client's author should know, although the request was accepted."""
    fault: str = ""
    """The kind of fault that was applied to it."""
    answer: str = ""
    places: tuple[str, ...] = ()
    """JSON Pointers to what is wrong in its body."""
    stored: tuple[Stored, ...] = ()


class _Bounded:
    """The newest requests, up to a total number of body bytes; None means no limit."""

    def __init__(self, limit: int | None) -> None:
        self.requests: deque[Kept] = deque()
        self.dropped = 0
        self._limit = limit
        self._size = 0

    def keep(self, request: Kept) -> None:
        """Keep a request, and drop the oldest beyond the limit."""
        if self._limit == 0:
            self.dropped += 1
            return
        self.requests.append(request)
        self._size += len(request.body)
        while self._limit is not None and self._size > self._limit:
            self._size -= len(self.requests.popleft().body)
            self.dropped += 1


class Journal:
    """Keeps requests, from one thread; others may read. `kept_bytes` None keeps all, 0 none."""

    def __init__(self, kept_bytes: int | None) -> None:
        self._limit = kept_bytes
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._kept_accepted = _Bounded(self._limit)
        limit = MAX_REFUSED_BYTES if self._limit is None else min(self._limit, MAX_REFUSED_BYTES)
        self._kept_refused = _Bounded(limit)
        self._arrived = 0
        self.log: deque[Entry] = deque(maxlen=MAX_LOG_ENTRIES)
        self.rate: Rate = {}
        self.rates: dict[tuple[str, str], Rate] = {}
        """Records stored, by second, for each source and table."""
        self.accepted = self.refused = self.records = 0

    @property
    def dropped(self) -> int:
        """How many accepted requests are not kept any more."""
        return self._kept_accepted.dropped

    def next_number(self) -> int:
        """Return the number of a request that has just arrived."""
        self._arrived += 1
        return self._arrived

    def keep(self, request: Kept, *, accepted: bool) -> None:
        """Keep a request as received, within the limit."""
        (self._kept_accepted if accepted else self._kept_refused).keep(request)

    def requests(self) -> list[Kept]:
        """Return the kept accepted requests in order of arrival."""
        return sorted(self._kept_accepted.requests, key=lambda request: request.number)

    def find(self, number: int) -> tuple[Entry, Kept | None] | None:
        """Return a request's log entry, and the request itself while it is kept."""
        entry = next((each for each in list(self.log) if each.number == number), None)
        if entry is None:
            return None
        kept = list((self._kept_accepted if entry.accepted else self._kept_refused).requests)
        return entry, next((each for each in kept if each.number == number), None)

    def note(self, entry: Entry) -> None:
        """Add a line to the log and to the rates."""
        self.log.append(entry)
        if not entry.accepted:
            self.refused += 1
            return
        self.accepted += 1
        second = int(entry.received_at.timestamp())
        for each in entry.stored:
            self.records += each.records
            _count(self.rate, second, each.records)
            _count(self.rates.setdefault((each.source, each.table), {}), second, each.records)


def _count(rate: Rate, second: int, records: int) -> None:
    rate[second] = rate.get(second, 0) + records
    while len(rate) > MAX_RATE_SECONDS:
        del rate[min(rate)]
