"""The end-of-run summary: its members, and reading and writing its file.

Invariant: the names are an interface for programs that read the file; docs/watching.md documents
them.
"""

from __future__ import annotations

import os
from datetime import timezone
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from target_stitch_import.errors import InputError, OutputError, why_it_cannot_be_written
from target_stitch_import.private_files import open_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from target_stitch_import.report.stats import Latencies, Sample


class ActivationSummary(Struct, frozen=True):
    """Counts of ACTIVATE_VERSION messages."""

    read: int = 0
    acknowledged: int = 0
    set_aside: int = 0


class RecordCounts(Struct, frozen=True):
    """Counts of records, without activations."""

    read: int
    acknowledged: int
    set_aside: int

    @classmethod
    def of(cls, messages: StreamSummary | Summary) -> RecordCounts:
        """Return the counts of messages, less their activations."""
        activations = messages.activations
        return cls(
            messages.read - activations.read,
            messages.acknowledged - activations.acknowledged,
            messages.set_aside - activations.set_aside,
        )


class StreamSummary(Struct, frozen=True, kw_only=True):
    """Counts of one stream; activations count as messages, `bytes` is the size of bodies.

    `repaired` has the number of repaired values, by field and repair.
    """

    read: int = 0
    acknowledged: int = 0
    set_aside: int = 0
    activations: ActivationSummary = ActivationSummary()
    set_aside_reasons: dict[str, int] = {}
    repaired: dict[str, dict[str, int]] = {}
    batches: int = 0
    bytes: int = 0
    retries: int = 0
    possible_duplicates: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None

    @classmethod
    def together(cls, streams: Iterable[StreamSummary]) -> StreamSummary:
        """Return the totals of streams, without reasons and sequences.

        Of `repaired`, there is only the total number.
        """
        streams = list(streams)
        return cls(
            read=sum(each.read for each in streams),
            acknowledged=sum(each.acknowledged for each in streams),
            set_aside=sum(each.set_aside for each in streams),
            activations=ActivationSummary(
                sum(each.activations.read for each in streams),
                sum(each.activations.acknowledged for each in streams),
                sum(each.activations.set_aside for each in streams),
            ),
            repaired={"": {"": sum(each.repaired_values for each in streams)}},
            batches=sum(each.batches for each in streams),
            bytes=sum(each.bytes for each in streams),
            retries=sum(each.retries for each in streams),
            possible_duplicates=sum(each.possible_duplicates for each in streams),
        )

    @property
    def records(self) -> RecordCounts:
        """The counts without activations."""
        return RecordCounts.of(self)

    @property
    def repaired_values(self) -> int:
        """How many values were repaired."""
        return sum(sum(repairs.values()) for repairs in self.repaired.values())


class LatencySummary(Struct, frozen=True):
    """Latencies of requests in seconds, including failed requests."""

    count: int = 0
    median: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0

    @classmethod
    def of(cls, latencies: Latencies) -> LatencySummary:
        """Return the summary of `latencies`."""
        median, p95, p99 = (round(latencies.quantile(share), 6) for share in (0.5, 0.95, 0.99))
        return cls(latencies.count, median, p95, p99, round(latencies.slowest_seconds, 6))


class Series(Struct, frozen=True):
    """The samples of a run as columns: totals so far, and what was in flight at each moment."""

    seconds: list[float] = []
    acknowledged: list[int] = []
    bytes: list[int] = []
    retries: list[int] = []
    in_flight: list[int] = []
    held_bytes: list[int] = []
    activations: list[int] = []
    seconds_without_room: list[float] = []
    unavailable_seconds: list[float] = []

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Series:
        """Return the samples as columns."""
        return cls(
            [round(each.seconds, 3) for each in samples],
            [each.acknowledged for each in samples],
            [each.bytes for each in samples],
            [each.retries for each in samples],
            [each.in_flight for each in samples],
            [each.held_bytes for each in samples],
            [each.activations for each in samples],
            [round(each.seconds_without_room, 3) for each in samples],
            [round(each.unavailable_seconds, 3) for each in samples],
        )


class Summary(Struct, frozen=True, kw_only=True):
    """The summary. Times are RFC 3339 in UTC; `last_state` is the tap's own text or `null`.

    `rejected` has the number of rows rejected while loading, by table and reason; only the local
    Import API reports them.
    """

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
    activations: ActivationSummary = ActivationSummary()
    repaired: int = 0
    rejected: dict[str, dict[str, int]] = {}
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
    unavailable_seconds: float = 0.0
    latency_seconds: LatencySummary
    streams: dict[str, StreamSummary]
    series: Series

    @property
    def records(self) -> RecordCounts:
        """The counts without activations."""
        return RecordCounts.of(self)

    @property
    def rejected_rows(self) -> int:
        """How many rows were rejected while loading."""
        return sum(sum(reasons.values()) for reasons in self.rejected.values())


def rfc_3339(moment: datetime) -> str:
    """Return a time in the summary's format: RFC 3339 in UTC, with milliseconds."""
    utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"


def write_summary(path: str, summary: Summary) -> None:
    """Write the summary as JSON to a file that only its owner may read.

    Raises:
        OutputError: It cannot be written.
    """
    members = msgspec.structs.asdict(summary)
    series = msgspec.json.encode(members.pop("series"))
    text = msgspec.json.format(msgspec.json.encode(members), indent=2)
    try:
        descriptor = open_private(path, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            # The series stays on one line: a line for each of its numbers would hide the rest.
            file.write(text.removesuffix(b"\n}") + b',\n  "series": ' + series + b"\n}\n")
    except OSError as error:
        raise OutputError(
            f"The summary {path} cannot be written: {why_it_cannot_be_written(error)}"
        ) from None


def read_summary(text: bytes, name: str) -> Summary:
    """Parse a summary; members that an earlier version did not write are empty.

    Args:
        text: The content of the file.
        name: The file's name, for the error.

    Raises:
        InputError: It is not a summary.
    """
    try:
        return msgspec.json.decode(text, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{name} is not a run summary: {error}. Give the file named by `summary_path`."
        ) from None
