"""Ends a job on the driver: activates the version, and reports what all partitions did."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING

from msgspec import Raw, Struct

from target_stitch_import.errors import quoted
from target_stitch_import.names import DISTRIBUTION, LOGGER_NAME
from target_stitch_import.report import closing
from target_stitch_import.report.log import LOG_FORMAT, silence_urllib3
from target_stitch_import.report.stats import Delivered, Latencies, Reasons
from target_stitch_import.report.summary import (
    ActivationSummary,
    LatencySummary,
    Series,
    StreamSummary,
    Summary,
    rfc_3339,
    write_summary,
)
from target_stitch_import.spark import dead_letters
from target_stitch_import.spark.commits import DRIVER, PartitionCommit
from target_stitch_import.spark.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_stitch_import.spark.options import WriteOptions

_LOGGER = logging.getLogger(LOGGER_NAME)


class Job(Struct, frozen=True):
    """One write, or one micro-batch of a stream."""

    options: WriteOptions
    schema: bytes
    started_at: datetime

    def commit(self, messages: Sequence[PartitionCommit], *, activates: bool) -> None:
        """Activate the table's version if this write overwrites, and report what was loaded.

        The activation of a version that lacks a record is set aside, like the record.

        Raises:
            TargetError: The activation failed, or a file cannot be written.
        """
        settings = self.options.settings
        parts = list(messages)
        if activates and self.options.table_version is not None:
            parts.append(self._activate(self.options.table_version, messages))
        if names := [each.dead_letters for each in parts if each.dead_letters]:
            dead_letters.commit(str(settings.dead_letters), names)
        self._advise(messages)
        summary = self._summary(parts)
        closing.report(summary, closing.ClosingContext(settings.dead_letters), _LOGGER, None)
        if settings.summary_path:
            write_summary(settings.summary_path, summary)

    def abort(self, messages: Sequence[PartitionCommit | None]) -> None:
        """Log which partitions were loaded although the job failed.

        Raises:
            OutputError: The dead letters of the failed job cannot be removed.
        """
        arrived = sorted((each for each in messages if each), key=lambda message: message.partition)
        numbers = ", ".join(str(each.partition) for each in arrived) or "none"
        again = (
            "Writing again replaces these rows by their keys"
            if self.options.key_names
            else "Writing again loads these rows twice, because the table has no keys"
        )
        _LOGGER.error(
            "The write to table %s failed. Partitions that arrived: %s, with %s records. %s.",
            quoted(self.options.table),
            numbers,
            f"{sum(each.acknowledged for each in arrived):,}",
            again,
        )
        if names := [each.dead_letters for each in arrived if each.dead_letters]:
            dead_letters.discard(str(self.options.settings.dead_letters), names)

    def _activate(self, table_version: int, messages: Sequence[PartitionCommit]) -> PartitionCommit:
        last = max((each.delivered.last_sequence or 0 for each in messages), default=0)
        is_complete = not any(each.set_aside for each in messages)
        task = Task(self.options, self.schema, PartitionCommit(DRIVER, attempt=0))
        try:
            task.activate(table_version, last, is_complete=is_complete)
            return task.finish()
        finally:
            task.close()

    def _advise(self, messages: Sequence[PartitionCommit]) -> None:
        options = self.options
        filled = sum(1 for each in messages if each.read)
        if options.key_names and not options.sequence_column and filled > 1:
            _LOGGER.warning(
                "Table %s has keys, %s partitions were loaded, and there is no `sequence_column`: "
                "of rows with one key in two partitions, either may win.",
                quoted(options.table),
                f"{filled:,}",
            )

    def _summary(self, parts: Sequence[PartitionCommit]) -> Summary:
        ended = datetime.now(timezone.utc)
        seconds = (ended - self.started_at).total_seconds()
        sums: Counter[str] = Counter()
        latencies = Latencies()
        for part in parts:
            latencies.include(part.latencies)
            for name in _SUMMED:
                sums[name] += getattr(part, name)
        stream = _stream(sums, parts)
        return Summary(
            program=f"{DISTRIBUTION} spark",
            version=version(DISTRIBUTION),
            started_at=rfc_3339(self.started_at),
            ended_at=rfc_3339(ended),
            seconds=round(seconds, 3),
            exit_status=0,
            error=None,
            last_state=Raw(b"null"),
            read=stream.read,
            acknowledged=stream.acknowledged,
            set_aside=stream.set_aside,
            activations=stream.activations,
            repaired=stream.repaired_values,
            batches=stream.batches,
            bytes=stream.bytes,
            messages_per_second=round(stream.acknowledged / max(seconds, 0.001), 1),
            bytes_per_second=round(stream.bytes / max(seconds, 0.001), 1),
            requests=latencies.count,
            bytes_sent=sums["bytes_sent"],
            retries=stream.retries,
            possible_duplicates=stream.possible_duplicates,
            throttle_changes=sums["throttle_changes"],
            seconds_without_room=round(max((p.seconds_without_room for p in parts), default=0), 3),
            latency_seconds=LatencySummary.of(latencies),
            streams={self.options.table: stream},
            series=Series(),
        )


_SUMMED = (
    "read",
    "acknowledged",
    "set_aside",
    "activations",
    "activations_set_aside",
    "bytes_sent",
    "retries",
    "possible_duplicates",
    "throttle_changes",
)


def _stream(sums: Counter[str], parts: Sequence[PartitionCommit]) -> StreamSummary:
    delivered, reasons = Delivered(), Reasons()
    repaired: dict[str, dict[str, int]] = {}
    for each in parts:
        delivered.include(each.delivered)
        reasons.include(each.reasons)
        for (field, repair), count in each.repaired.items():
            repairs = repaired.setdefault(field, {})
            repairs[repair] = repairs.get(repair, 0) + count
    return StreamSummary(
        read=sums["read"],
        acknowledged=sums["acknowledged"],
        set_aside=sums["set_aside"],
        activations=ActivationSummary(
            sums["activations"], delivered.activations, sums["activations_set_aside"]
        ),
        set_aside_reasons=dict(reasons.counts),
        repaired=repaired,
        batches=delivered.batches,
        bytes=delivered.bytes,
        retries=sums["retries"],
        possible_duplicates=sums["possible_duplicates"],
        first_sequence=delivered.first_sequence,
        last_sequence=delivered.last_sequence,
    )


def log_to_stderr() -> None:
    """Log to stderr, which Spark collects with its own log, unless logging is configured."""
    if not _LOGGER.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        _LOGGER.addHandler(handler)
        _LOGGER.setLevel(logging.INFO)
        silence_urllib3()
