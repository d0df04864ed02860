"""A simulated Import API, with its responses, the messages it has stored, and its tables.

It outlives the runs of the target, like the real one. A request that it has received is processed
even if nobody waits for the response any more.
"""

from __future__ import annotations

import email.utils
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from target_stitch_import.delivery.answer import Answer, End, Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

WALL_CLOCK = 1_700_000_000.0
"""Seconds since 1970 when the simulated time is 0."""

REQUEST_TIMEOUT_SECONDS = 120.0
_PAGES = (b"<html>", b"fine", b"[]", b'{"error":"no"}', b'{"status":1}')


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one request.

    `acknowledges` is the truth, which the target has to infer from `answer` alone.
    """

    name: str
    answer: Answer
    seconds: float
    stores: bool = False
    acknowledges: bool = False
    not_before_seconds: float = 0.0
    ends_the_run: bool = False

    @property
    def is_ambiguous(self) -> bool:
        return self.stores and not self.acknowledges


@dataclass(frozen=True, slots=True)
class Weather:
    """The state of the service; probabilities are for one request."""

    trouble: float = 0.0
    fatal: float = 0.0
    whim: float = 0.0
    hints: tuple[str, ...] = ("right", "wrong", "none")
    max_body_bytes: int = 10**9
    outages: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored message."""

    stream: str
    sequence: int
    version: int | None
    data: dict[str, Any] | None
    """The record; None for an activation."""


@dataclass
class Service:
    """Responds to requests according to its weather and their content."""

    random: Random
    sometimes: Callable[[str], None]
    weather: Weather = field(default_factory=Weather)
    stored: list[Stored] = field(default_factory=list)
    places: set[int] = field(default_factory=set)
    """The member `u` of all records stored so far."""

    def fate(self, body: bytes, now: float) -> Fate:
        """Decide what happens to a request that arrives at `now`."""
        fate = self._fate(body, now)
        self.sometimes(fate.name)
        return fate

    def store(self, body: bytes) -> None:
        """Store the messages of a body."""
        said = json.loads(body)
        for message in said["messages"]:
            data = message.get("data")
            self.stored.append(
                Stored(said["table_name"], message["sequence"], said.get("table_version"), data)
            )
            if data is not None:
                self.places.add(data["u"])

    def table(self, stream: str) -> dict[int, int]:
        """Return the member `u` of each key's row in a keyed table, after everything is loaded."""
        rows: dict[int, Stored] = {}
        of_stream = (each for each in self.stored if each.stream == stream)
        for each in sorted(of_stream, key=lambda stored: stored.sequence):
            if each.data is not None:
                rows[each.data["id"]] = each
            else:
                rows = {key: row for key, row in rows.items() if row.version == each.version}
        return {key: row.data["u"] for key, row in rows.items() if row.data is not None}

    def _fate(self, body: bytes, now: float) -> Fate:
        weather, random = self.weather, self.random
        seconds = random.choice([0.01, 0.1, random.uniform(0, 5)])
        if any(start <= now < end for start, end in weather.outages):
            return self._away(seconds)
        messages = json.loads(body)["messages"]
        poison = [at for at, each in enumerate(messages) if "poison" in each.get("data", ())]
        too_large = len(body) > weather.max_body_bytes
        fate = None
        if random.random() < weather.fatal:
            fate = self._fatal(seconds)
        elif random.random() < weather.trouble:
            fate = self._trouble(now, seconds)
        if fate:
            return replace(fate, stores=fate.stores and not poison and not too_large)
        if too_large:
            return Fate("413", Answer(413), seconds)
        if poison:
            return self._refused(poison[0], len(messages), seconds)
        if random.random() < weather.whim:
            return Fate("400 for nothing", Answer(400, b'{"error":"no"}'), seconds)
        status = random.choice([200, 201, 202, 204])
        said = b"" if status == 204 else random.choice([b"", b"{}", b'{"status":"OK"}'])
        answer = Answer(status, body=said)
        return Fate(str(status), answer, seconds, stores=True, acknowledges=True)

    def _away(self, seconds: float) -> Fate:
        if self.random.random() < 0.5:
            return Fate("outage, refused", Answer(failure=Failure.UNREACHABLE), 0.001)
        return Fate("outage, 503", Answer(503), seconds)

    def _fatal(self, seconds: float) -> Fate:
        status = self.random.choice([401, 302, 404, 200])
        if status == 200:
            page = Answer(status, body=self.random.choice(_PAGES))
            stores = self.random.random() < 0.5  # a proxy may have responded instead
            return Fate("2xx of another service", page, seconds, stores=stores, ends_the_run=True)
        return Fate(str(status), Answer(status), seconds, ends_the_run=True)

    def _refused(self, at: int, count: int, seconds: float) -> Fate:
        hint = self.random.choice(self.weather.hints)
        named = {"right": at, "wrong": (at + 1) % (count + 1), "none": None}[hint]
        words = "no" if named is None else f"Record {named} did not conform to schema"
        status = self.random.choice([400, 422])
        return Fate(f"{status}, hint {hint}", Answer(status, words.encode()), seconds)

    def _trouble(self, now: float, seconds: float) -> Fate:
        random = self.random
        kinds = ["busy", "busy", "error", "reset before", "reset after", "timeout", "cut off"]
        kind = random.choice([*kinds, "2xx, unclear", "2xx"])
        match kind:
            case "busy":
                return self._busy(now, seconds)
            case "error":
                return Fate("5xx", Answer(random.choice([408, 425, 500, 502, 504])), seconds)
            case "reset before":
                return Fate(kind, Answer(failure=Failure.LOST), seconds)
            case "reset after":
                return Fate(kind, Answer(failure=Failure.LOST), seconds, stores=True)
            case "timeout":
                stores = random.random() < 0.5
                name = "timeout, stored" if stores else "timeout, not stored"
                answer = Answer(failure=Failure.TIMED_OUT)
                return Fate(name, answer, REQUEST_TIMEOUT_SECONDS, stores=stores)
            case "cut off":
                return Fate(kind, Answer(failure=Failure.CUT_OFF), seconds, stores=True)
            case "2xx, unclear":
                answer = random.choice(
                    [Answer(200, body=b'{"status":'), Answer(200, end=End.CLOSED)]
                )
                return Fate(kind, answer, seconds, stores=random.random() < 0.5)
            case _:
                # The status is not the first member.
                answer = Answer(200, b'{"message":"","status":"ERROR"}')
                return Fate("2xx that says error", answer, seconds)

    def _busy(self, now: float, seconds: float) -> Fate:
        status = self.random.choice([429, 503])
        wait = float(self.random.choice([1, 20, 90]))
        form = self.random.choice(["seconds", "date", "negative", "junk", "none"])
        value = {
            "seconds": str(int(wait)),
            # The response is read later than it is written, and a date has whole seconds.
            "date": email.utils.formatdate(WALL_CLOCK + now + seconds + wait, usegmt=True),
            "negative": "-7",
            "junk": "soon",
            "none": None,
        }[form]
        asked = {"seconds": wait, "date": wait - 1}.get(form, 0.0)
        name = f"busy, Retry-After {form}"
        answer = Answer(status, retry_after=value)
        return Fate(name, answer, seconds, not_before_seconds=asked)
