"""The machine between the tap's messages and the Import API: no clock, no network, no threads.

Laws: per stream, read = acknowledged + set aside + in flight + buffered, at every moment. What is
held stays within `max_buffer_bytes`, one chunk of input, and the share for what is gathered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from target_stitch_import.batching.buffers import Buffers, Limits
from target_stitch_import.batching.gathering import (
    GATHER_SECONDS,
    GATHERED_SHARE,
    Gathered,
    Gathering,
)
from target_stitch_import.batching.lanes import Counts, Lane
from target_stitch_import.batching.ledger import Ledger
from target_stitch_import.batching.payload import (
    Batch,
    Fragment,
    Sequencer,
    Span,
    encode_activation,
)
from target_stitch_import.batching.set_aside import SetAside
from target_stitch_import.batching.stream import Stream, StreamRules
from target_stitch_import.errors import InputError, quoted
from target_stitch_import.schema.advice import Advice
from target_stitch_import.schema.exact import Refused
from target_stitch_import.singer.messages import (
    ActivateVersion,
    Event,
    MalformedRecord,
    RecordFiles,
    Records,
    Schema,
    State,
)
from target_stitch_import.singer.origin import place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from msgspec import Raw

    from target_stitch_import.singer.origin import BatchFile


@dataclass(frozen=True, slots=True)
class PipelineRules:
    """What the user decided; the names are those of the settings."""

    stream: StreamRules = field(default_factory=StreamRules)
    dead_letter: bool = False
    process_activate_version_messages: bool = True
    max_buffer_bytes: int = 64_000_000
    max_in_flight_requests: int = 4


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about a stream; told once."""

    stream: str
    text: str


class Pipeline:
    """Takes events with `receive`, and says what to send in `ready` and what to set aside.

    The caller hands on batches from `ready`, reports each part with `settled` and each whole with
    `released`, and calls `expire` when `next_deadline` has come. `earned_state` gives the states.

    Times are seconds on any clock that never steps back; `clock_ns` is nanoseconds since 1970.
    """

    def __init__(self, rules: PipelineRules, limits: Limits) -> None:
        self.limits = limits
        self.ready: deque[Batch] = deque()
        self.to_set_aside: deque[SetAside] = deque()
        self.notices: deque[Notice] = deque()
        self._rules = rules
        self._streams: dict[str, Stream] = {}
        self._lanes: dict[str, Lane] = {}
        self._gathering = Gathering()
        self._buffers = Buffers(limits)
        self._ledger = Ledger()
        self._sequencer = Sequencer()
        self._closed_bytes = 0
        self._handed = 0
        """Batches that are ready or in the caller's hands."""
        self._is_closing = False
        self._refusal: tuple[int, str] | None = None
        """The sequence of the first message that must not be sent, and what to tell of it."""
        self._noticed: set[tuple[str, str, str]] = set()
        self._names: dict[str, str] = {}

    def taint(self, stream: str, version: int) -> None:
        """Note that a version lacks a record that an earlier run set aside."""
        self._lanes.setdefault(stream, Lane()).tainted_versions.add(version)

    # What comes in.

    def receive(self, event: Event, now: float, clock_ns: int) -> None:
        """Take one event of the input.

        Raises:
            InputError: The event makes no sense, or a record read up to now must not be sent while
                `on_invalid_record` is `fail`.
        """
        match event:
            case Records():
                self._receive_records(event, now, clock_ns)
            case State():
                self._ledger.checkpoint(event.text)
            case Schema():
                self._receive_schema(event)
            case ActivateVersion():
                self._receive_activation(event, clock_ns)
            case MalformedRecord():
                self._stream_of(event, "RECORD")
                self._admit(event.stream)  # so that they are set aside in their order
                span = self._enter(1, event.line, event.file, clock_ns)
                if event.sequence is not None:
                    (span,) = span.numbered([event.sequence])
                self._lanes[event.stream].counts.read += 1
                refused = Refused("", event.reason)
                self._refuse(
                    event.stream, event.version, span, event.text, refused, mapped=event.mapped
                )
            case RecordFiles():
                # Its records follow as events of their own.
                self._stream_of(event, "BATCH")
        if self._refusal:
            self._tell_refusal()

    def close(self) -> None:
        """Close all batches, a few at a time: the input has ended.

        Raises:
            InputError: A record or an activation is refused; all others are on their way.
        """
        self._admit_all()
        self._is_closing = True
        self._close_largest()
        self._tell_refusal()

    def expire(self, now: float) -> None:
        """Check the records, and close the batches, that have waited long enough.

        Raises:
            InputError: As `receive`.
        """
        if self._gathering.since + self._gather_seconds <= now:
            self._admit_all()
        for batch in self._buffers.expired(now):
            self._enqueue(batch)
        self._tell_refusal()

    def next_deadline(self) -> float:
        """Return when `expire` has work to do; infinity for never."""
        gathered_until = self._gathering.since + self._gather_seconds
        return min(gathered_until, self._buffers.next_deadline())

    @property
    def _gather_seconds(self) -> float:
        return min(GATHER_SECONDS, self.limits.max_age_seconds)

    def has_room(self) -> bool:
        """Tell whether more input may be read.

        Where there is none, the largest batches are closed, so that there will be soon.

        Raises:
            InputError: As `receive`.
        """
        if self.held_bytes < self._rules.max_buffer_bytes:
            return True
        if self._handed < self._rules.max_in_flight_requests:
            self._close_largest()
            self._tell_refusal()
        return False

    # What comes back.

    def settled(self, part: Batch, set_aside: Sequence[SetAside] = ()) -> None:
        """Note that the messages of `part`, a batch or a part of one, are acknowledged.

        But for those in `set_aside`, which are safe in the dead-letter file.
        """
        lane = self._lanes[part.stream]
        for epoch, count in part.epochs.items():
            self._ledger.settle(epoch, count)
        lane.settled(part.count, [each.version for each in set_aside])
        self._pump(lane)

    def set_aside(self, record: SetAside) -> None:
        """Note that a record from `to_set_aside` is safe in the dead-letter file."""
        self._ledger.settle(record.epoch, 1)
        self._lanes[record.stream].counts.set_aside += 1

    def released(self, batch: Batch) -> None:
        """Note that nobody holds a batch from `ready` any more."""
        self._closed_bytes -= batch.held_bytes
        self._handed -= 1
        if self._is_closing and self._handed < self._rules.max_in_flight_requests:
            self._close_largest()

    def earned_state(self) -> bytes | None:
        """Return the newest state that may be written since the last call, or None."""
        return self._ledger.earned()

    def counts(self) -> dict[str, Counts]:
        """Return how far each stream has come."""
        counts = {stream: lane.counts for stream, lane in self._lanes.items()}
        for stream, gathered in self._gathering.items():
            read = counts[stream].read + len(gathered.spans)
            counts[stream] = replace(counts[stream], read=read)
        return counts

    @property
    def held_bytes(self) -> int:
        """How many bytes are buffered or in flight."""
        return self._gathering.size + self._buffers.held_bytes + self._closed_bytes

    @property
    def unsettled(self) -> int:
        """How many messages are read and neither acknowledged nor set aside."""
        return self._ledger.unsettled

    # How it works.

    def _stream_of(
        self, event: MalformedRecord | ActivateVersion | RecordFiles, kind: str
    ) -> Stream:
        if event.stream not in self._streams:
            raise _unknown(kind, event.stream, event.line)
        return self._streams[event.stream]

    def _receive_schema(self, message: Schema) -> None:
        known = self._streams.get(message.stream)
        if known and known.is_described_by(message):
            return
        self._admit(message.stream)
        stream = self._streams[message.stream] = Stream(message, self._rules.stream)
        self._lanes.setdefault(message.stream, Lane())
        if known and known.key_names != stream.key_names:
            stream.advice.append(Advice("the key properties changed in mid-stream"))
        like = self._names.setdefault(stream.name.lower(), stream.name)
        if like != stream.name:
            stream.advice.append(
                Advice(
                    f"its name differs from that of stream {quoted(like)} only by case, and most "
                    "destinations cannot tell two such tables apart"
                )
            )
        for each in stream.advice:
            self._notice(stream.name, each)

    def _enter(self, count: int, line: int, file: BatchFile | None, clock_ns: int) -> Span:
        """Give messages just read their sequences; return where they are from."""
        sequence = self._sequencer.take(count, clock_ns)
        return Span(line, sequence, self._ledger.read(count), file)

    def _receive_records(self, run: Records, now: float, clock_ns: int) -> None:
        messages, streams = run.messages, {message.stream for message in run.messages}
        unknown = streams - self._streams.keys()
        if unknown:
            messages = list(takewhile(lambda each: each.stream not in unknown, messages))
        span = self._enter(len(messages), run.line, run.file, clock_ns)
        for stream in self._gathering.add(messages, streams, span, now, run.sequences):
            self._admit(stream)
        if self._gathering.size > self._rules.max_buffer_bytes // GATHERED_SHARE:
            self._admit_all()
        if unknown:
            message = run.messages[len(messages)]
            raise _unknown("RECORD", message.stream, run.line + len(messages))

    def _largest(self) -> list[str]:
        """Return the streams of which something is held, those that hold the most first."""
        sizes = self._buffers.sizes()
        for stream, gathered in self._gathering.items():
            sizes[stream] = sizes.get(stream, 0) + gathered.size
        return sorted(sizes, key=sizes.__getitem__, reverse=True)

    def _close_largest(self) -> None:
        """Close enough to keep the requests busy; the fewer, the larger the others can get.

        As finding the largest is not free, small ones are closed by the dozen.
        """
        enough = 2 * self._rules.max_in_flight_requests
        enough_bytes = self._rules.max_buffer_bytes // 16
        for stream in self._largest():
            if self._handed >= enough and self._closed_bytes >= enough_bytes:
                break
            self._close(stream)

    def _close(self, stream: str) -> None:
        """Close what there is of a stream."""
        self._admit(stream)
        if stream in self._buffers:
            self._enqueue(self._buffers.close(stream))

    def _admit_all(self) -> None:
        for stream in self._gathering.streams():
            self._admit(stream)

    def _admit(self, name: str) -> None:
        """Check what is gathered of a stream, and buffer what is good."""
        if name not in self._gathering:
            return
        stream = self._streams[name]
        since = self._gathering.since
        gathered = self._gathering.take(name)
        self._lanes[name].counts.read += len(gathered.spans)
        messages = gathered.encoded()
        if stream.check.accepts_all(messages, gathered.records):
            self._buffer(stream, gathered, messages, since)
            return
        for good in self._examined(stream, gathered):
            self._buffer(stream, good, good.encoded(), since)

    def _examined(self, stream: Stream, gathered: Gathered) -> Iterator[Gathered]:
        """Yield the good records, as what stands between the bad ones."""
        good = Gathered(gathered.version)
        notes: set[tuple[str, str]] = set()
        for upsert, span in zip(gathered.upserts, gathered.spans, strict=True):
            verdict = stream.check.examine(upsert.data)
            if isinstance(verdict, Refused):
                if good.spans:
                    yield good
                    good = Gathered(gathered.version)
                its_own = span.at(upsert.sequence)
                self._refuse(stream.name, gathered.version, its_own, upsert.data, verdict)
                continue
            upsert.data = verdict.record
            good.add(upsert, span)
            notes |= verdict.notes.items()
        for name, note in sorted(notes):
            self._notice(stream.name, Advice(f"field {quoted(name)}: {note}"))
        if good.spans:
            yield good

    def _refuse(  # noqa: PLR0913 - what is known of the record
        self,
        stream: str,
        version: int | None,
        span: Span,
        record: bytes | Raw,
        refused: Refused,
        *,
        mapped: bool = True,
    ) -> None:
        """Set a record aside, or end the run once those around it are on their way."""
        self._lanes[stream].tainted_versions.add(version)
        if not self._rules.dead_letter:
            self._note_refusal(
                span,
                f"a record of stream {quoted(stream)} cannot be sent: {refused}. With "
                "`on_invalid_record: dead_letter` such records are set aside.",
            )
            return
        self.to_set_aside.append(
            SetAside(
                stream,
                version,
                span.line,
                span.sequence,
                span.epoch,
                str(refused),
                bytes(record),
                self._streams[stream].prefix(version),
                span.file,
                mapped,
            )
        )

    def _tell_refusal(self) -> None:
        if self._refusal:
            (_, text), self._refusal = self._refusal, None
            raise InputError(text)

    def _buffer(self, stream: Stream, good: Gathered, messages: bytes, since: float) -> None:
        """Buffer good records; `messages` is their JSON list."""
        fragment = good.fragment(messages)
        prefix = stream.prefix(good.version)
        for batch in self._buffers.add(stream.name, prefix, good.version, fragment, since):
            self._enqueue(batch)

    def _receive_activation(self, message: ActivateVersion, clock_ns: int) -> None:
        stream = self._stream_of(message, "ACTIVATE_VERSION")
        if not self._rules.process_activate_version_messages:
            return
        self._close(stream.name)
        self._tell_refusal()
        span = self._enter(1, message.line, None, clock_ns)
        self._lanes[message.stream].counts.read += 1
        message_text = encode_activation(span.sequence)
        fragment = Fragment(message_text, [span], span.sequence, span.sequence)
        prefix = stream.prefix(message.version)
        self._enqueue(Batch.of(stream.name, prefix, [fragment], message.version, barrier=True))

    def _enqueue(self, batch: Batch) -> None:
        self._closed_bytes += batch.held_bytes
        lane = self._lanes[batch.stream]
        lane.join(batch)
        self._pump(lane)

    def _pump(self, lane: Lane) -> None:
        """Make ready what may go."""
        for batch in lane.ready():
            self._handed += 1
            self.ready.append(batch)
        if lane.refused:
            (span, *_), stream = lane.refused.spans, quoted(lane.refused.stream)
            self._note_refusal(
                span,
                f"version {lane.refused.version} of stream {stream} is not activated, as records "
                "of it were set aside: activating would delete their earlier rows. Repair and "
                "replay them, take their lines out of the dead-letter file, then run again.",
            )

    def _note_refusal(self, span: Span, text: str) -> None:
        """Keep what ends the run until those around it are on their way; the first one counts."""
        refusal = span.sequence, f"{place(span.line, span.file)}: {text}"
        self._refusal = min(self._refusal or refusal, refusal)

    def _notice(self, stream: str, advice: Advice) -> None:
        """Tell what was not told before of the stream, or of each of the fields."""
        said = {(stream, advice.text, field) for field in advice.fields or ("",)} - self._noticed
        if said:
            self._noticed |= said
            fresh = tuple(field for field in advice.fields if (stream, advice.text, field) in said)
            self.notices.append(Notice(stream, str(Advice(advice.text, fresh))))


def _unknown(kind: str, stream: str, line: int) -> InputError:
    return InputError(
        f"Line {line}: {kind} of stream {quoted(stream)} came before its SCHEMA. Check that the "
        "tap writes a SCHEMA first."
    )
