"""Turns the tap's messages into batches and states, without clock, network or threads.

Invariants: per stream, read = acknowledged + set aside + unsettled, at every moment. The
memory held stays within the sum of `max_buffer_bytes`, one chunk of input, and the part of
`max_buffer_bytes` that gathered records may use (`GATHERED_DIVISOR`).
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from target_stitch_import.batching.buffers import Buffers, Limits
from target_stitch_import.batching.gathering import (
    GATHER_SECONDS,
    GATHERED_DIVISOR,
    Gathering,
)
from target_stitch_import.batching.lanes import Counts, Lanes
from target_stitch_import.batching.ledger import Ledger
from target_stitch_import.batching.packing import Packer
from target_stitch_import.batching.payload import Batch, Sequencer, Span, activation
from target_stitch_import.batching.refusals import Refusals
from target_stitch_import.batching.streams import Notice, Streams
from target_stitch_import.batching.undeclared import Undeclared, UndeclaredActivations
from target_stitch_import.errors import assert_never
from target_stitch_import.schema.advice import Advice
from target_stitch_import.singer.messages import (
    ActivateVersion,
    Event,
    MalformedRecord,
    MappedSchema,
    RecordFiles,
    Records,
    Rows,
    Schema,
    State,
)

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from target_stitch_import.batching.examining import RepairCount
    from target_stitch_import.batching.set_aside import SetAside
    from target_stitch_import.batching.stream import Stream, StreamRules
    from target_stitch_import.singer.origin import BatchFile


_NO_TIME = Advice("`time_extracted` of some records is not a date-time and is omitted")


class PipelineRules(Struct, frozen=True):
    """The user's settings; `dead_letter` means `on_invalid_record: dead_letter`."""

    stream: StreamRules
    dead_letter: bool
    process_activate_version_messages: bool
    activate_incomplete_versions: bool
    max_buffer_bytes: int
    max_in_flight_requests: int


class Pipeline:
    """Takes events with `receive`; puts batches into `ready`, and messages into `to_set_aside`.

    The caller sends the batches in `ready`, reports each settled part with `settled` and each
    finished batch with `released`, and calls `expire` at the time that `next_deadline` returns.
    `earned_state` returns the states to write.

    Times are seconds on any monotonic clock; `clock_ns` is nanoseconds since 1970.
    `check_interrupt` is called during long operations, and ends them by raising
    InterruptedRunError; the records of an operation that was ended never settle.
    """

    def __init__(
        self,
        rules: PipelineRules,
        limits: Limits,
        check_interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self.limits = limits
        self._rules = rules
        self._streams = Streams(rules.stream, check_interrupt)
        self._refusals = Refusals(sets_aside=rules.dead_letter)
        self._lanes = Lanes(
            activate_incomplete=rules.activate_incomplete_versions,
            withhold=self._withhold,
            note_replacement=self._refusals.note_replacement,
        )
        self._undeclared = UndeclaredActivations()
        self._gathering = Gathering()
        self._buffers = Buffers(limits)
        self._ledger = Ledger()
        self._sequencer = Sequencer()
        self._packer = Packer(
            self._streams,
            self._gathering,
            self._buffers,
            self._lanes,
            self._refusals,
            check_interrupt,
        )
        self._is_closing = False

    @property
    def ready(self) -> deque[Batch]:
        """The batches to send, in this order; the caller removes those that it takes."""
        return self._lanes.ready

    @property
    def to_set_aside(self) -> deque[SetAside]:
        """The messages to set aside, in this order; the caller removes those that it takes."""
        return self._refusals.to_set_aside

    @property
    def replacements_to_record(self) -> deque[SetAside]:
        """Acknowledged activations, to be recorded so that `replay` skips older versions."""
        return self._refusals.replacements_to_record

    @property
    def repaired(self) -> deque[RepairCount]:
        """Repairs to report; the caller removes them."""
        return self._packer.repaired

    @property
    def notices(self) -> deque[Notice]:
        """Notices to show to the user; the caller removes them."""
        return self._streams.notices

    def note_lacking(self, table: str, version: int) -> None:
        """Note that a version of a table lacks a record that an earlier run set aside."""
        prefix = self._rules.stream.table_prefix
        if table.startswith(prefix):
            self._lanes[table.removeprefix(prefix)].note_lacking(version, 0)

    def learn_limit(self, max_bytes: int) -> None:
        """Note that the service accepts no bodies larger than this."""
        self.limits.max_bytes = min(self.limits.max_bytes, max_bytes)

    # Input.

    def receive(self, event: Event, now: float, clock_ns: int) -> None:
        """Process one event of the input.

        Raises:
            InputError: The event is invalid, or a record read so far is invalid while
                `on_invalid_record` is `fail`.
            InterruptedRunError: `check_interrupt` raised it.
        """
        match event:
            case Records():
                self._receive_records(event, now, clock_ns)
            case Rows():
                self._receive_rows(event, now, clock_ns)
            case State():
                self._ledger.checkpoint(event.text)
            case Schema():
                self._receive_schema(event, clock_ns)
            case MappedSchema():
                self._declare(event.stream, event.aliases, clock_ns)
            case ActivateVersion():
                self._receive_activation(event, now, clock_ns)
            case MalformedRecord():
                self._receive_malformed(event, now, clock_ns)
            case RecordFiles():
                # Its records follow as events of their own.
                self._streams.require(event.stream, "BATCH", event.line)
            case _:
                assert_never(event)
        self._refusals.raise_first()

    def end(self) -> None:
        """Handle the regular end of input: settle activations without a table, close all batches.

        Raises:
            InputError, InterruptedRunError: See `close`.
        """
        for stream in self._undeclared.streams():
            for each in self._undeclared.take(stream):
                self._ledger.settle(each.span.epoch, 1)
            self._streams.notice(
                stream,
                Advice("ACTIVATE_VERSION without a SCHEMA: there is no table to activate"),
            )
        self.close()

    def close(self) -> None:
        """Check what is gathered, and close all batches, a few at a time as requests become free.

        Raises:
            InputError: A record is invalid, and none before it was reported; all valid ones are
                still delivered.
            InterruptedRunError: See `receive`; what was checked before is still delivered.
        """
        self._packer.admit_all()
        self._is_closing = True
        self._close_largest()
        self._refusals.raise_first()

    def expire(self, now: float) -> None:
        """Check the records, and close the batches, that have waited long enough.

        Raises:
            InputError, InterruptedRunError: See `receive`.
        """
        if self._gathering.since + self._gather_seconds <= now:
            self._packer.admit_all()
        self._packer.expire(now)
        for stream in self._undeclared.overdue(now, self.limits.max_age_seconds):
            self._streams.notice(
                stream, Advice("ACTIVATE_VERSION came before its SCHEMA; states wait for it")
            )
        self._refusals.raise_first()

    def next_deadline(self) -> float:
        """Return when `expire` has work to do; infinity for never."""
        return min(
            self._gathering.since + self._gather_seconds,
            self._buffers.next_deadline(),
            self._undeclared.next_deadline(self.limits.max_age_seconds),
        )

    @property
    def _gather_seconds(self) -> float:
        return min(GATHER_SECONDS, self.limits.max_age_seconds)

    @property
    def has_room(self) -> bool:
        """Return whether more input may be read."""
        return self.held_bytes < self._rules.max_buffer_bytes

    def make_room(self) -> None:
        """Close the largest batches if there is no room, so that sending them makes room.

        Raises:
            InputError, InterruptedRunError: See `receive`.
        """
        if not self.has_room and self._needs_more:
            self._close_largest()
            self._refusals.raise_first()

    @property
    def _needs_more(self) -> bool:
        """Return whether there are fewer batches to send than requests allowed in flight."""
        return self._lanes.ready_or_in_flight < self._rules.max_in_flight_requests

    # Results.

    def settled(self, part: Batch, set_aside: Sequence[SetAside] = ()) -> None:
        """Note that the messages of `part`, a batch or a part of one, are settled.

        Those in `set_aside` are safe in the dead-letter file, all others are acknowledged.
        """
        for epoch, count in part.epochs.items():
            self._ledger.settle(epoch, count)
        self._lanes.settled(part, set_aside)

    def set_aside(self, message: SetAside) -> None:
        """Note that a message from `to_set_aside` is safe in the dead-letter file."""
        self._ledger.settle(message.epoch, 1)
        self._lanes[message.stream].counts.add_set_aside([message])

    def released(self, batch: Batch) -> None:
        """Note that nothing refers to a batch from `ready` any more."""
        self._lanes.released(batch)
        if self._is_closing and self._needs_more:
            self._close_largest()

    def earned_state(self) -> bytes | None:
        """Return the newest state earned since the last call, or None."""
        return self._ledger.earned()

    def counts(self) -> dict[str, Counts]:
        """Return the counts of each stream, including gathered records."""
        counts = {stream: lane.counts for stream, lane in self._lanes.items()}
        for stream, gathered in self._gathering.items():
            read = counts[stream].read + len(gathered.spans)
            counts[stream] = replace(counts[stream], read=read)
        return counts

    @property
    def held_bytes(self) -> int:
        """The size in bytes of what is gathered, buffered, queued, ready or in flight."""
        return self._packer.held_bytes

    # Receiving.

    def _enter(self, count: int, line: int, file: BatchFile | None, clock_ns: int) -> Span:
        """Assign sequences and an epoch to messages just read; return their span."""
        sequence = self._sequencer.take(count, clock_ns)
        return Span(line, sequence, self._ledger.read(count), file)

    def _receive_schema(self, message: Schema, clock_ns: int) -> None:
        stream = self._streams.described(message)
        name = stream.name
        if name in self._streams and self._streams[name] is stream:
            return
        self._packer.admit(name)
        if name in self._streams and self._streams[name].key_names != stream.key_names:
            self._packer.close(name)
        self._streams.change(stream)
        self._lanes.open(name)
        if not message.is_map_output:
            self._declare(name, (name,), clock_ns)

    def _declare(self, stream: str, aliases: Sequence[str], clock_ns: int) -> None:
        """Queue the activations that waited for the SCHEMA of `stream`, for each of `aliases`."""
        for waiting in self._undeclared.take(stream):
            for number, alias in enumerate(aliases):
                span = waiting.span
                if number > 0:  # the first alias keeps the span, each other one gets its own
                    span = self._enter(1, span.line, None, clock_ns)
                self._activate(self._streams[alias], waiting.version, span)
            if not aliases:
                self._ledger.settle(waiting.span.epoch, 1)

    def _receive_records(self, event: Records, now: float, clock_ns: int) -> None:
        messages, streams = event.messages, {message.stream for message in event.messages}
        unknown = streams - self._streams.names()
        if unknown:
            messages = list(takewhile(lambda each: each.stream not in unknown, messages))
        span = self._enter(len(messages), event.line, event.file, clock_ns)
        for stream in self._gathering.add(messages, streams, span, now):
            self._packer.admit(stream)
        while self._gathering.undated:
            self._streams.notice(self._gathering.undated.pop(), _NO_TIME)
        if self._gathering.size > self._rules.max_buffer_bytes // GATHERED_DIVISOR:
            self._packer.admit_all()
        if unknown:
            message = event.messages[len(messages)]
            self._streams.require(message.stream, "RECORD", event.line + len(messages))

    def _receive_rows(self, rows: Rows, now: float, clock_ns: int) -> None:
        stream = self._streams.require(rows.stream, "RECORD", rows.line)
        self._packer.admit(rows.stream)  # records keep their order
        span = self._enter(rows.count, rows.line, rows.file, clock_ns)
        self._packer.admit_rows(stream, rows, span, now)

    def _receive_malformed(self, event: MalformedRecord, now: float, clock_ns: int) -> None:
        stream = self._streams.require(event.stream, "RECORD", event.line)
        self._packer.admit(event.stream)  # records are set aside in their order
        span = self._enter(1, event.line, event.file, clock_ns)
        if event.sequence is not None:
            (span,) = span.numbered([event.sequence])
        self._packer.admit_malformed(stream, event, span, now)

    def _receive_activation(self, message: ActivateVersion, now: float, clock_ns: int) -> None:
        if not self._rules.process_activate_version_messages:
            return
        name = message.stream
        if name in self._streams:
            # An activation after an error would delete rows of records that were not checked.
            self._packer.close(name)
            self._refusals.raise_first()
        span = self._enter(1, message.line, None, clock_ns)
        if name in self._streams:
            self._activate(self._streams[name], message.version, span)
        else:
            self._undeclared.add(name, Undeclared(message.version, span, now))

    def _activate(self, stream: Stream, version: int, span: Span) -> None:
        """Queue the activation of a version, after the stream's closed batches."""
        counts = self._lanes[stream.name].counts
        counts.read += 1
        counts.activations += 1
        self._lanes.enqueue(activation(stream.name, stream.prefix(version), version, span))

    # Closing batches.

    def _close_largest(self) -> None:
        """Close just enough batches to keep all requests busy; the others keep growing.

        Finding the largest has a cost, so many small batches are closed at once.
        """
        self._packer.close_largest(
            2 * self._rules.max_in_flight_requests, self._rules.max_buffer_bytes // 16
        )

    def _withhold(self, batch: Batch) -> None:
        """Set aside the activation of a version that lacks a record."""
        self._refusals.withhold(batch)
        self._streams.notice(
            batch.stream,
            Advice(
                f"version {batch.version} is not activated, because records of it were set "
                "aside; the table keeps its previous version. Repair the records and replay the "
                "dead-letter file"
            ),
        )
