"""Records that wait until there are enough of them to be worth checking and encoding in one call.

A tap that takes turns between its streams writes a record or two of each at a time, and work per
turn would be work per record. Law: nothing waits longer than `GATHER_SECONDS`, and what is gathered
of a stream is of one schema and one version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from target_stitch_import.batching.payload import (
    Fragment,
    Span,
    Upsert,
    UpsertEncoder,
    upserts,
)
from target_stitch_import.batching.times import api_times
from target_stitch_import.singer.messages import RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from msgspec import Raw, UnsetType

    from target_stitch_import.singer.messages import RecordMessage

GATHER_SECONDS = 0.5
GATHERED_DIVISOR = 6
"""Gathered records keep whole chunks of input in memory, so they may use only this fraction of
`max_buffer_bytes`."""
ENOUGH_RECORDS = 64
ENOUGH_BYTES = 1 << 16


_UPSERTS = msgspec.json.Decoder(list[Upsert])


class Gathered:
    """Records of one stream and version, in the order of the input.

    `spans` says where each is from; `size` is about how much memory they take.
    """

    __slots__ = ("size", "spans", "upserts", "version")

    def __init__(self, version: int | None) -> None:
        self.version = version
        self.upserts: list[Upsert] = []
        self.spans: list[Span] = []
        self.size = 0

    @classmethod
    def of(cls, version: int | None, messages: bytes, spans: list[Span]) -> Gathered:
        """Return the records of a JSON list of messages, as if they had been gathered."""
        gathered = cls(version)
        gathered.upserts = _UPSERTS.decode(messages)
        gathered.spans = spans
        return gathered

    def add(self, upsert: Upsert, span: Span) -> bool:
        """Add one record; tell whether waiting for more would save little."""
        self.upserts.append(upsert)
        self.spans.append(span)
        self.size += len(upsert.data) + RECORD_BYTES
        return self.size >= ENOUGH_BYTES or len(self.spans) >= ENOUGH_RECORDS

    def extend(
        self, messages: list[RecordMessage], times: Iterable[str | UnsetType], span: Span
    ) -> bool:
        """Add all that was read as `span`, as `add` would one by one."""
        count = len(messages)
        records = [message.record for message in messages]
        self.upserts += upserts(span.sequence, records, times)
        self.spans += [span] * count
        if len(self.spans) >= ENOUGH_RECORDS:
            return True  # it will be taken at once, so its size is of no interest
        self.size += sum(map(len, records)) + RECORD_BYTES * count
        return self.size >= ENOUGH_BYTES

    @property
    def records(self) -> list[Raw]:
        """The records alone."""
        return [upsert.data for upsert in self.upserts]

    def encoded(self, encoder: UpsertEncoder) -> bytes:
        """Return the records as a JSON list of messages."""
        return encoder.encode(self.upserts)

    def fragment(self, encoded: bytes) -> Fragment:
        """Return the records as a fragment; `encoded` is what `encoded` returned."""
        return Fragment(encoded, self.spans, self.upserts[0].sequence, self.upserts[-1].sequence)


class Gathering:
    """What is gathered of all streams.

    `since` is when the oldest gathered record came; it is reset only once nothing is gathered.
    `undated` has the streams of records whose `time_extracted` is invalid, until it is emptied.
    """

    def __init__(self) -> None:
        self.size = 0
        self.since = float("inf")
        self.undated: set[str] = set()
        self._of_streams: dict[str, Gathered] = {}

    def add(
        self,
        messages: list[RecordMessage],
        streams: AbstractSet[str],
        span: Span,
        now: float,
    ) -> Iterator[str]:
        """Add records of `streams`, all read as `span`; yield those that are to be taken at once.

        There is enough of these, or they go on with another version.
        """
        # Most taps write one stream after the other: all that is alike goes in by one call.
        are_alike = len(streams) == 1 and len({message.version for message in messages}) == 1
        times, bad = api_times([message.time_extracted for message in messages])
        self.undated.update(messages[at].stream for at in bad)
        sequence = span.sequence
        for message, time in zip(messages[:1] if are_alike else messages, times, strict=False):
            stream = message.stream
            gathered = self._of_streams.get(stream)
            if gathered is None or gathered.version != message.version:
                if gathered is not None:
                    yield stream
                gathered = self._open(stream, message.version, now)
            if are_alike:
                is_enough = gathered.extend(messages, times, span)
            else:
                is_enough = gathered.add(Upsert(sequence, message.record, time), span)
                sequence += 1
            if is_enough:
                yield stream
        if self._of_streams:
            # Waiting records keep their chunk in memory; `singer.messages` copies them out where
            # the chunk is much larger.
            text_bytes = sum([len(message.record) for message in messages])
            self.size += text_bytes + RECORD_BYTES * len(messages)

    def _open(self, stream: str, version: int | None, now: float) -> Gathered:
        if not self._of_streams:
            self.since = now
        gathered = self._of_streams[stream] = Gathered(version)
        return gathered

    def take(self, stream: str) -> Gathered:
        """Return what is gathered of a stream, which must be some, and forget it."""
        gathered = self._of_streams.pop(stream)
        if not self._of_streams:
            self.since = float("inf")
            self.size = 0
        return gathered

    def __contains__(self, stream: str) -> bool:
        return stream in self._of_streams

    def streams(self) -> list[str]:
        """Return the streams of which something is gathered, the longest waiting first."""
        return list(self._of_streams)

    def items(self) -> Iterable[tuple[str, Gathered]]:
        """Return those streams with what is gathered of each."""
        return self._of_streams.items()
