"""Gathers records by stream, so that they are checked and encoded in groups, not one by one.

A tap that alternates between its streams writes only a record or two of each at a time.

Invariant: nothing waits longer than `GATHER_SECONDS`, and the gathered records of a stream all have
the same schema and version.
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
"""Gathered records may use this fraction, 1/6, of `max_buffer_bytes`, because they keep whole
chunks of input in memory."""
ENOUGH_RECORDS = 64
ENOUGH_BYTES = 1 << 16
"""A stream with this many gathered records, or with this much memory of them, waits no longer."""

_UPSERTS = msgspec.json.Decoder(list[Upsert])


class Gathered:
    """Records of one stream and version, in the order of the input.

    `spans` has the origin of each; `size` is their approximate memory in bytes, correct only while
    they wait for more.
    """

    __slots__ = ("size", "spans", "upserts", "version")

    def __init__(self, version: int | None) -> None:
        self.version = version
        self.upserts: list[Upsert] = []
        self.spans: list[Span] = []
        self.size = 0

    @classmethod
    def of(cls, version: int | None, messages: bytes, spans: list[Span]) -> Gathered:
        """Make an instance from a JSON list of messages and their spans."""
        gathered = cls(version)
        gathered.upserts = _UPSERTS.decode(messages)
        gathered.spans = spans
        return gathered

    def add(self, upsert: Upsert, span: Span) -> bool:
        """Add one record; return whether there are enough records to process them."""
        self.upserts.append(upsert)
        self.spans.append(span)
        self.size += len(upsert.data) + RECORD_BYTES
        return self.size >= ENOUGH_BYTES or len(self.spans) >= ENOUGH_RECORDS

    def extend(
        self, messages: list[RecordMessage], times: Iterable[str | UnsetType], span: Span
    ) -> bool:
        """Add all records that were read as `span`; return the same as `add`."""
        count = len(messages)
        records = [message.record for message in messages]
        self.upserts += upserts(span.sequence, records, times)
        self.spans += [span] * count
        if len(self.spans) >= ENOUGH_RECORDS:
            return True  # the records do not wait, so their `size` is not needed
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
        """Return the records as a fragment; `encoded` is their JSON list of messages."""
        return Fragment(encoded, self.spans, self.upserts[0].sequence, self.upserts[-1].sequence)


class Gathering:
    """The gathered records of all streams.

    `size` is the approximate memory of all records read together with gathered ones, because those
    keep the whole chunk; `since` is when the oldest gathered record arrived. Both are reset only
    when nothing is gathered.

    `undated` has the streams with an invalid `time_extracted`, until the caller empties it.
    """

    def __init__(self) -> None:
        self.size = 0
        self.since = float("inf")
        self.undated: set[str] = set()
        self._by_stream: dict[str, Gathered] = {}

    def add(
        self,
        messages: list[RecordMessage],
        streams: AbstractSet[str],
        span: Span,
        now: float,
    ) -> Iterator[str]:
        """Add records of `streams`, all read as `span`; yield each stream to be taken at once.

        Such a stream has enough records, or continues with another version.
        """
        # Most taps write one stream after the other: records of one kind are added by one call.
        are_alike = len(streams) == 1 and len({message.version for message in messages}) == 1
        times, bad = api_times([message.time_extracted for message in messages])
        self.undated.update(messages[at].stream for at in bad)
        sequence = span.sequence
        for message, time in zip(messages[:1] if are_alike else messages, times, strict=False):
            stream = message.stream
            gathered = self._by_stream.get(stream)
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
        if self._by_stream:
            # Waiting records keep their chunk in memory; `singer.messages` copies them if the chunk
            # is much larger.
            text_bytes = sum([len(message.record) for message in messages])
            self.size += text_bytes + RECORD_BYTES * len(messages)

    def _open(self, stream: str, version: int | None, now: float) -> Gathered:
        if not self._by_stream:
            self.since = now
        gathered = self._by_stream[stream] = Gathered(version)
        return gathered

    def take(self, stream: str) -> Gathered:
        """Remove and return the gathered records of a stream, which must have some."""
        gathered = self._by_stream.pop(stream)
        if not self._by_stream:
            self.since = float("inf")
            self.size = 0
        return gathered

    def __contains__(self, stream: str) -> bool:
        return stream in self._by_stream

    def streams(self) -> list[str]:
        """Return the streams that have gathered records, the longest waiting first."""
        return list(self._by_stream)

    def items(self) -> Iterable[tuple[str, Gathered]]:
        """Return the streams with their gathered records."""
        return self._by_stream.items()
