"""Runs one task: sends the rows of a partition through the core until all are acknowledged.

Invariant: `finish` returns only once every row is acknowledged or set aside. What is buffered or in
flight stays within `max_buffer_bytes`: rows are taken from Spark only while there is room.
"""

from __future__ import annotations

import logging
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from target_stitch_import.batching.buffers import Limits
from target_stitch_import.batching.malformed import with_repairs
from target_stitch_import.batching.pipeline import Pipeline, PipelineRules
from target_stitch_import.batching.stream import StreamRules
from target_stitch_import.delivery.deliver import Hints
from target_stitch_import.errors import quoted
from target_stitch_import.names import DISTRIBUTION, LOGGER_NAME
from target_stitch_import.run.dead_letter import NoDeadLetters
from target_stitch_import.run.exchange import Exchange
from target_stitch_import.run.http import ImportApiClient
from target_stitch_import.run.sender import Sender, SenderRules
from target_stitch_import.singer.messages import ActivateVersion, Schema
from target_stitch_import.spark.dead_letters import AttemptDeadLetters, incomplete_versions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.set_aside import SetAside
    from target_stitch_import.batching.streams import Notice
    from target_stitch_import.singer.messages import Event
    from target_stitch_import.spark.commits import PartitionCommit
    from target_stitch_import.spark.options import WriteOptions

_LOGGER = logging.getLogger(LOGGER_NAME)
_HINTS = Hints(
    refused='With .option("on_invalid_record", "dead_letter") such records are set aside.',
    unavailable="Spark runs the task again, and then ends the job: write the data again later.",
)
_FOREVER = float("inf")


class Task:
    """Delivers the events of one partition; must be closed, also after an error.

    Args:
        options: The user's options.
        schema: The table's JSON Schema.
        commit: Filled with the counts of the task.
    """

    def __init__(self, options: WriteOptions, schema: bytes, commit: PartitionCommit) -> None:
        settings = options.settings
        self._options = options
        self._commit = commit
        self._woken = threading.Event()
        self._dead_letters: AttemptDeadLetters | None = None
        if settings.dead_letters:
            self._dead_letters = AttemptDeadLetters(
                settings.dead_letters, commit.part, settings.dead_letter_limit
            )
        dead_letters = self._dead_letters or NoDeadLetters()
        self._pipeline = _pipeline(options)
        endpoint = settings.endpoint(f"{DISTRIBUTION}/{version(DISTRIBUTION)} spark")
        self._sender = Sender(
            lambda: ImportApiClient(endpoint),
            SenderRules(settings.max_in_flight_requests, settings.max_retry_seconds, _HINTS),
            dead_letters,
            self._woken.set,
            _LOGGER.warning,
        )
        self._exchange = Exchange(self._pipeline, self._sender, dead_letters, _Listener(commit))
        self._receive([Schema(0, options.table, schema, options.key_names)])

    def send(self, events: Iterable[Event]) -> None:
        """Send events through the pipeline, and wait until there is room for more.

        Raises:
            TargetError: A record is refused, or the delivery failed.
        """
        self._receive(events)
        self._turn()
        while not self._pipeline.has_room:
            self._pipeline.make_room()
            self._turn()  # submits the batches that `make_room` closed
            began = time.monotonic()
            self._wait()
            self._commit.seconds_without_room += time.monotonic() - began
            self._turn()

    def activate(self, table_version: int, after: int, *, is_complete: bool) -> None:
        """Activate `table_version`, with a sequence greater than `after`.

        If the version lacks a record that this job or an earlier one set aside, the activation is
        set aside, too. If it replaces versions that lack records, the dead letters note that.
        """
        table, folder = self._options.table, self._options.settings.dead_letters
        lacking = incomplete_versions(folder) if folder else set()
        if not is_complete:
            lacking.add((table, table_version))
        for each in lacking:
            self._pipeline.note_lacking(*each)
        event = ActivateVersion(0, table, table_version)
        self._pipeline.receive(event, time.monotonic(), max(time.time_ns(), after + 1))

    def finish(self) -> PartitionCommit:
        """Wait until everything is acknowledged or set aside; return the counts.

        Raises:
            TargetError: See `send`.
        """
        self._pipeline.end()
        self._turn()
        while self._exchange.in_flight:
            self._wait()
            self._turn()
        commit, traffic = self._commit, self._sender.traffic
        for counts in self._pipeline.counts().values():
            commit.read += counts.read
            commit.acknowledged += counts.acknowledged
            commit.set_aside += counts.set_aside
            commit.activations += counts.activations
            commit.activations_set_aside += counts.activations_set_aside
        if self._dead_letters:
            commit.dead_letters = self._dead_letters.share()
        commit.bytes_sent = traffic.bytes_sent
        commit.retries = traffic.retries
        commit.possible_duplicates += traffic.possible_duplicates
        commit.throttle_changes = traffic.throttle_changes
        commit.latencies = traffic.latencies
        return commit

    def close(self) -> None:
        """Send nothing more, and remove the local files."""
        self._sender.close()
        if self._dead_letters:
            self._dead_letters.close()

    def _receive(self, events: Iterable[Event]) -> None:
        now, clock_ns = time.monotonic(), time.time_ns()
        for event in with_repairs(events, self._options.repairs):
            self._pipeline.receive(event, now, clock_ns)

    def _wait(self) -> None:
        """Wait until the sender has something to report."""
        self._woken.wait()
        self._woken.clear()

    def _turn(self) -> None:
        """Handle the sender's reports, and submit what is ready. Raises TargetError."""
        if failed := self._exchange.take_reports():
            raise failed
        self._exchange.forward()


class _Listener:
    """Counts what a task does."""

    def __init__(self, commit: PartitionCommit) -> None:
        self._commit = commit

    def notice(self, notice: Notice) -> None:
        """Log a warning."""
        _LOGGER.warning("Table %s: %s", quoted(notice.stream), notice.text)

    def repaired(self, stream: str, field: str, repair: str, count: int) -> None:  # noqa: ARG002
        """Count values that were repaired; a task has one table."""
        self._commit.repaired[field, repair] += count

    def delivered(self, part: Batch) -> None:
        """Count a part."""
        self._commit.delivered.add(part)

    def processed(self, batch: Batch, seconds: float, *, succeeded: bool) -> None:
        """Do nothing: a task logs no METRIC lines."""

    def set_aside(self, messages: Iterable[SetAside]) -> None:
        """Count why messages were set aside."""
        for each in messages:
            self._commit.reasons.add(each.reason)


def _pipeline(options: WriteOptions) -> Pipeline:
    settings = options.settings
    rules = PipelineRules(
        # Spark's types guarantee what the schema says, and `RowReader` checks the keys.
        stream=StreamRules(
            validate_records=False,
            naive_datetimes=settings.naive_datetimes,
            append_only=settings.load_method == "append-only",
            table_prefix="",  # an option names the table
            repairs=options.repairs,
        ),
        dead_letter=settings.dead_letters is not None,
        process_activate_version_messages=True,
        activate_incomplete_versions=False,
        max_buffer_bytes=settings.max_buffer_bytes,
        max_in_flight_requests=settings.max_in_flight_requests,
    )
    # A partition ends soon, so no batch is closed for its age.
    limits = Limits(settings.batch_size_bytes, settings.batch_size_rows, _FOREVER)
    return Pipeline(rules, limits)
