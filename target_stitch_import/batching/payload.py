"""Builds, measures and splits request bodies for `POST /v2/import/batch`.

Invariant: a body never exceeds `MAX_BODY_BYTES`, unless its table version has more than 64 bits.
Sequences strictly increase in the order of the input, and a record keeps its sequence through every
retry and split.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from itertools import accumulate, chain
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from target_stitch_import.limits import MAX_BODY_BYTES, MAX_SEQUENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from target_stitch_import.singer.origin import BatchFile

_ENCODER = msgspec.json.Encoder()
_OPENING = b',"messages":['
_ENVELOPE_BYTES = 128
"""More than a message needs around its record: action, sequence and time extracted."""
_CLOSING = b"]}"

FRAGMENT_BYTES = 400
MESSAGE_BYTES = 8
"""Approximate memory of a fragment and a message in addition to the text, with the allocator's
overhead."""


class Upsert(msgspec.Struct, tag_field="action", tag="upsert", omit_defaults=True, gc=False):
    """The message that carries a record."""

    sequence: int
    data: Raw
    time_extracted: str | UnsetType = UNSET


UPSERT_PARTS = ('{"action":"upsert","sequence":', ',"data":', "}")
"""The text before, between and after sequence and record, for code that writes many at once."""


class _ActivateVersion(msgspec.Struct, tag_field="action", tag="activate_version"):
    sequence: int


class _ReadMessage(msgspec.Struct):
    """An encoded message of either action, as it is read again."""

    sequence: int
    data: Raw | UnsetType = UNSET
    time_extracted: str | None = None


_MESSAGES = msgspec.json.Decoder(list[Raw])
_MESSAGE = msgspec.json.Decoder(_ReadMessage)


class Sequencer:
    """Assigns sequence numbers: nanoseconds of the wall clock, but always strictly increasing."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def take(self, count: int, clock_ns: int) -> int:
        """Return the first of `count` consecutive numbers; `clock_ns` is nanoseconds since 1970.

        Raises:
            OverflowError: The clock is past the year 2262.
        """
        first = max(self.last + 1, clock_ns)
        self.last = first + count - 1
        if self.last > MAX_SEQUENCE:
            raise OverflowError("the clock is past the year 2262: sequences would not fit")
        return first


class Span(msgspec.Struct, frozen=True, gc=False):
    """The origin of messages that were read together: first line, first sequence, epoch and file.

    Sequences and lines increase together, so a message's sequence determines its line. Lines are
    counted in `file` if there is one, else in the tap's output.
    """

    line: int
    sequence: int
    epoch: int
    file: BatchFile | None = None

    def at(self, sequence: int) -> Span:
        """Return the span of the one message that has this `sequence`."""
        return Span(self.line + sequence - self.sequence, sequence, self.epoch, self.file)

    def numbered(self, sequences: Iterable[int]) -> Iterator[Span]:
        """Yield a span for each message, with the message's own sequence from `sequences`."""
        for line, sequence in enumerate(sequences, self.line):
            yield Span(line, sequence, self.epoch, self.file)


class Fragment(msgspec.Struct, frozen=True, gc=False):
    """Encoded messages of one stream, in the order of the input.

    `encoded` is a JSON list of the messages, `spans` has the origin of each, `first` and `last` are
    the sequences of the first and the last message.
    """

    encoded: bytes
    spans: list[Span]
    first: int
    last: int

    @property
    def count(self) -> int:
        """The number of messages."""
        return len(self.spans)

    @property
    def held_bytes(self) -> int:
        """The approximate memory in bytes."""
        return len(self.encoded) + FRAGMENT_BYTES + MESSAGE_BYTES * len(self.spans)

    @property
    def joined_bytes(self) -> int:
        """The size in bytes of the messages joined by commas."""
        return len(self.encoded) - 2

    def messages(self) -> list[Raw]:
        """Return each message as text."""
        return _MESSAGES.decode(self.encoded)

    def fitting(self, room_bytes: int, room_messages: int) -> int:
        """Return how many of the messages, joined by commas, fit into the remaining room."""
        ends = accumulate(map(len, self.messages()), lambda end, size: end + 1 + size)
        return min(bisect_right(list(ends), room_bytes), max(room_messages, 0))

    def split(self, at: int) -> tuple[Fragment, Fragment]:
        """Return the first `at` messages and the rest, both unchanged; `0 < at < count`."""
        messages = self.messages()
        # Each message has a bracket or a comma before it.
        cut = sum(map(len, messages[:at])) + at
        last, first = (_MESSAGE.decode(each).sequence for each in messages[at - 1 : at + 1])
        return (
            Fragment(self.encoded[:cut] + b"]", self.spans[:at], self.first, last),
            Fragment(b"[" + self.encoded[cut + 1 :], self.spans[at:], first, self.last),
        )


def upserts(
    sequence: int, records: Sequence[Raw], times: Iterable[str | UnsetType]
) -> Iterator[Upsert]:
    """Return the messages for `records`, numbered consecutively from `sequence`.

    `times` is when each was extracted, as the API writes it.
    """
    return map(Upsert, range(sequence, sequence + len(records)), records, times)


class UpsertEncoder:
    """Encodes messages; to be used by one thread, and one pipeline.

    Messages are encoded into a buffer and then copied, because the bytes that `msgspec` itself
    returns keep up to half of their size as unused memory.
    """

    def __init__(self) -> None:
        self._encoded = bytearray()

    def encode(self, upserts: list[Upsert]) -> bytes:
        """Return the messages as a JSON list."""
        _ENCODER.encode_into(upserts, self._encoded)
        return bytes(self._encoded)


class BodyPrefix(Struct, frozen=True):
    """The beginning of every body of a stream, up to its messages."""

    encoded: bytes

    @classmethod
    def of(
        cls,
        table_name: str,
        schema: bytes,
        key_names: Sequence[str],
        table_version: int | None = None,
        bookmark_names: Sequence[str] = (),
    ) -> BodyPrefix:
        """Encode the arguments; `schema` is inserted as JSON text."""
        arguments: dict[str, object] = {
            "table_name": table_name,
            "schema": Raw(schema),
            "key_names": list(key_names),
        }
        if table_version is not None:
            arguments["table_version"] = table_version
        if bookmark_names:
            arguments["bookmark_names"] = list(bookmark_names)
        return cls(_ENCODER.encode(arguments)[:-1] + _OPENING)

    @property
    def arguments(self) -> bytes:
        """The arguments of a request except its messages, as a JSON object."""
        return self.encoded.removesuffix(_OPENING) + b"}"

    @property
    def max_record_bytes(self) -> int:
        """The size in bytes of the largest record that fits into a body alone."""
        return MAX_BODY_BYTES - self.body_bytes - _ENVELOPE_BYTES

    @property
    def body_bytes(self) -> int:
        """The size of a body without messages."""
        return len(self.encoded) + len(_CLOSING)


class Batch(Struct, frozen=True):
    """One request body, and the origins of its messages in their order.

    `barrier` marks an activation: it is sent after all earlier batches of its stream have settled,
    and before all later ones.
    """

    stream: str
    prefix: BodyPrefix
    body: bytes
    spans: list[Span]
    first_sequence: int
    last_sequence: int
    version: int | None = None
    barrier: bool = False

    @classmethod
    def of(
        cls,
        stream: str,
        prefix: BodyPrefix,
        fragments: Sequence[Fragment],
        version: int | None = None,
        *,
        barrier: bool = False,
    ) -> Batch:
        """Join `fragments` into one body."""
        # No byte is copied twice: bodies are large, and each copy would miss the CPU cache.
        pieces: list[bytes | memoryview] = []
        for fragment in fragments:
            pieces += (b",", memoryview(fragment.encoded)[1:-1])
        pieces[0] = prefix.encoded  # instead of the first comma
        body = b"".join((*pieces, _CLOSING))
        spans = list(chain.from_iterable(fragment.spans for fragment in fragments))
        first, last = fragments[0].first, fragments[-1].last
        return cls(stream, prefix, body, spans, first, last, version, barrier)

    @property
    def count(self) -> int:
        """The number of messages."""
        return len(self.spans)

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return len(self.body)

    @property
    def held_bytes(self) -> int:
        """The approximate memory in bytes."""
        return self.size + FRAGMENT_BYTES + MESSAGE_BYTES * len(self.spans)

    @property
    def epochs(self) -> dict[int, int]:
        """The number of messages of each epoch, for the ledger."""
        return Counter([span.epoch for span in self.spans])

    def _fragment(self) -> Fragment:
        """Return all its messages."""
        # From the bracket that the prefix ends with to the one that the closing begins with.
        encoded = self.body[len(self.prefix.encoded) - 1 : -len(_CLOSING) + 1]
        return Fragment(encoded, self.spans, self.first_sequence, self.last_sequence)

    def split(self, at: int) -> tuple[Batch, Batch]:
        """Return the first `at` messages and the rest as two batches; `0 < at < count`."""
        first, rest = (
            Batch.of(self.stream, self.prefix, [part], self.version, barrier=self.barrier)
            for part in self._fragment().split(at)
        )
        return first, rest

    def messages(self) -> Iterator[SentMessage]:
        """Yield each message with its origin."""
        for raw, span in zip(self._fragment().messages(), self.spans, strict=True):
            message = _MESSAGE.decode(raw)
            data = b"" if message.data is UNSET else bytes(message.data)
            yield SentMessage(span.at(message.sequence), data, message.time_extracted)


def activation(stream: str, prefix: BodyPrefix, version: int, span: Span) -> Batch:
    """Return the batch that activates a table version; `span` is that of its only message."""
    encoded = _ENCODER.encode([_ActivateVersion(span.sequence)])
    fragment = Fragment(encoded, [span], span.sequence, span.sequence)
    return Batch.of(stream, prefix, [fragment], version, barrier=True)


class SentMessage(Struct, frozen=True):
    """One message of a batch: its origin, the record's text, and when it was extracted."""

    span: Span
    data: bytes
    time_extracted: str | None = None
