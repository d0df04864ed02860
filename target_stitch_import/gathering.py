"""Records that wait until there are enough of them to be worth checking and encoding in one call.

A tap that takes turns between its streams writes runs of a record or two, and work per run would be
work per record. Law: nothing waits longer than `GATHER_SECONDS`, and what is gathered of a stream
is of one schema and one version.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from target_stitch_import.payload import Fragment, Span, encode_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec import Raw

    from target_stitch_import.messages import Records

GATHER_SECONDS = 0.5
GATHERED_SHARE = 8
"""Gathered lines lie scattered in memory and leave holes, so they get but a share of what may be
buffered."""
ENOUGH_RECORDS = 64
ENOUGH_BYTES = 1 << 16
RECORD_BYTES = 500
"""About what a gathered record costs in memory beside its text."""


class Gathered:
    """Records of one stream and version, in the order of the input."""

    __slots__ = ("records", "size", "spans", "times_extracted", "version")

    def __init__(self, version: int | None) -> None:
        self.version = version
        self.records: list[Raw] = []
        self.times_extracted: list[str | None] = []
        self.spans: list[Span] = []
        self.size = 0

    def add(self, record: Raw, time_extracted: str | None, span: Span) -> None:
        """Add one record; `span` says where it stood."""
        self.records.append(record)
        self.times_extracted.append(time_extracted)
        if self.spans and (joined := self.spans[-1].joined(span)):
            self.spans[-1] = joined
        else:
            self.spans.append(span)

    def each(self) -> Iterator[tuple[Raw, str | None, Span]]:
        """Yield each record with its time and where it stood."""
        places = (place for span in self.spans for place in span.each())
        yield from zip(self.records, self.times_extracted, places, strict=True)

    def encoded(self) -> bytes:
        """Return the records as a JSON list of messages."""
        if len(self.spans) == len(self.records):
            sequences = [span.sequence for span in self.spans]
        else:
            ranges = [range(span.sequence, span.sequence + span.count) for span in self.spans]
            sequences = list(chain.from_iterable(ranges))
        return encode_records(self.records, self.times_extracted, sequences)

    def fragment(self, encoded: bytes) -> Fragment:
        """Return the records as a fragment; `encoded` is what `encoded` returned."""
        return Fragment(encoded, len(self.records), tuple(self.spans))


class Gathering:
    """What is gathered of all streams.

    `since` is when the first of it came; it never goes back, as it stays until all is taken.
    """

    def __init__(self) -> None:
        self.size = 0
        self.since = float("inf")
        self._of_streams: dict[str, Gathered] = {}

    def differs(self, run: Records) -> bool:
        """Tell whether another version of the run's stream is being gathered."""
        gathered = self._of_streams.get(run.stream)
        return gathered is not None and gathered.version != run.version

    def add(self, run: Records, span: Span, now: float) -> bool:
        """Add a run of records; tell whether waiting for more of their stream would save little."""
        gathered = self._of_streams.get(run.stream)
        if gathered is None:
            if not self._of_streams:
                self.since = now
            gathered = self._of_streams[run.stream] = Gathered(run.version)
            gathered.records = run.records
            gathered.times_extracted = run.times_extracted
        else:
            gathered.records += run.records
            gathered.times_extracted += run.times_extracted
        gathered.spans.append(span)
        if len(gathered.records) >= ENOUGH_RECORDS:
            return True  # it will be taken at once, so its size is of no interest
        size = sum(map(len, run.records)) + RECORD_BYTES * span.count
        gathered.size += size
        self.size += size
        return gathered.size >= ENOUGH_BYTES

    def take(self, stream: str) -> Gathered:
        """Return what is gathered of a stream, which must be some, and forget it."""
        gathered = self._of_streams.pop(stream)
        self.size -= gathered.size
        if not self._of_streams:
            self.since = float("inf")
        return gathered

    def __contains__(self, stream: str) -> bool:
        return stream in self._of_streams

    def streams(self) -> list[str]:
        """Return the streams of which something is gathered, the longest waiting first."""
        return list(self._of_streams)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield those streams with how much memory each takes."""
        for stream, gathered in self._of_streams.items():
            yield stream, gathered.size
