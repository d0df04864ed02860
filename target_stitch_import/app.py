"""Assembles a run from its settings, runs it, and reports its outcome."""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from importlib.metadata import version
from typing import IO, TYPE_CHECKING, Any

from msgspec import Struct

from target_stitch_import.batching.buffers import Limits
from target_stitch_import.batching.pipeline import Pipeline, PipelineRules
from target_stitch_import.batching.stream import StreamRules
from target_stitch_import.delivery.answer import Answer
from target_stitch_import.errors import (
    ConfigurationError,
    OutputError,
    ServiceUnavailableError,
    TargetError,
)
from target_stitch_import.file_contents import BODIES, DEAD_LETTERS, SUMMARY
from target_stitch_import.files import (
    Files,
    FileUse,
    configurations,
    database,
    output_streams,
)
from target_stitch_import.names import DISTRIBUTION, LOGGER_NAME
from target_stitch_import.report import closing
from target_stitch_import.report.live import Progress
from target_stitch_import.report.log import log_files
from target_stitch_import.report.metrics import Metrics
from target_stitch_import.report.observer import Ending, RunObserver
from target_stitch_import.report.summary import write_summary
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.run.dead_letter import DeadLetters, DryDeadLetters, NoDeadLetters
from target_stitch_import.run.descriptors import connections_for
from target_stitch_import.run.http import ImportApiClient
from target_stitch_import.run.intake import Intake, Source
from target_stitch_import.run.local_rejections import local_rejections
from target_stitch_import.run.loop import Run
from target_stitch_import.run.maps import SETTINGS as MAPPING_SETTINGS
from target_stitch_import.run.maps import StreamMapper
from target_stitch_import.run.maps import is_wanted as mapping_is_wanted
from target_stitch_import.run.output_file import OutputFile
from target_stitch_import.run.sender import Sender, SenderRules
from target_stitch_import.run.states import StateWriter
from target_stitch_import.run.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from target_stitch_import.config.settings import Settings
    from target_stitch_import.report.summary import Summary
    from target_stitch_import.report.terminal import Terminal
    from target_stitch_import.run.dead_letter import DeadLetterSink
    from target_stitch_import.run.sender import Transport

_LOGGER = logging.getLogger(LOGGER_NAME)


class RunOptions(Struct, frozen=True):
    """Options of the command line that are not settings; `terminal` shows the live line."""

    dry_run: bool = False
    output_path: str | None = None
    config_paths: tuple[str, ...] = ()
    terminal: Terminal | None = None


class DryRunTransport:
    """A transport that sends nothing, and acknowledges every body."""

    def send_batch(self, body: bytes, stream: str = "") -> Answer:  # noqa: ARG002
        """Return an acknowledgement."""
        return Answer(200)

    def close(self) -> None:
        """Do nothing."""


def run_target(
    settings: Settings, options: RunOptions, tap_output: IO[Any], states: IO[bytes]
) -> int:
    """Deliver everything in `tap_output`; write the earned states to `states`.

    Returns:
        The number of lines read.

    Raises:
        TargetError: The run failed. If it had begun to read, the summary was reported first.
    """
    source = Source(tap_output)
    files = _files(settings, options, source, states)
    files.check()
    settings = settings if options.dry_run else _with_descriptors(settings)
    with ExitStack() as stack:
        assembly = _Assembly(settings, options, stack)
        run = assembly.new_run(source, states, files)
        with run.wakeup.on_signals():
            assembly.run_and_report(run)
        return run.lines_read


def _files(settings: Settings, options: RunOptions, source: Source, states: IO[bytes]) -> Files:
    """Return all files of the run; a dry run lists, and so checks, the same files."""
    uses = [
        *configurations(options.config_paths),
        *log_files(os.environ),
        FileUse("the input", source.descriptor),
        *output_streams(states),
    ]
    if settings.batch_root:
        uses.append(FileUse("setting `batch_root`", settings.batch_root))
    if settings.dead_letters:
        uses.append(FileUse("setting `dead_letter_path`", settings.dead_letters, DEAD_LETTERS))
    if settings.summary_path:
        uses.append(FileUse("setting `summary_path`", settings.summary_path, SUMMARY))
    if options.output_path:
        uses.append(FileUse("option `--output-file`", options.output_path, BODIES))
    if settings.starts_local_api:
        uses += database("setting `local_database`", settings.local_database)
    return Files(uses)


def _with_descriptors(settings: Settings) -> Settings:
    """Return the settings, with fewer concurrent requests if file descriptors are too few."""
    wanted = settings.requests_at_once
    possible = connections_for(wanted)
    if possible == wanted:
        return settings
    _LOGGER.warning(
        "Only %d of %d requests are sent at once, because the process may not open more files. "
        "Raise the limit (`ulimit -n`), or lower `max_in_flight_requests`.",
        possible,
        wanted,
    )
    return settings.with_requests_at_once(possible)


class _Assembly:
    """The parts of a run, made from its settings and the command line; `stack` closes them."""

    def __init__(self, settings: Settings, options: RunOptions, stack: ExitStack) -> None:
        self._settings = settings
        self._options = options
        self._stack = stack
        # Parts that can fail come first; files that are truncated are opened last, by `new_run`.
        self._mapper = _mapper(settings)
        self._observer = self._new_observer()
        self._local_api = None if options.dry_run else start_local_api(settings, stack)

    def new_run(self, source: Source, states: IO[bytes], files: Files) -> Run:
        """Open all parts, and return the run."""
        settings, options = self._settings, self._options
        dead_letters, incomplete_versions = self._dead_letters()
        output = OutputFile(options.output_path) if options.output_path else None
        if output:
            self._stack.callback(output.close)
        wakeup = Wakeup()
        self._stack.callback(wakeup.close)
        pipeline = Pipeline(
            pipeline_rules(settings), batch_limits(settings), wakeup.check_interrupt
        )
        for table, table_version in incomplete_versions:
            pipeline.note_lacking(table, table_version)
        sender = Sender(
            self._transport_factory(),
            SenderRules(settings.requests_at_once, settings.max_retry_seconds),
            dead_letters,
            wakeup.wake,
            self._observer.trouble,
        )
        return Run(
            intake=Intake(source, BatchFiles(settings.batch_root, files.written_as)),
            pipeline=pipeline,
            states=StateWriter(states, wakeup.wake),
            observer=self._observer,
            wakeup=wakeup,
            sender=sender,
            dead_letters=dead_letters,
            mapper=self._mapper,
            repairs=tuple(settings.repairs),
            output=output,
            writes_states=not options.dry_run,
        )

    def run_and_report(self, run: Run) -> None:
        """Run to the end, and report the outcome.

        Raises:
            TargetError: The run failed.
        """
        failed = self._outcome(run)
        # Asked while the local API still runs; by now it has loaded everything.
        rejected = self._local_api.rejected() if self._local_api else {}
        ending = Ending(
            exit_status=failed.exit_status if failed else 0,
            error=str(failed) if failed else None,
            rejected=rejected,
            snapshot=run.snapshot(),
        )
        try:
            self._report(self._observer.summary(run.pipeline.counts(), ending))
        finally:
            if failed:
                raise failed  # also if the report failed

    def _outcome(self, run: Run) -> TargetError | None:
        """Run; return the error that it failed with, if any."""
        failed: TargetError | None = None
        try:
            run.run()
        except TargetError as error:
            failed = error
        finally:
            self._observer.close()
        try:
            if run.output:
                run.output.close()  # writing the rest can fail, too
        except OutputError as error:
            failed = failed or error
        return failed

    def _report(self, summary: Summary) -> None:
        closing.report(summary, self._closing_context, _LOGGER, self._options.terminal)
        if self._settings.summary_path:
            write_summary(self._settings.summary_path, summary)

    @property
    def _closing_context(self) -> closing.ClosingContext:
        settings, options = self._settings, self._options
        return closing.ClosingContext(
            settings.dead_letters,
            settings.local_database if settings.starts_local_api else None,
            options.dry_run,
            options.config_paths or ("CONFIG",),
        )

    def _new_observer(self) -> RunObserver:
        settings, options, done = self._settings, self._options, self._closing_context.done
        if options.terminal is None:
            progress, metrics = Progress.logged(_LOGGER, done), Metrics(time.monotonic())
        else:
            # METRIC lines would scroll the live line away.
            progress, metrics = Progress.live(options.terminal, done), None
        # In a dry run, `DryDeadLetters` reports each record.
        path = None if options.dry_run else settings.dead_letters
        return RunObserver(progress, metrics, path, settings.max_retry_seconds)

    def _dead_letters(self) -> tuple[DeadLetterSink, set[tuple[str, int]]]:
        """Return where records are set aside, and the table versions that already lack records."""
        path, limit = self._settings.dead_letters, self._settings.dead_letter_limit
        if path is None:
            return NoDeadLetters(), set()
        if self._options.dry_run:
            # A dry run delivers nothing, so it must not mark versions as incomplete either.
            return DryDeadLetters(limit, self._observer.trouble), set()
        dead_letters = DeadLetters(path, limit)
        self._stack.callback(dead_letters.close)
        return dead_letters, dead_letters.incomplete_versions()

    def _transport_factory(self) -> Callable[[], Transport]:
        """Return the function that makes a transport for each thread of the sender."""
        if self._options.dry_run:
            return DryRunTransport
        local_url = self._local_api.url if self._local_api else ""
        endpoint = self._settings.endpoint(f"{DISTRIBUTION}/{version(DISTRIBUTION)}", local_url)
        return lambda: ImportApiClient(endpoint)


def _mapper(settings: Settings) -> StreamMapper | None:
    given = {name: getattr(settings, name) for name in MAPPING_SETTINGS}
    config = {name: value for name, value in given.items() if value is not None}
    return StreamMapper(config) if mapping_is_wanted(config) else None


def pipeline_rules(settings: Settings) -> PipelineRules:
    """Return the settings of the pipeline."""
    return PipelineRules(
        stream=StreamRules(
            validate_records=settings.validate_records,
            naive_datetimes=settings.naive_datetimes,
            repairs=tuple(settings.repairs),
            append_only=settings.load_method == "append-only",
            table_prefix=settings.table_prefix or "",
        ),
        dead_letter=settings.dead_letters is not None,
        process_activate_version_messages=settings.process_activate_version_messages,
        activate_incomplete_versions=settings.activate_incomplete_versions,
        max_buffer_bytes=settings.max_buffer_bytes,
        max_in_flight_requests=settings.requests_at_once,
    )


def batch_limits(settings: Settings) -> Limits:
    """Return the settings for the size and age of batches."""
    return Limits(
        max_bytes=settings.batch_size_bytes,
        max_rows=settings.batch_size_rows,
        max_age_seconds=settings.batch_delay_seconds,
    )


class LocalApi(Struct, frozen=True):
    """A local Import API that was started for this run, or for a command."""

    url: str
    started_at: datetime

    def rejected(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many rows it rejected while loading, by table and reason."""
        rejected = local_rejections(self.url, self.started_at)
        if rejected is None:
            _LOGGER.warning(
                "The local Import API does not report which rows it rejected while loading. See "
                "the `_sdc_rejected` tables in its database."
            )
        return rejected or {}


def start_local_api(settings: Settings, stack: ExitStack) -> LocalApi | None:
    """Start a local Import API if the settings ask for one; `stack` stops it.

    Raises:
        TargetError: It cannot start.
    """
    if not settings.starts_local_api:
        return None
    from target_stitch_import.local import (  # noqa: PLC0415 - an extra, only for this region
        ImportApiProcess,
        LocalExtraMissingError,
        StartError,
    )

    database, now = settings.local_database, datetime.now(timezone.utc)
    try:
        # Requests are never read back, so none are kept.
        server = ImportApiProcess(database=database, arguments=("--keep-bytes", "0"))
        stack.enter_context(server)
    except LocalExtraMissingError as error:
        raise ConfigurationError(f"Setting `region` cannot be `local`: {error}") from None
    except StartError as error:
        raise ServiceUnavailableError(
            f"The local Import API could not start on {database}: {error}"
        ) from None
    _LOGGER.info("A local Import API loads into %s", database)
    return LocalApi(server.url, now)
