"""What a run tells people: the log while it runs, and what it counts for the summary at its end."""

from __future__ import annotations

import logging
import logging.config
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING

from msgspec import Raw

from target_stitch_import.errors import ConfigurationError, quoted
from target_stitch_import.report.live import Terminal, wants_live_line
from target_stitch_import.report.stats import History, Vitals
from target_stitch_import.report.summary import LatencySummary, Series, StreamSummary, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_stitch_import.batching.lanes import Counts
    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.streams import Notice
    from target_stitch_import.report.live import Progress
    from target_stitch_import.report.metrics import Metrics
    from target_stitch_import.report.stats import Latencies, Traffic

DISTRIBUTION = "target-stitch-import"
LOGGER_NAME = DISTRIBUTION
_LOGGER = logging.getLogger(LOGGER_NAME)


def set_up_logging(
    environment: Mapping[str, str], *, verbose: bool, quiet: bool
) -> Terminal | None:
    """Log to stderr, in the form and at the level that the SDK's plugins use.

    Returns:
        The terminal, where there is one that a live line can be drawn on.
    """
    named = environment.get("TARGET_STITCH_IMPORT_LOGLEVEL") or environment.get("LOGLEVEL") or ""
    if verbose or quiet:
        named = "DEBUG" if verbose else "WARNING"
    level = getattr(logging, named.upper(), logging.INFO)
    path = environment.get("SINGER_SDK_LOG_CONFIG")
    terminal = None
    # Who wants more, less or something else is not helped by a line that comes and goes.
    if level == logging.INFO and not path and wants_live_line(sys.stderr, environment):
        terminal = Terminal(sys.stderr)
    logging.basicConfig(
        format="%(asctime)s | %(levelname)-8s | %(name)s | %(message)s",
        level=level,
        handlers=[terminal or logging.StreamHandler()],
    )
    # It would log what we report ourselves, and with tracebacks.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    if path:
        _configure_logging(path)
    return terminal


def _configure_logging(path: str) -> None:
    """Take a logging configuration as the SDK does: Meltano asks for structured lines with it."""
    import yaml  # noqa: PLC0415 - only where there is such a file

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - one call is enough
            logging.config.dictConfig(yaml.safe_load(file))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"The logging configuration {path} (SINGER_SDK_LOG_CONFIG) cannot be used: {error}."
        ) from None


@dataclass(slots=True)
class _Delivered:
    acknowledged: int = 0
    batches: int = 0
    bytes: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, and what it still held then."""

    exit_status: int = 0
    error: str | None = None
    last_state: bytes | None = None
    held_bytes: int = 0
    seconds_without_room: float = 0.0


@dataclass(slots=True)
class Reporter:
    """Hears what happens in a run, and tells it; `due` is when it wants to hear from the clock."""

    progress: Progress | None = None
    metrics: Metrics | None = None
    due: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _started_at: float = field(default_factory=time.time)
    _history: History = field(default_factory=History)
    _acknowledged: int = 0
    _bytes: int = 0
    _delivered: dict[str, _Delivered] = field(default_factory=dict)
    _last_state: bytes | None = None
    _last_state_at: float = 0.0

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
        _LOGGER.debug(
            "Stream %s: %d messages in %d bytes acknowledged", quoted(part.stream), count, size
        )
        if self.progress:
            self.progress.delivered(part.stream, count)
        if self.metrics and not part.barrier:  # an activation is no record
            self.metrics.delivered(part.stream, count)

    def processed(self, batch: Batch, seconds: float, *, succeeded: bool) -> None:
        """Hear how long the sender had `batch`, all tries and waits included."""
        if self.metrics:
            self.metrics.processed(batch.stream, seconds, succeeded=succeeded)

    def tick(self, now: float, held_bytes: int, traffic: Traffic, last_state: bytes | None) -> None:
        """Take a sample, and tell what is due at `now`."""
        if last_state is not self._last_state:
            self._last_state, self._last_state_at = last_state, now
        vitals = self._vitals(now, held_bytes, traffic)
        if now >= self._started + self._history.due_seconds:
            self._history.add(vitals)
        due = [self._started + self._history.due_seconds]
        if self.progress:
            if now >= self._started + self.progress.due_seconds:
                state_age = None if last_state is None else now - self._last_state_at
                self.progress.tell(vitals, state_age)
            due.append(self._started + self.progress.due_seconds)
        if self.metrics:
            if now >= self.metrics.due:
                self.metrics.tell(now)
            due.append(self.metrics.due)
        self.due = min(due)

    def close(self) -> None:
        """Tell what only the end brings out: the run is over."""
        if self.progress:
            self.progress.close()
        if self.metrics:
            self.metrics.close()

    def _vitals(self, now: float, held_bytes: int, traffic: Traffic) -> Vitals:
        return Vitals(
            now - self._started,
            self._acknowledged,
            self._bytes,
            traffic.retries,
            traffic.in_flight,
            held_bytes,
        )

    def summary(self, counts: Mapping[str, Counts], traffic: Traffic, ending: Ending) -> Summary:
        """Return what the run did, at its end."""
        seconds = time.monotonic() - self._started
        self._history.add(self._vitals(self._started + seconds, ending.held_bytes, traffic))
        streams = {stream: self._stream(stream, count, traffic) for stream, count in counts.items()}
        return Summary(
            program=DISTRIBUTION,
            version=version(DISTRIBUTION),
            started_at=_rfc_3339(self._started_at),
            ended_at=_rfc_3339(self._started_at + seconds),
            seconds=round(seconds, 3),
            exit_status=ending.exit_status,
            error=ending.error,
            last_state=Raw(ending.last_state or b"null"),
            read=sum(each.read for each in streams.values()),
            acknowledged=sum(each.acknowledged for each in streams.values()),
            set_aside=sum(each.set_aside for each in streams.values()),
            batches=sum(each.batches for each in streams.values()),
            bytes=self._bytes,
            messages_per_second=round(self._acknowledged / seconds, 1) if seconds else 0.0,
            bytes_per_second=round(self._bytes / seconds, 1) if seconds else 0.0,
            requests=traffic.latencies.count,
            bytes_sent=traffic.bytes_sent,
            retries=traffic.retries,
            possible_duplicates=traffic.possible_duplicates,
            throttle_changes=traffic.throttle_changes,
            seconds_without_room=round(ending.seconds_without_room, 3),
            latency_seconds=_latency(traffic.latencies),
            streams=streams,
            series=Series.of(self._history.samples),
        )

    def _stream(self, stream: str, count: Counts, traffic: Traffic) -> StreamSummary:
        entry = self._delivered.get(stream, _Delivered())
        return StreamSummary(
            count.read,
            count.acknowledged,
            count.set_aside,
            entry.batches,
            entry.bytes,
            traffic.retries_by_stream[stream],
            traffic.possible_duplicates_by_stream[stream],
            entry.first_sequence,
            entry.last_sequence,
        )


def _latency(latencies: Latencies) -> LatencySummary:
    return LatencySummary(
        latencies.count,
        round(latencies.quantile(0.5), 6),
        round(latencies.quantile(0.95), 6),
        round(latencies.quantile(0.99), 6),
        round(latencies.slowest_seconds, 6),
    )


def _rfc_3339(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"
