"""Observes a run: logs what happens, updates the progress, and collects counts for the summary."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING

from msgspec import Raw, Struct, field

from target_stitch_import.errors import quoted
from target_stitch_import.names import DISTRIBUTION, LOGGER_NAME
from target_stitch_import.report.live import WAITING, outage_part
from target_stitch_import.report.repair_words import repair_words
from target_stitch_import.report.stats import (
    Delivered,
    History,
    LoopSnapshot,
    Reasons,
    Sample,
    Traffic,
)
from target_stitch_import.report.summary import (
    ActivationSummary,
    LatencySummary,
    Series,
    StreamSummary,
    Summary,
    rfc_3339,
)
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
    from target_stitch_import.report.terminal import LinePart

_LOGGER = logging.getLogger(LOGGER_NAME)
WARNING_SECONDS = 60.0
"""The time between two warnings that no request has reached the service yet."""
_LATEST = datetime(9999, 12, 30, tzinfo=timezone.utc).timestamp()
"""The latest time that is shown; in no time zone is it beyond the year 9999."""


class Ending(Struct, frozen=True):
    """How a run ended.

    `rejected` has the number of rows rejected while loading, by table and reason, if known;
    `snapshot` is the loop's last one.
    """

    exit_status: int = 0
    error: str | None = None
    rejected: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    snapshot: LoopSnapshot = field(default_factory=LoopSnapshot)


class RunObserver:
    """Counts and reports what happens in a run; `due` is when `tick` is next due.

    Without a `dead_letter_path`, single records that are set aside are not reported. `clock` is
    monotonic, `wall_clock` returns seconds since 1970.
    """

    def __init__(  # noqa: PLR0913 - each is a part, or a limit, of its own
        self,
        progress: Progress | None = None,
        metrics: Metrics | None = None,
        dead_letter_path: str | None = None,
        max_retry_seconds: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._progress = progress
        self._metrics = metrics
        self._dead_letter_path = dead_letter_path
        self._max_retry_seconds = max_retry_seconds
        self.due = 0.0
        self._clock = clock
        self._wall_clock = wall_clock
        self._started, self._started_at = clock(), wall_clock()
        self._history = History()
        self._acknowledged = 0
        self._activations = 0
        self._bytes = 0
        self._delivered: dict[str, Delivered] = {}
        self._records_set_aside = 0
        self._set_aside: dict[str, Reasons] = {}
        self._repaired: dict[str, dict[str, Counter[str]]] = {}
        self._last_state: bytes | None = None
        self._last_state_at = 0.0
        self._warns_at = 0.0

    def notice(self, notice: Notice) -> None:
        """Log a warning about a stream."""
        _LOGGER.warning("Stream %s: %s", quoted(notice.stream), notice.text)

    def trouble(self, text: str) -> None:
        """Log a warning, such as that a request is retried; may be called from any thread."""
        _LOGGER.warning("%s", text)

    def delivered(self, part: Batch) -> None:
        """Count an acknowledged batch, or an acknowledged part of one."""
        count, size = part.count, part.size
        self._acknowledged += count
        self._bytes += size
        self._delivered.setdefault(part.stream, Delivered()).add(part)
        if part.barrier:
            self._activations += count
        _LOGGER.debug(
            "Stream %s: %d messages in %d bytes acknowledged", quoted(part.stream), count, size
        )
        if self._progress:
            self._progress.delivered(part.stream, count)
        if self._metrics and not part.barrier:  # an activation is not a record
            self._metrics.delivered(part.stream, count)

    def set_aside(self, messages: Sequence[SetAside]) -> None:
        """Count messages in the dead-letter file; warn about the first one of each stream."""
        for each in messages:
            reasons = self._set_aside.setdefault(each.stream, Reasons())
            if not reasons.counts and self._dead_letter_path:
                _LOGGER.warning(
                    "%s: %s of stream %s is set aside: %s. It is in %s; later ones of the "
                    "stream are counted at the end of the run.",
                    origin(each.line, each.file),
                    each.noun,
                    quoted(each.stream),
                    each.reason,
                    self._dead_letter_path,
                )
            reasons.add(each.reason)
            if not each.is_activation:
                self._records_set_aside += 1

    def repaired(self, stream: str, field: str, repair: str, count: int) -> None:
        """Count repaired values; warn about the first one of each field and repair."""
        repairs = self._repaired.setdefault(stream, {}).setdefault(field, Counter())
        if repair not in repairs:
            _LOGGER.warning(
                "Stream %s: %s, and counted at the end of the run.",
                quoted(stream),
                repair_words(field, repair),
            )
        repairs[repair] += count

    def processed(self, batch: Batch, seconds: float, *, succeeded: bool) -> None:
        """Log the time of a batch in the sender, including all attempts and waits."""
        if self._metrics:
            self._metrics.processed(batch.stream, seconds, succeeded=succeeded)

    def tick(self, now: float, snapshot: LoopSnapshot) -> None:
        """Take a sample, and report what is due at `now`."""
        if snapshot.last_state is not self._last_state:
            self._last_state, self._last_state_at = snapshot.last_state, now
        sample = self._sample(now, snapshot)
        outage = snapshot.traffic.availability.outage()
        if now >= self._started + self._history.due_seconds:
            self._history.add(sample)
        due = [self._started + self._history.due_seconds]
        if self._progress:
            if now >= self._started + self._progress.due_seconds:
                state_age = None if snapshot.last_state is None else now - self._last_state_at
                self._progress.update(sample, state_age, _urgent(now, snapshot, outage))
            due.append(self._started + self._progress.due_seconds)
        if self._metrics:
            if now >= self._metrics.due:
                self._metrics.log_counts(now)
            due.append(self._metrics.due)
        if outage and outage.unreached_since is not None and outage.advice:
            if now >= self._warns_at:
                self._warn_of_no_connection(now, outage, outage.unreached_since)
            due.append(self._warns_at)
        self.due = min(due)

    def _warn_of_no_connection(self, now: float, outage: Outage, since: float) -> None:
        """Log what to check, because a connection that has never worked may never work."""
        self._warns_at = now + WARNING_SECONDS
        until = min(self._wall_clock() + since + self._max_retry_seconds - now, _LATEST)
        _LOGGER.warning(
            "No request has reached the Import API yet: %s. %s Retrying until %s.",
            outage.reason,
            outage.advice,
            datetime.fromtimestamp(until).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        )

    def close(self) -> None:
        """End the progress, and log the remaining metrics."""
        if self._progress:
            self._progress.close()
        if self._metrics:
            self._metrics.close()

    def _sample(self, now: float, snapshot: LoopSnapshot) -> Sample:
        traffic = snapshot.traffic
        return Sample(
            seconds=now - self._started,
            acknowledged=self._acknowledged,
            bytes=self._bytes,
            retries=traffic.retries,
            in_flight=traffic.in_flight,
            held_bytes=snapshot.held_bytes,
            activations=self._activations,
            records_set_aside=self._records_set_aside,
            seconds_without_room=snapshot.seconds_without_room,
            unavailable_seconds=traffic.availability.unavailable_seconds(now),
        )

    def summary(self, counts: Mapping[str, Counts], ending: Ending) -> Summary:
        """Return the summary of the run, at its end."""
        now, traffic = self._clock(), ending.snapshot.traffic
        seconds = now - self._started
        last = self._sample(now, ending.snapshot)
        self._history.add(last)
        streams = {stream: self._stream(stream, count, traffic) for stream, count in counts.items()}
        total = StreamSummary.together(streams.values())
        return Summary(
            program=DISTRIBUTION,
            version=version(DISTRIBUTION),
            started_at=rfc_3339(_moment(self._started_at)),
            ended_at=rfc_3339(_moment(self._started_at + seconds)),
            seconds=round(seconds, 3),
            exit_status=ending.exit_status,
            error=ending.error,
            last_state=Raw(ending.snapshot.last_state or b"null"),
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
        entry = self._delivered.get(stream, Delivered())
        repaired = self._repaired.get(stream, {})
        return StreamSummary(
            read=count.read,
            acknowledged=count.acknowledged,
            set_aside=count.set_aside,
            activations=ActivationSummary(
                count.activations, entry.activations, count.activations_set_aside
            ),
            set_aside_reasons=dict(self._set_aside.get(stream, Reasons()).counts),
            repaired={field: dict(repairs) for field, repairs in repaired.items()},
            batches=entry.batches,
            bytes=entry.bytes,
            retries=traffic.retries_by_stream[stream],
            possible_duplicates=traffic.possible_duplicates_by_stream[stream],
            first_sequence=entry.first_sequence,
            last_sequence=entry.last_sequence,
        )


def _urgent(now: float, snapshot: LoopSnapshot, outage: Outage | None) -> LinePart | None:
    """Return the part to show first: the service is unavailable, or there is no input yet."""
    if outage:
        return outage_part(outage, now)
    return WAITING if snapshot.lines_read == 0 else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=timezone.utc)
