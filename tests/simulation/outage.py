"""Simulates an outage of ten minutes with the default settings, and the recovery after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from target_stitch_import.delivery.answer import Answer, Failure
from tests.simulation.clock import Clock
from tests.simulation.dead_letters import DeadLetterFile
from tests.simulation.process import Process
from tests.simulation.service import Fate, Service
from tests.simulation.tap import Input, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.set_aside import SetAside
    from tests.simulation.settings import Settings

BEGINS, ENDS, WATCHED_UNTIL = 30.0, 630.0, 720.0
ANSWER_SECONDS = 5.0
FAILURES = {
    "refused": (Answer(failure=Failure.UNREACHABLE), 0.001),
    "503": (Answer(503), 0.2),
}

_TABLE = Table("s", b'{"properties":{"id":{"type":"integer"}}}', ("id",))
_RECORD = b'{"type":"RECORD","stream":"s","record":{"id":1,"x":"%b"}}\n' % (b"x" * 87_000)
_CHUNK = _RECORD * 3


@dataclass
class _Watch:
    """A referee that only counts arrivals: there are too many messages to track each one."""

    clock: Clock
    arrived_in_second: Counter[int] = field(default_factory=Counter)
    known: tuple[()] = ()

    def read(self, end: int, now: float, *, last_line: int | None = None) -> None: ...

    def ended(self) -> None: ...

    def failed(self) -> None: ...

    def handed(self, batch: Batch) -> None: ...

    def sent(self, part: Batch, body: bytes) -> None: ...

    def acknowledged(self, part: Batch) -> None:
        self.arrived_in_second[int(self.clock.now)] += part.size

    def set_aside(self, messages: Iterable[SetAside]) -> None: ...

    def state_written(self, text: bytes) -> None: ...

    def check(self, now: float, held_bytes: int) -> None: ...

    def check_end(self) -> None: ...


class _EndlessTap(Process):
    """A run whose input is endless, and always available."""

    def _next_chunk(self) -> bytes:
        return _CHUNK if self._at else _TABLE.message() + b"\n"


class _FailingService(Service):
    """A service that is unavailable for ten minutes, and stores nothing."""

    def __init__(self, random: Random, how: str, requests_at: list[float]) -> None:
        super().__init__(random, lambda _: None)
        self._how = how
        self._requests_at = requests_at

    def fate(self, body: bytes, now: float) -> Fate:  # noqa: ARG002
        self._requests_at.append(now)
        if BEGINS <= now < ENDS:
            return Fate("unavailable", *FAILURES[self._how])
        return Fate("201", Answer(201), ANSWER_SECONDS, acknowledges=True)


@dataclass
class Outage:
    """Measurements of a run: sizes in bytes, times in seconds."""

    max_held_bytes: int = 0
    requests_at: list[float] = field(default_factory=list)
    arrived_in_second: Counter[int] = field(default_factory=Counter)

    @classmethod
    def simulated(cls, how: str, seed: int, settings: Settings) -> Outage:
        """Simulate an outage; `how` is one of `FAILURES`."""
        seen = cls()
        random = Random(seed)  # noqa: S311 - no secret
        clock = Clock(random)
        watch = _Watch(clock, seen.arrived_in_second)
        process = _EndlessTap(
            given=Input(b"", ()),
            settings=settings,
            clock=clock,
            random=random,
            service=_FailingService(random, how, seen.requests_at),
            dead_letters=DeadLetterFile(random, lambda _: None),
            sometimes=lambda _: None,
            on_state=lambda _: None,
            referee=watch,
        )
        while clock.now < WATCHED_UNTIL:
            deadline = process.next_deadline()
            if deadline <= clock.next():
                clock.now = deadline
                process.step(lambda: None)
            else:
                clock.run_next()
            seen.max_held_bytes = max(seen.max_held_bytes, process.held_bytes)
        return seen

    def requests_between(self, start: float, end: float) -> int:
        """Return the number of requests between two times."""
        return sum(start <= at < end for at in self.requests_at)

    def bytes_between(self, start: float, end: float) -> int:
        """Return the acknowledged bytes between two times."""
        return sum(self.arrived_in_second[second] for second in range(int(start), int(end)))
