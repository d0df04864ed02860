"""Puts a run together from its settings, and tells how it went."""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from typing import IO, TYPE_CHECKING, Any

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
from target_stitch_import.files import (
    BODIES,
    LETTERS,
    SUMMARY,
    Files,
    Use,
    configurations,
    database,
    output_streams,
)
from target_stitch_import.report import closing
from target_stitch_import.report.live import Progress
from target_stitch_import.report.log import LOGGER_NAME, log_files
from target_stitch_import.report.metrics import Metrics
from target_stitch_import.report.observer import DISTRIBUTION, Ending, RunObserver
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
    from target_stitch_import.run.dead_letter import Shelf
    from target_stitch_import.run.sender import Transport

_LOGGER = logging.getLogger(LOGGER_NAME)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beside the settings; `terminal` is one for a live line."""

    dry_run: bool = False
    output_path: str | None = None
    config_paths: tuple[str, ...] = ()
    terminal: Terminal | None = None


class DryRun:
    """A transport to nowhere: every body is taken."""

    def send_batch(self, body: bytes, stream: str = "") -> Answer:  # noqa: ARG002
        """Take `body`."""
        return Answer(200)

    def close(self) -> None:
        """Do nothing."""


def deliver(settings: Settings, options: Options, tap_output: IO[Any], states: IO[bytes]) -> int:
    """Deliver everything that `tap_output` holds; write the states earned to `states`.

    Returns:
        The number of lines read.

    Raises:
        TargetError: The run failed; once it has begun to read, the summary is told all the same.
    """
    source = Source(tap_output)
    files = _files(settings, options, source, states)
    files.check()
    settings = settings if options.dry_run else _with_descriptors(settings)
    with ExitStack() as stack:
        # Parts that can fail come first; files that are truncated are opened last.
        mapper = _mapper(settings)
        observer = _observer(settings, options)
        local_api = None if options.dry_run else start_local_api(settings, stack)
        shelf, versions = _shelf(settings, options, stack, observer)
        output = OutputFile(options.output_path) if options.output_path else None
        if output:
            stack.callback(output.close)
        wakeup = Wakeup()
        stack.callback(wakeup.close)
        sender = Sender(
            _transports(settings, options, local_api),
            SenderRules(settings.requests_at_once, settings.max_retry_seconds),
            shelf,
            wakeup.wake,
            observer.trouble,
        )
        run = Run(
            intake=Intake(source, BatchFiles(settings.batch_root, files.written_as)),
            pipeline=_pipeline(settings, versions, wakeup.look_around),
            states=StateWriter(states, wakeup.wake),
            observer=observer,
            wakeup=wakeup,
            sender=sender,
            dead_letters=shelf,
            mapper=mapper,
            repairs=tuple(settings.repairs),
            output=output,
            writes_states=not options.dry_run,
        )
        _see_through(run, observer, local_api, settings, options)
        return run.lines_read


def _with_descriptors(settings: Settings) -> Settings:
    """Return the settings with no more requests at once than there are file descriptors for."""
    wanted = settings.requests_at_once
    most = connections_for(wanted)
    if most == wanted:
        return settings
    _LOGGER.warning(
        "Only %d of %d requests are sent at once, because the process may not open more files. "
        "Raise the limit, as with `ulimit -n 1024`, or lower `max_in_flight_requests`.",
        most,
        wanted,
    )
    return settings.with_requests_at_once(most)


def _files(settings: Settings, options: Options, source: Source, states: IO[bytes]) -> Files:
    """Return all files that the run uses; a dry one is refused what a real one would be."""
    uses = [
        *configurations(options.config_paths),
        *log_files(os.environ),
        Use("the input", source.descriptor),
        *output_streams(states),
    ]
    if settings.batch_root:
        uses.append(Use("setting `batch_root`", settings.batch_root))
    if settings.dead_letters:
        uses.append(Use("setting `dead_letter_path`", settings.dead_letters, LETTERS))
    if settings.summary_path:
        uses.append(Use("setting `summary_path`", settings.summary_path, SUMMARY))
    if options.output_path:
        uses.append(Use("option `--output-file`", options.output_path, BODIES))
    if settings.starts_local_api:
        uses += database("setting `local_database`", settings.local_database)
    return Files(uses)


def _observer(settings: Settings, options: Options) -> RunObserver:
    done = _setting(settings, options).done
    if options.terminal is None:
        progress, metrics = Progress.logged(_LOGGER, done), Metrics(time.monotonic())
    else:
        # METRIC lines would scroll the live line away.
        progress, metrics = Progress.live(options.terminal, done), None
    # A dry run's shelf tells of each record.
    path = None if options.dry_run else settings.dead_letters
    return RunObserver(progress, metrics, path, settings.max_retry_seconds)


def _setting(settings: Settings, options: Options) -> closing.Setting:
    return closing.Setting(
        settings.dead_letters,
        settings.local_database if settings.starts_local_api else None,
        options.dry_run,
        options.config_paths or ("CONFIG",),
    )


def _shelf(
    settings: Settings, options: Options, stack: ExitStack, observer: RunObserver
) -> tuple[Shelf, set[tuple[str, int]]]:
    """Return where bad records go, and the tables and versions that lack some already."""
    path, limit = settings.dead_letters, settings.dead_letter_limit
    if path is None:
        return NoDeadLetters(), set()
    if options.dry_run:
        # Nothing of it is delivered, so nothing of it may stand in a later run's way.
        return DryDeadLetters(path, limit, observer.trouble), set()
    letters = DeadLetters(path, limit)
    stack.callback(letters.close)
    return letters, letters.versions()


def _see_through(
    run: Run,
    observer: RunObserver,
    local_api: LocalApi | None,
    settings: Settings,
    options: Options,
) -> None:
    """Run to the end, and tell how it went.

    Raises:
        TargetError: The run failed.
    """
    failed = _outcome(run, observer)
    # Asked while it is still there; whatever it loaded is loaded by then.
    rejected = local_api.rejected() if local_api else {}
    ending = _ending(run, failed, rejected)
    try:
        _conclude(observer.summary(run.pipeline.counts(), ending), settings, options)
    finally:
        if failed:
            raise failed


def _outcome(run: Run, observer: RunObserver) -> TargetError | None:
    """Run; return what made it fail."""
    failed: TargetError | None = None
    try:
        run.run()
    except TargetError as error:
        failed = error
    finally:
        observer.close()
    try:
        if run.output:
            run.output.close()  # what is still in memory is part of how the run ends
    except OutputError as error:
        failed = failed or error
    return failed


def _ending(
    run: Run, failed: TargetError | None, rejected: Mapping[str, Mapping[str, int]]
) -> Ending:
    return Ending(
        exit_status=failed.exit_status if failed else 0,
        error=str(failed) if failed else None,
        rejected=rejected,
        run=run.standing(),
    )


def _conclude(summary: Summary, settings: Settings, options: Options) -> None:
    """Tell how the run went."""
    closing.tell(summary, _setting(settings, options), _LOGGER, options.terminal)
    if settings.summary_path:
        write_summary(settings.summary_path, summary)


def _mapper(settings: Settings) -> StreamMapper | None:
    given = {name: getattr(settings, name) for name in MAPPING_SETTINGS}
    config = {name: value for name, value in given.items() if value is not None}
    return StreamMapper(config) if mapping_is_wanted(config) else None


def _pipeline(
    settings: Settings, lacking: set[tuple[str, int]], look_around: Callable[[], None]
) -> Pipeline:
    pipeline = Pipeline(pipeline_rules(settings), batch_limits(settings), look_around)
    for table, table_version in lacking:
        pipeline.lacks(table, table_version)
    return pipeline


def pipeline_rules(settings: Settings) -> PipelineRules:
    """Return what the settings say about the pipeline."""
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
    """Return what the settings say about the size and age of batches."""
    return Limits(
        max_bytes=settings.batch_size_bytes,
        max_rows=settings.batch_size_rows,
        max_age_seconds=settings.batch_delay_seconds,
    )


def _transports(
    settings: Settings, options: Options, local_api: LocalApi | None
) -> Callable[[], Transport]:
    if options.dry_run:
        return DryRun
    local_url = local_api.url if local_api else ""
    endpoint = settings.endpoint(f"{DISTRIBUTION}/{version(DISTRIBUTION)}", local_url)
    return lambda: ImportApiClient(endpoint)


@dataclass(frozen=True, slots=True)
class LocalApi:
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
    """Start a local Import API, which ends with `stack`, where the settings ask for one.

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
            f"The local Import API could not start on {database}: {error}. See its output above."
        ) from None
    _LOGGER.info("A local Import API loads into %s", database)
    return LocalApi(server.url, now)
