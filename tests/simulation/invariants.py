"""The strict referee: tracks every message of a run, and checks the invariants after every step.

It gets its facts from the simulated world, not from the target: which bytes were read, which
responses were complete, what is safe in the dead-letter file.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from target_stitch_import.batching.gathering import GATHER_SECONDS
from tests.simulation.tap import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.pipeline import Pipeline
    from target_stitch_import.batching.set_aside import SetAside
    from tests.simulation.settings import Settings
    from tests.simulation.tap import Input, Line, Message


class InvariantError(AssertionError):
    """An invariant of delivery does not hold."""


def require(holds: bool, invariant: str, *details: object) -> None:  # noqa: FBT001 - reads like assert
    """Raise `InvariantError` unless an invariant holds."""
    if not holds:
        raise InvariantError(" ".join([invariant, *map(str, details)]))


@dataclass(slots=True)
class Known:
    """What the referee knows about one message that was read."""

    line: Line
    read_at: float
    max_bytes: int
    """The limit of a body when it was read."""
    handed: bool = False
    settled: bool = False
    acknowledged: bool = False

    @property
    def message(self) -> Message:
        return self.line.message


@dataclass
class Invariants:
    """Checks one run of the target.

    Args:
        given: The run's input.
        settings: The run's settings.
        pipeline: The run's pipeline, of which only counts and limits are used.
        lacking: The streams and versions that lack a record since an earlier run.
        on_sequence: Called with the sequence of each activation, and its place.
    """

    given: Input
    pipeline: Pipeline
    settings: Settings
    lacking: frozenset[tuple[str, int]] = frozenset()
    on_sequence: Callable[[int, int], None] = lambda _, __: None
    known: dict[int, Known] = field(default_factory=dict)
    written: list[Line] = field(default_factory=list)
    _has_failed: bool = False
    _lines_read: int = 0
    _frontier: int = 0
    _newest_earned: Line | None = None
    _unreported: list[Known] = field(default_factory=list)
    _waiting: dict[int, Known] = field(default_factory=dict)
    _open_activations: dict[str, set[int]] = field(default_factory=dict)
    _undeclared: dict[str, list[Known]] = field(default_factory=dict)
    """Activations that wait for the SCHEMA of their stream."""
    _first_set_aside: dict[tuple[str, int | None], int] = field(default_factory=dict)
    _numbered: list[tuple[int, int]] = field(default_factory=list)
    _counts: dict[str, Counter[str]] = field(default_factory=dict)
    _unsettled_bytes: int = 0
    _largest_line: int = 0

    # Events of the world.

    def read(self, end: int, now: float, *, last_line: int | None = None) -> None:
        """Note that the input was read as far as `end`, or to the line that ended the reading."""
        lines = self.given.lines
        while self._lines_read < len(lines) and lines[self._lines_read].end <= end:
            line = lines[self._lines_read]
            if last_line is not None and line.number > last_line:
                return
            self._lines_read += 1
            self._read(line, now)

    def _read(self, line: Line, now: float) -> None:
        message = line.message
        self._largest_line = max(self._largest_line, len(message.text))
        require(message.kind is not Kind.JUNK, "junk was accepted: line", line.number)
        if message.kind is Kind.SCHEMA:
            counts = self._counts.setdefault(message.stream, Counter())
            counts["read"] += len(self._undeclared.pop(message.stream, []))
        if not message.kind.counts:
            return
        limit = self.pipeline.limits.max_bytes
        known = self.known[line.number] = Known(line, now, limit)
        if message.stream in self._counts:
            self._counts[message.stream]["read"] += 1
        else:
            require(message.kind is Kind.ACTIVATE, "of an unknown stream: line", line.number)
            self._undeclared.setdefault(message.stream, []).append(known)
        self._unsettled_bytes += len(message.data)
        if message.kind is Kind.ACTIVATE:
            self._open_activations.setdefault(message.stream, set()).add(line.number)
        if message.kind is Kind.REFUSED:
            self._note_set_aside(known)
            if not self.settings.dead_letter:
                self._unreported.append(known)
        else:
            self._waiting[line.number] = known

    def ended(self) -> None:
        """Note that the input has ended: activations that wait for a SCHEMA are settled."""
        for known in [each for waiting in self._undeclared.values() for each in waiting]:
            known.settled = True

    def failed(self) -> None:
        """Note that the run will end with an error."""
        self._has_failed = True

    def handed(self, batch: Batch) -> None:
        """Note that the pipeline handed a batch to the sender."""
        lines = [message.span.line for message in batch.messages()]
        require(lines == sorted(lines), "a batch is out of order:", lines)
        for number in lines:
            known = self.known[number]
            require(not known.handed, "handed over twice: line", number)
            known.handed = True
            self._waiting.pop(number, None)
        self._counts[batch.stream]["ready or in flight"] += len(lines)

    def sent(self, part: Batch, body: bytes) -> None:
        """Check a request that is about to be sent."""
        said = json.loads(body)
        sent = list(part.messages())
        require(len(sent) == len(said["messages"]), "a body holds other messages than its batch")
        known = [self.known[each.span.line] for each in sent]
        self._check_size(body, known)
        for each, message in zip(known, said["messages"], strict=True):
            self._check_message(each, message, body)
            self._check_envelope(each, said)
            self._check_sequence(each.line.number, message["sequence"])
        if part.barrier:
            self._check_activation(known)
        for each in known:
            overtaken = self._open_activations.get(each.message.stream, set())
            require(
                all(number >= each.line.number for number in overtaken),
                "a record overtook an activation: line",
                each.line.number,
            )

    def acknowledged(self, part: Batch) -> None:
        """Note that a complete acknowledgement of `part` arrived."""
        for message in part.messages():
            known = self.known[message.span.line]
            require(not known.settled, "settled twice: line", message.span.line)
            known.acknowledged = True
            self._settle(known, "acknowledged")
            self._counts[part.stream]["ready or in flight"] -= 1

    def set_aside(self, messages: Iterable[SetAside]) -> None:
        """Note that records and activations are safe in the dead-letter file."""
        for record in messages:
            known = self.known[record.line]
            message = known.message
            require(message.kind.counts, "no message was set aside: line", record.line)
            require((record.record or b"") == message.data, "a dead letter is not verbatim")
            require(
                record.is_activation == (message.kind is Kind.ACTIVATE),
                "a dead letter has the wrong kind",
            )
            require(
                (record.stream, record.version) == (message.stream, message.version),
                "a dead letter names another stream or version",
            )
            self._check_sequence(record.line, record.sequence)
            if record.is_activation:
                self._check_withheld(known)
                self._counts[message.stream]["activations set aside"] += 1
            self._settle(known, "set aside")
            self._counts[message.stream]["ready or in flight"] -= known.handed
            if not record.is_activation:
                self._note_set_aside(known)

    def state_written(self, text: bytes) -> None:
        """Check a state that goes to stdout."""
        lines = [
            line
            for line in self.given.lines[: self._lines_read]
            if line.message.kind is Kind.STATE and line.message.data == text
        ]
        require(len(lines) == 1, "a state is not one of the input's, verbatim:", text)
        (line,) = lines
        require(
            not self.written or line.number > self.written[-1].number,
            "states are out of order: line",
            line.number,
        )
        early = [
            number
            for number, known in self.known.items()
            if number < line.number and not known.settled
        ]
        require(not early, "a state came early: line", line.number, "before lines", early)
        self.written.append(line)

    # Checks after every step.

    def check(self, now: float, held_bytes: int) -> None:
        """Check what must hold at every moment; `held_bytes` is the pipeline's own figure."""
        self._check_counts()
        self._check_states_are_not_late()
        self._check_delay(now)
        self._check_errors_are_reported(now)
        most = self.settings.max_buffer_bytes + self.settings.chunk_bytes + self._largest_line
        require(self._unsettled_bytes <= most, "too much memory is used:", self._unsettled_bytes)
        require(held_bytes >= 0, "a negative number of bytes is held")

    def check_end(self) -> None:
        """Check what must hold when a run has ended without an error."""
        require(self._lines_read == len(self.given.lines), "the input was not read to its end")
        unsettled = [number for number, known in self.known.items() if not known.settled]
        require(not unsettled, "messages are unsettled after success: lines", unsettled)
        states = [line for line in self.given.lines if line.message.kind is Kind.STATE]
        require(self.written[-1:] == states[-1:], "the last state is not written at the end")

    # Helpers.

    def _settle(self, known: Known, how: str) -> None:
        number, message = known.line.number, known.message
        require(not known.settled, "settled twice: line", number)
        known.settled = True
        self._counts[message.stream][how] += 1
        self._unsettled_bytes -= len(message.data)
        if message.kind is Kind.ACTIVATE:
            self._open_activations[message.stream].discard(number)

    def _note_set_aside(self, known: Known) -> None:
        """Remember the first line of each version whose record was set aside."""
        version = (known.message.stream, known.message.version)
        number = known.line.number
        self._first_set_aside[version] = min(number, self._first_set_aside.get(version, number))

    def _check_size(self, body: bytes, known: Sequence[Known]) -> None:
        if len(known) == 1:
            return
        require(len(known) <= self.settings.max_rows, "a body holds too many messages")
        limit = known[-1].max_bytes
        require(len(body) <= limit, "a body is over the limit:", len(body), "of", limit)

    def _check_message(self, known: Known, said: dict[str, Any], body: bytes) -> None:
        message = known.message
        require(not known.acknowledged, "sent again after its acknowledgement")
        require(message.kind is not Kind.REFUSED, "a refused record was sent")
        if message.kind is Kind.ACTIVATE:
            expected = b'{"action":"activate_version","sequence":%d}' % said["sequence"]
        else:
            expected = b'{"action":"upsert","sequence":%d,"data":%b}' % (
                said["sequence"],
                message.data,
            )
        require(expected in body, "not what was read on line", known.line.number)

    def _check_envelope(self, known: Known, said: dict[str, Any]) -> None:
        message = known.message
        require(said["table_name"] == message.stream, "sent to another table")
        require(said.get("table_version") == message.version, "sent as another version")
        if message.table:
            require(said["schema"] == json.loads(message.table.schema), "sent with another schema")
            require(said["key_names"] == list(message.table.keys), "sent with other keys")

    def _check_sequence(self, line: int, sequence: int) -> None:
        require(len(str(sequence)) == 19, "not 19 digits:", sequence)
        at = bisect_left(self._numbered, (line, 0))
        if at < len(self._numbered) and self._numbered[at][0] == line:
            require(self._numbered[at][1] == sequence, "the sequence changed: line", line)
            return
        self._numbered.insert(at, (line, sequence))
        if self.known[line].message.kind is Kind.ACTIVATE:
            self.on_sequence(sequence, self.known[line].message.place)
        around = [number for _, number in self._numbered[max(at - 1, 0) : at + 2]]
        require(around == sorted(set(around)), "sequences do not increase: line", line, around)

    def _check_activation(self, known: Sequence[Known]) -> None:
        (activation,) = known
        message, number = activation.message, activation.line.number
        require(
            (message.stream, message.version) not in self.lacking,
            "a version was activated that lacks a record since an earlier run: line",
            number,
        )
        require(
            self._first_set_aside.get((message.stream, message.version), number) >= number,
            "a version was activated that lacks a record set aside: line",
            number,
        )
        early = [
            number
            for number in self._unsettled_before(activation)
            if self.known[number].message.kind is not Kind.REFUSED
        ]
        require(not early, "an activation overtook records: lines", early)

    def _unsettled_before(self, activation: Known) -> list[int]:
        """Return the unsettled lines of an activation's stream before it."""
        return [
            number
            for number, each in self.known.items()
            if each.message.stream == activation.message.stream
            and number < activation.line.number
            and not each.settled
        ]

    def _check_withheld(self, activation: Known) -> None:
        """Check that an activation had to be set aside, and follows the records set aside."""
        number, message = activation.line.number, activation.message
        self._waiting.pop(number, None)
        early = self._unsettled_before(activation)
        require(not early, "an activation was set aside before records: lines", early)
        if (message.stream, message.version) in self.lacking:
            return
        since = self._first_set_aside.get((message.stream, message.version), number)
        require(since < number, "a complete version was not activated: line", number)

    def _check_counts(self) -> None:
        for stream, counts in self.pipeline.counts().items():
            mine = self._counts.get(stream, Counter())
            believed = {
                "read": counts.read,
                "acknowledged": counts.acknowledged,
                "set aside": counts.set_aside,
                "activations set aside": counts.activations_set_aside,
                "ready or in flight": counts.ready_or_in_flight,
            }
            for name, value in believed.items():
                require(value == mine[name], "miscounted:", stream, name, value, "of", mine[name])

    def _check_states_are_not_late(self) -> None:
        lines = self.given.lines
        while self._frontier < self._lines_read:
            line = lines[self._frontier]
            known = self.known.get(line.number)
            if known and not known.settled:
                break
            if line.message.kind is Kind.STATE:
                self._newest_earned = line
            self._frontier += 1
        if self._newest_earned:
            written = self.written[-1] if self.written else None
            require(written == self._newest_earned, "an earned state is not written")

    def _check_errors_are_reported(self, now: float) -> None:
        latest = now - GATHER_SECONDS - 1e-6
        for known in self._unreported[:1]:
            require(
                self._has_failed or known.read_at >= latest,
                "the error of an invalid record was not raised: line",
                known.line.number,
            )

    def _check_delay(self, now: float) -> None:
        latest = now - self.settings.delay_seconds - 1e-6
        for number, known in self._waiting.items():
            if known.read_at >= latest:
                return  # later ones were read later
            overtaking = any(
                activation < number
                for activation in self._open_activations.get(known.message.stream, ())
            )
            require(
                known.message.kind is Kind.ACTIVATE or overtaking,
                "a record waited too long: line",
                number,
            )
