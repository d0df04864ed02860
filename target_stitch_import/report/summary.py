"""The end-of-run summary: its members, the file it is written to, and what people are told of it.

Law: whoever reads the file can rely on the names here; docs/watching.md says what they mean.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from target_stitch_import.errors import OutputError, quoted
from target_stitch_import.private_files import open_private

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from target_stitch_import.report.stats import Vitals

_MOST_STREAMS_TOLD = 20
ACKNOWLEDGED = "acknowledged"
WOULD_BE_SENT = "would be sent"
"""What is told of messages in a dry run: nobody acknowledged them."""


class StreamSummary(Struct, frozen=True):
    """What became of one stream; activations count as messages, bytes are those of bodies."""

    read: int = 0
    acknowledged: int = 0
    set_aside: int = 0
    batches: int = 0
    bytes: int = 0
    retries: int = 0
    possible_duplicates: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None


class LatencySummary(Struct, frozen=True):
    """How long requests took, in seconds; those that failed count too."""

    count: int = 0
    median: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0


class Series(Struct, frozen=True):
    """The run over time, a column each: totals so far, and what was on its way at the moment."""

    seconds: list[float] = []
    acknowledged: list[int] = []
    bytes: list[int] = []
    retries: list[int] = []
    in_flight: list[int] = []
    held_bytes: list[int] = []

    @classmethod
    def of(cls, samples: Sequence[Vitals]) -> Series:
        """Return the samples as columns."""
        return cls(
            [round(each.seconds, 3) for each in samples],
            [each.acknowledged for each in samples],
            [each.bytes for each in samples],
            [each.retries for each in samples],
            [each.in_flight for each in samples],
            [each.held_bytes for each in samples],
        )


class Summary(Struct, frozen=True, kw_only=True):
    """What a run did. Times are RFC 3339 in UTC; `last_state` is the tap's own text or `null`."""

    program: str
    version: str
    started_at: str
    ended_at: str
    seconds: float
    exit_status: int
    error: str | None
    last_state: Raw
    read: int
    acknowledged: int
    set_aside: int
    batches: int
    bytes: int
    messages_per_second: float
    bytes_per_second: float
    requests: int
    bytes_sent: int
    retries: int
    possible_duplicates: int
    throttle_changes: int
    seconds_without_room: float
    latency_seconds: LatencySummary
    streams: dict[str, StreamSummary]
    series: Series


def write_summary(path: str, summary: Summary) -> None:
    """Write the summary as JSON; only its owner may read it.

    Raises:
        OutputError: It cannot be written.
    """
    members = msgspec.structs.asdict(summary)
    series = msgspec.json.encode(members.pop("series"))
    text = msgspec.json.format(msgspec.json.encode(members), indent=2)
    try:
        descriptor = open_private(path, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            # Hundreds of samples, a number a line, would bury the rest.
            file.write(text.removesuffix(b"\n}") + b',\n  "series": ' + series + b"\n}\n")
    except OSError as error:
        raise OutputError(f"The summary {path} cannot be written: {error.strerror}.") from None


def log_summary(summary: Summary, logger: logging.Logger, *, dry_run: bool = False) -> None:
    """Tell people what the run did: the streams with the most to tell, then all together."""
    done = WOULD_BE_SENT if dry_run else ACKNOWLEDGED
    streams = sorted(
        summary.streams.items(), key=lambda each: (-each[1].set_aside, -each[1].read, each[0])
    )
    for stream, told in streams[:_MOST_STREAMS_TOLD]:
        logger.info("Stream %s: %s", quoted(stream), _counts(told, done))
    if rest := [told for _, told in streams[_MOST_STREAMS_TOLD:]]:
        together = StreamSummary(
            sum(each.read for each in rest),
            sum(each.acknowledged for each in rest),
            sum(each.set_aside for each in rest),
            sum(each.batches for each in rest),
            sum(each.bytes for each in rest),
        )
        logger.info("And %s smaller streams: %s", f"{len(rest):,}", _counts(together, done))
    for text in dry_overview(summary) if dry_run else overview(summary):
        logger.info("%s", text)


def _counts(stream: StreamSummary, done: str) -> str:
    repeated = f", requests repeated: {stream.retries:,}" if stream.retries else ""
    return (
        f"{stream.read:,} read, {stream.acknowledged:,} {done}, {stream.set_aside:,} set "
        f"aside; {size(stream.bytes)} in batches: {stream.batches:,}{repeated}"
    )


def dry_overview(summary: Summary) -> list[str]:
    """Return what is to be said of a dry run: nothing was on its way, so no times and no rates."""
    told = (
        f"{summary.acknowledged:,} messages would be sent, {size(summary.bytes)} in batches: "
        f"{summary.batches:,}. Nothing was sent: this run was dry"
    )
    return [told]


def overview(summary: Summary) -> list[str]:
    """Return what is to be said of the run as a whole, a sentence an item."""
    latency = summary.latency_seconds
    told = []
    told.append(
        f"{summary.acknowledged:,} messages acknowledged in {summary.seconds:.1f} s, "
        f"{summary.messages_per_second:,.0f} and {size(summary.bytes_per_second)} a second"
    )
    if summary.requests:
        told.append(
            f"Requests: {summary.requests:,}, repeated: {summary.retries:,}; half were answered "
            f"within {latency.median:.2g} s, 99 of 100 within {latency.p99:.2g} s, the slowest in "
            f"{latency.slowest:.2g} s"
        )
    if summary.possible_duplicates:
        told.append(
            f"Requests repeated after an unclear answer: {summary.possible_duplicates:,}; in "
            "streams without keys, their rows may be there twice"
        )
    if summary.seconds_without_room >= 1:
        told.append(
            f"Reading waited {summary.seconds_without_room:.0f} s for the Import API, as the "
            "buffer was full"
        )
    return told


def size(number: float) -> str:
    """Return a number of bytes as people read it."""
    if number < 1_000:
        return f"{number:,.0f} B"
    return f"{number / 1e3:,.1f} kB" if number < 1e6 else f"{number / 1e6:,.1f} MB"
