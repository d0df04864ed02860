"""What a run tells people while it runs, and what it counts for the summary at its end."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING

from msgspec import Raw

from target_stitch_import.errors import quoted
from target_stitch_import.report.live import WAITING, trouble
from target_stitch_import.report.log import LOGGER_NAME
from target_stitch_import.report.stats import History, Reasons, Standing, Traffic, Vitals
from target_stitch_import.report.summary import (
    ActivationSummary,
    LatencySummary,
    Series,
    StreamSummary,
    Summary,
)
from target_stitch_import.schema.repairs import RESPELLED
from target_stitch_import.singer.origin import origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_stitch_import.batching.lanes import Counts
    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.set_aside import SetAside
    from target_stitch_import.batching.streams import Notice
    from target_stitch_import.report.live import Progress
    from target_stitch_import.report.metrics import Metrics
    from target_stitch_import.report.stats import Outage
    from target_stitch_import.report.terminal import Part

DISTRIBUTION = "target-stitch-import"
_LOGGER = logging.getLogger(LOGGER_NAME)
WARNING_SECONDS = 60.0
"""Between two warnings that nothing has ever reached the service."""


@dataclass(slots=True)
class _Delivered:
    batches: int = 0
    bytes: int = 0
    activations: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended.

    `rejected` is how many rows were rejected while loading, by table and reason, where that is
    known; `run` how the run stood at its end.
    """

    exit_status: int = 0
    error: str | None = None
    rejected: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    run: Standing = field(default_factory=Standing)


@dataclass(slots=True)
class RunObserver:
    """Counts and reports what happens in a run; `due` is when `tick` is next needed.

    Where there is no `dead_letter_path`, nobody is told of single records that are set aside.
    `clock` gives seconds that never step back, `wall_clock` seconds since 1970.
    """

    progress: Progress | None = None
    metrics: Metrics | None = None
    dead_letter_path: str | None = None
    max_retry_seconds: float = 3600.0
    due: float = 0.0
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    _started: float = 0.0
    _started_at: float = 0.0
    _history: History = field(default_factory=History)
    _acknowledged: int = 0
    _activations: int = 0
    _bytes: int = 0
    _delivered: dict[str, _Delivered] = field(default_factory=dict)
    _set_aside_count: int = 0
    _set_aside: dict[str, Reasons] = field(default_factory=dict)
    _repaired: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)
    _last_state: bytes | None = None
    _last_state_at: float = 0.0
    _warns_at: float = 0.0

    def __post_init__(self) -> None:
        self._started, self._started_at = self.clock(), self.wall_clock()

    def notice(self, notice: Notice) -> None:
        """Log a warning about a stream."""
        _LOGGER.warning("Stream %s: %s", quoted(notice.stream), notice.text)

    def trouble(self, text: str) -> None:
        """Log trouble on the way to the service; from any thread."""
        _LOGGER.warning("%s", text)

    def delivered(self, part: Batch) -> None:
        """Count what was acknowledged."""
        count, size = part.count, part.size
        self._acknowledged += count
        self._bytes += size
        entry = self._delivered.setdefault(part.stream, _Delivered())
        entry.batches += 1
        entry.bytes += size
        first, last = part.first_sequence, part.last_sequence
        entry.first_sequence = min(first, entry.first_sequence or first)
        entry.last_sequence = max(last, entry.last_sequence or last)
        if part.barrier:
            self._activations += count
            entry.activations += count
        _LOGGER.debug(
            "Stream %s: %d messages in %d bytes acknowledged", quoted(part.stream), count, size
        )
        if self.progress:
            self.progress.delivered(part.stream, count)
        if self.metrics and not part.barrier:  # an activation is no record
            self.metrics.delivered(part.stream, count)

    def set_aside(self, records: Sequence[SetAside]) -> None:
        """Count records that are safe in the dead-letter file; warn of the first of each stream."""
        self._set_aside_count += len(records)
        for each in records:
            reasons = self._set_aside.setdefault(each.stream, Reasons())
            if not reasons.counts and self.dead_letter_path:
                _LOGGER.warning(
                    "%s: a record of stream %s is set aside: %s. It is in %s; later ones of the "
                    "stream are counted at the end of the run.",
                    origin(each.line, each.file),
                    quoted(each.stream),
                    each.reason,
                    self.dead_letter_path,
                )
            reasons.add(each.reason)

    def repaired(self, stream: str, field: str, repair: str, count: int) -> None:
        """Count values that were repaired; warn of the first of each field."""
        repairs = self._repaired.setdefault(stream, {}).setdefault(field, Counter())
        if repair not in repairs:
            if repair == RESPELLED:
                _LOGGER.warning(
                    "Stream %s: field %s: date-times are rewritten to the format that the Import "
                    "API requires (2024-01-31T23:59:59Z or +01:00), and counted at the end of the "
                    "run.",
                    quoted(stream),
                    quoted(field),
                )
            else:
                _LOGGER.warning(
                    "Stream %s: field %s: values are repaired by `%s`, and counted at the end of "
                    "the run.",
                    quoted(stream),
                    quoted(field),
                    repair,
                )
        repairs[repair] += count

    def processed(self, batch: Batch, seconds: float, *, succeeded: bool) -> None:
        """Hear how long the sender had `batch`, all tries and waits included."""
        if self.metrics:
            self.metrics.processed(batch.stream, seconds, succeeded=succeeded)

    def tick(self, now: float, run: Standing) -> None:
        """Take a sample, and tell what is due at `now`."""
        if run.last_state is not self._last_state:
            self._last_state, self._last_state_at = run.last_state, now
        vitals, outage = self._vitals(now, run), run.traffic.availability.outage()
        if now >= self._started + self._history.due_seconds:
            self._history.add(vitals)
        due = [self._started + self._history.due_seconds]
        if self.progress:
            if now >= self._started + self.progress.due_seconds:
                state_age = None if run.last_state is None else now - self._last_state_at
                self.progress.tell(vitals, state_age, _urgent(now, run, outage))
            due.append(self._started + self.progress.due_seconds)
        if self.metrics:
            if now >= self.metrics.due:
                self.metrics.tell(now)
            due.append(self.metrics.due)
        if outage and outage.unreached_since is not None and outage.advice:
            if now >= self._warns_at:
                self._warn_of_no_connection(now, outage, outage.unreached_since)
            due.append(self._warns_at)
        self.due = min(due)

    def _warn_of_no_connection(self, now: float, outage: Outage, since: float) -> None:
        """Say what to check: what has never worked may never do."""
        self._warns_at = now + WARNING_SECONDS
        until = self.wall_clock() + since + self.max_retry_seconds - now
        _LOGGER.warning(
            "No request has reached the Import API yet: %s. %s Retrying until %s.",
            outage.reason,
            outage.advice,
            datetime.fromtimestamp(until).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        )

    def close(self) -> None:
        """Tell what only the end brings out: the run is over."""
        if self.progress:
            self.progress.close()
        if self.metrics:
            self.metrics.close()

    def _vitals(self, now: float, run: Standing) -> Vitals:
        traffic = run.traffic
        return Vitals(
            seconds=now - self._started,
            acknowledged=self._acknowledged,
            bytes=self._bytes,
            retries=traffic.retries,
            in_flight=traffic.in_flight,
            held_bytes=run.held_bytes,
            activations=self._activations,
            set_aside=self._set_aside_count,
            seconds_without_room=run.seconds_without_room,
            unavailable_seconds=traffic.availability.unavailable_seconds(now),
        )

    def summary(self, counts: Mapping[str, Counts], ending: Ending) -> Summary:
        """Return what the run did, at its end."""
        now, run, traffic = self.clock(), ending.run, ending.run.traffic
        seconds = now - self._started
        last = self._vitals(now, run)
        self._history.add(last)
        streams = {stream: self._stream(stream, count, traffic) for stream, count in counts.items()}
        total = StreamSummary.together(streams.values())
        return Summary(
            program=DISTRIBUTION,
            version=version(DISTRIBUTION),
            started_at=_rfc_3339(self._started_at),
            ended_at=_rfc_3339(self._started_at + seconds),
            seconds=round(seconds, 3),
            exit_status=ending.exit_status,
            error=ending.error,
            last_state=Raw(run.last_state or b"null"),
            read=total.read,
            acknowledged=total.acknowledged,
            set_aside=total.set_aside,
            activations=total.activations,
            repaired=total.repaired_values,
            rejected={table: dict(reasons) for table, reasons in ending.rejected.items()},
            batches=total.batches,
            bytes=self._bytes,
            messages_per_second=round(self._acknowledged / seconds, 1) if seconds else 0.0,
            bytes_per_second=round(self._bytes / seconds, 1) if seconds else 0.0,
            requests=traffic.latencies.count,
            bytes_sent=traffic.bytes_sent,
            retries=traffic.retries,
            possible_duplicates=traffic.possible_duplicates,
            throttle_changes=traffic.throttle_changes,
            seconds_without_room=round(last.seconds_without_room, 3),
            unavailable_seconds=round(last.unavailable_seconds, 3),
            latency_seconds=LatencySummary.of(traffic.latencies),
            streams=streams,
            series=Series.of(self._history.samples),
        )

    def _stream(self, stream: str, count: Counts, traffic: Traffic) -> StreamSummary:
        entry = self._delivered.get(stream, _Delivered())
        repaired = self._repaired.get(stream, {})
        return StreamSummary(
            read=count.read,
            acknowledged=count.acknowledged,
            set_aside=count.set_aside,
            activations=ActivationSummary(count.activations, entry.activations),
            set_aside_reasons=dict(self._set_aside.get(stream, Reasons()).counts),
            repaired={field: dict(repairs) for field, repairs in repaired.items()},
            batches=entry.batches,
            bytes=entry.bytes,
            retries=traffic.retries_by_stream[stream],
            possible_duplicates=traffic.possible_duplicates_by_stream[stream],
            first_sequence=entry.first_sequence,
            last_sequence=entry.last_sequence,
        )


def _urgent(now: float, run: Standing, outage: Outage | None) -> Part | None:
    """Return what is to be said before all else: nothing comes in, or nothing goes out."""
    if outage:
        return trouble(outage, now)
    return WAITING if run.lines_read == 0 else None


def _rfc_3339(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"
