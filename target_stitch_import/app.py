"""Puts a run together from its settings, and tells how it went."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import IO, TYPE_CHECKING, Any

from target_stitch_import.batching.buffers import Limits
from target_stitch_import.batching.pipeline import Pipeline, PipelineRules
from target_stitch_import.batching.stream import StreamRules
from target_stitch_import.delivery.verdict import Answer
from target_stitch_import.errors import (
    ConfigurationError,
    OutputError,
    ServiceUnavailableError,
    TargetError,
)
from target_stitch_import.report.live import Progress
from target_stitch_import.report.metrics import Metrics
from target_stitch_import.report.observer import DISTRIBUTION, LOGGER_NAME, Ending, Reporter
from target_stitch_import.report.summary import (
    ACKNOWLEDGED,
    WOULD_BE_SENT,
    log_summary,
    write_summary,
)
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.run.dead_letter import DeadLetters, DryDeadLetters
from target_stitch_import.run.http import ImportApi
from target_stitch_import.run.intake import Intake, Source
from target_stitch_import.run.loop import Run
from target_stitch_import.run.maps import SETTINGS as MAPPING_SETTINGS
from target_stitch_import.run.maps import StreamMapper
from target_stitch_import.run.maps import is_wanted as mapping_is_wanted
from target_stitch_import.run.output_file import OutputFile
from target_stitch_import.run.sender import Sender, SenderRules
from target_stitch_import.run.states import StateWriter
from target_stitch_import.run.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.config import Settings
    from target_stitch_import.report.live import Terminal
    from target_stitch_import.run.dead_letter import Shelf
    from target_stitch_import.run.sender import Transport

_LOGGER = logging.getLogger(LOGGER_NAME)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beside the settings; `terminal` is one for a live line."""

    dry_run: bool = False
    output_path: str | None = None
    terminal: Terminal | None = None


class DryRun:
    """A transport to nowhere: every body is taken."""

    def send_batch(self, body: bytes, stream: str = "") -> Answer:  # noqa: ARG002
        """Take `body`."""
        return Answer(200)

    def close(self) -> None:
        """Do nothing."""


def deliver(settings: Settings, options: Options, source: IO[Any], states: IO[bytes]) -> int:
    """Deliver everything that `source` holds; write the states earned to `states`.

    Returns:
        The number of lines read.

    Raises:
        TargetError: The run failed; the summary is told all the same.
    """
    with ExitStack() as stack:
        reporter = _reporter(options)
        output = OutputFile(options.output_path) if options.output_path else None
        if output:
            stack.callback(output.close)
        shelf, versions = _shelf(settings, options, stack, reporter)
        wakeup = Wakeup()
        stack.callback(wakeup.close)
        sender = Sender(
            _transports(settings, options, stack),
            SenderRules(settings.requests_at_once, settings.max_retry_seconds),
            shelf,
            wakeup.wake,
            reporter.trouble,
        )
        run = Run(
            intake=Intake(Source(source), BatchFiles(settings.batch_root)),
            pipeline=_pipeline(settings, versions),
            states=StateWriter(states, wakeup.wake),
            observer=reporter,
            wakeup=wakeup,
            sender=sender,
            dead_letters=shelf,
            mapper=_mapper(settings),
            output=output,
            writes_states=not options.dry_run,
        )
        _run(run, settings, reporter, dry_run=options.dry_run)
        return run.lines_read


def _reporter(options: Options) -> Reporter:
    done = WOULD_BE_SENT if options.dry_run else ACKNOWLEDGED
    if options.terminal is None:
        progress, metrics = Progress.logged(_LOGGER, done), Metrics(time.monotonic())
    else:
        # People watch; lines for programs to read would only push theirs about.
        progress, metrics = Progress.live(options.terminal, done), None
    return Reporter(progress=progress, metrics=metrics)


def _shelf(
    settings: Settings, options: Options, stack: ExitStack, reporter: Reporter
) -> tuple[Shelf | None, set[tuple[str, int]]]:
    """Return where bad records go, and the tables and versions that lack some already."""
    path, limit = settings.dead_letter_path, settings.dead_letter_limit
    if settings.on_invalid_record != "dead_letter" or not path:
        return None, set()
    if options.dry_run:
        # Nothing of it is delivered, so nothing of it may stand in a later run's way.
        return DryDeadLetters(path, limit, reporter.trouble), set()
    letters = DeadLetters(path, limit)
    stack.callback(letters.close)
    return letters, letters.versions()


def _run(run: Run, settings: Settings, reporter: Reporter, *, dry_run: bool) -> None:
    failed: TargetError | None = None
    try:
        run.run()
    except TargetError as error:
        failed = error
    finally:
        reporter.close()
    try:
        if run.output:
            run.output.close()  # what is still in memory is part of how the run ends
    except OutputError as error:
        failed = failed or error
    ending = Ending(
        exit_status=failed.exit_status if failed else 0,
        error=str(failed) if failed else None,
        last_state=run.states.last_written,
        held_bytes=run.pipeline.held_bytes,
        seconds_without_room=run.seconds_without_room,
    )
    summary = reporter.summary(run.pipeline.counts(), run.sender.traffic, ending)
    log_summary(summary, _LOGGER, dry_run=dry_run)
    try:
        if settings.summary_path:
            write_summary(settings.summary_path, summary)
    finally:
        if failed:
            raise failed


def _mapper(settings: Settings) -> StreamMapper | None:
    given = {name: getattr(settings, name) for name in MAPPING_SETTINGS}
    config = {name: value for name, value in given.items() if value is not None}
    return StreamMapper(config) if mapping_is_wanted(config) else None


def _pipeline(settings: Settings, lacking: set[tuple[str, int]]) -> Pipeline:
    pipeline = Pipeline(pipeline_rules(settings), batch_limits(settings))
    for table, table_version in lacking:
        pipeline.lacks(table, table_version)
    return pipeline


def pipeline_rules(settings: Settings) -> PipelineRules:
    """Return what the settings say about the pipeline."""
    return PipelineRules(
        stream=StreamRules(
            validate_records=settings.validate_records,
            naive_datetimes=settings.naive_datetimes,
            append_only=settings.load_method == "append-only",
            table_prefix=settings.table_prefix or "",
        ),
        dead_letter=settings.on_invalid_record == "dead_letter",
        process_activate_version_messages=settings.process_activate_version_messages,
        activate_incomplete_versions=settings.activate_incomplete_versions,
        max_buffer_bytes=settings.max_buffer_bytes,
        max_in_flight_requests=settings.requests_at_once,
    )


def batch_limits(settings: Settings) -> Limits:
    """Return what the settings say about the size and age of batches."""
    return Limits(
        max_bytes=settings.batch_size_bytes,
        max_rows=settings.batch_size_rows,
        max_age_seconds=settings.batch_delay_seconds,
    )


def _transports(settings: Settings, options: Options, stack: ExitStack) -> Callable[[], Transport]:
    if options.dry_run:
        return DryRun
    local_url = ""
    if settings.starts_local_api:
        local_url = _start_local_api(settings.local_database, stack)
    endpoint = settings.endpoint(f"{DISTRIBUTION}/{version(DISTRIBUTION)}", local_url)
    return lambda: ImportApi(endpoint)


def _start_local_api(database: str, stack: ExitStack) -> str:
    from target_stitch_import.local import (  # noqa: PLC0415 - an extra, only for this region
        ImportApiProcess,
        LocalExtraMissingError,
        StartError,
    )

    try:
        # Nobody asks it what was sent, so it need not remember.
        server = ImportApiProcess(database=database, arguments=("--keep-bytes", "0"))
        stack.enter_context(server)
    except LocalExtraMissingError as error:
        raise ConfigurationError(f"Setting `region` cannot be `local`: {error}") from None
    except StartError as error:
        raise ServiceUnavailableError(
            f"The local Import API could not start on {database}: {error}. Its own words are above."
        ) from None
    _LOGGER.info("A local Import API loads into %s", database)
    return server.url
