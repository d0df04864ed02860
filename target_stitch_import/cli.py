"""The command line of `target-stitch-import`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import IO, Any, NoReturn

import click

from target_stitch_import.config.settings import Settings
from target_stitch_import.config.sources import read_config
from target_stitch_import.errors import (
    ConfigurationError,
    OutputError,
    TargetError,
    internal_error,
    statuses_help,
)
from target_stitch_import.interrupts import INTERRUPTED_STATUS, INTERRUPTED_STATUSES
from target_stitch_import.names import DISTRIBUTION, LOGGER_NAME
from target_stitch_import.report.log import log_failure, set_up_logging
from target_stitch_import.stdout import ReportsStdoutErrors

_LOGGER = logging.getLogger(LOGGER_NAME)
VERSION = version(DISTRIBUTION)


def _refuse_state(_context: click.Context, _option: click.Parameter, given: str | None) -> None:
    """Refuse `--state` with an explanation, because a target has no such option."""
    if given is not None:
        raise click.UsageError(
            "A target has no --state option: it writes states to stdout. Save the last line, and "
            "pass it to the tap: tap-something --state FILE | target-stitch-import."
        )


_STATUSES = statuses_help(
    "everything is delivered or in the dead-letter file", ", ".join(map(str, INTERRUPTED_STATUSES))
)
_MORE = f"""{_STATUSES}

\b
Example:
  tap-something | target-stitch-import -c config.json > states.jsonl

To try it without an account, put {{"region": "local"}} into config.json. The run
then starts a local Import API, which loads into stitch-import.duckdb.
"""


@click.command(
    DISTRIBUTION,
    cls=ReportsStdoutErrors,
    context_settings={"help_option_names": ["-h", "--help"], "allow_extra_args": True},
    epilog=_MORE,
)
@click.version_option(VERSION, "--version", prog_name=DISTRIBUTION)
@click.option("--about", is_flag=True, help="Show the settings and capabilities.")
@click.option(
    "--format",
    "about_format",
    type=click.Choice(["json", "markdown"], case_sensitive=False),
    help="Output format of --about; text by default.",
)
@click.option(
    "-c",
    "--config",
    "config_paths",
    multiple=True,
    metavar="FILE|ENV",
    help="Configuration file, or ENV for environment variables; repeatable, later ones win.",
)
@click.option(
    "--input",
    "input_file",
    metavar="FILE",
    type=click.File("rb"),
    help="Read messages from a file instead of stdin.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Validate everything, send nothing.")
@click.option(
    "-o",
    "--output-file",
    metavar="FILE",
    help=(
        "Save request bodies, one per line: those delivered, or those a dry run would send. The "
        "file is overwritten; a file with other content is refused."
    ),
)
@click.option("-v", "--verbose", is_flag=True, help="Log every batch.")
@click.option("-q", "--quiet", is_flag=True, help="Log warnings and errors only.")
@click.option("--max-batch-records", type=int, help="Overrides batch_size_rows.")
@click.option("--max-batch-bytes", type=int, help="Overrides batch_size_bytes.")
@click.option("--batch-delay-seconds", type=float, help="Overrides batch_delay_seconds.")
@click.option("--state", metavar="FILE", hidden=True, callback=_refuse_state, expose_value=False)
@click.pass_context
def command(  # noqa: PLR0913 - one argument per option
    context: click.Context,
    /,
    *,
    about: bool,
    about_format: str | None,
    config_paths: tuple[str, ...],
    input_file: IO[bytes] | None,
    dry_run: bool,
    output_file: str | None,
    verbose: bool,
    quiet: bool,
    **overrides: float | None,
) -> None:
    """Read Singer messages from stdin, deliver them to Stitch, and write states to stdout."""
    if context.args:  # not repeated, as it may be a configuration with its token
        raise click.UsageError(
            "Unexpected argument on the command line. See `target-stitch-import --help`."
        )
    if about:
        from target_stitch_import.about import about as page  # noqa: PLC0415 - not for a run

        print(page(about_format), flush=True)  # noqa: T201 - the result
        return
    try:
        terminal = set_up_logging(os.environ, verbose=verbose, quiet=quiet)
        # Read before anything is logged: the log may be written to a file given as configuration.
        notes: list[str] = []
        config = read_config(config_paths, notes.append)
        _LOGGER.info("%s %s on Python %s", DISTRIBUTION, VERSION, sys.version.partition(" ")[0])
        for note in notes:
            _LOGGER.warning("%s", note)
        config |= {
            setting: overrides[option]
            for option, setting in _OVERRIDES.items()
            if overrides[option] is not None
        }
        settings = Settings.load(config, needs_token=not dry_run)
        _run(
            settings,
            input_file,
            dry_run=dry_run,
            output_path=output_file,
            config_paths=config_paths,
            terminal=terminal,
        )
    except TargetError as error:
        log_failure(error)
        context.exit(error.exit_status)


_OVERRIDES = {
    "max_batch_records": "batch_size_rows",
    "max_batch_bytes": "batch_size_bytes",
    "batch_delay_seconds": "batch_delay_seconds",
}


def _run(settings: Settings, input_file: IO[bytes] | None, **options: Any) -> None:
    from target_stitch_import.app import RunOptions, run_target  # noqa: PLC0415 - not for --help

    source = input_file or (sys.stdin.buffer if sys.stdin else None)
    if source is None:
        raise ConfigurationError(
            "Stdin is closed. Pipe a tap's output into the target, or use --input."
        )
    if sys.stdout is None:
        raise OutputError(
            "Stdout is closed, so no state can be written. Open it, such as with `> states.jsonl`."
        )
    run_target(settings, RunOptions(**options), source, sys.stdout.buffer)


def main() -> NoReturn:
    """Run the command and exit with its status."""
    try:
        status = command.main(prog_name=DISTRIBUTION, standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):  # the exit status counts even if stderr is closed
            error.show()
        sys.exit(ConfigurationError.exit_status)
    except click.Abort:
        sys.exit(INTERRUPTED_STATUS)
    except Exception as error:  # noqa: BLE001 - a traceback could contain record values
        sys.exit(report_unexpected_error(error))
    sys.exit(status or 0)


def report_unexpected_error(error: Exception) -> int:
    """Report an error that the command has not handled, and return the exit status.

    Apart from an `OutputError`, it is a bug or a lack of resources.
    """
    reported = error if isinstance(error, OutputError) else internal_error(error)
    with suppress(OSError):
        print(reported, file=sys.stderr)  # noqa: T201 - logging may not be set up
    return reported.exit_status
