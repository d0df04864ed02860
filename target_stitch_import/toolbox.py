"""`stitch-import`: the tool for people. Each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.api import ImportApi
    from target_stitch_import.config import Settings

EX_NOINPUT = 66
EX_UNAVAILABLE = 69


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="target-stitch-import")
def main() -> None:
    """Work with Stitch's Import API, or with a local one."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8087,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--database",
    type=click.Path(path_type=Path, dir_okay=False),
    help="DuckDB file to load into; without it, memory that is gone afterwards.",
)
@click.option(
    "--accounts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON file of clients, sources and tokens; without it any token is accepted.",
)
@click.option(
    "--region",
    type=click.Choice(["us", "eu"]),
    help="Data pipeline region to play: that of the accounts, or us.",
)
@click.option(
    "--destination",
    default="postgresql",
    show_default=True,
    help="Destination whose names, limits and types to follow.",
)
@click.option(
    "--nested",
    type=click.Choice(["flatten", "json"]),
    help="Objects and arrays: flattened to columns and subtables, or kept as JSON text.",
)
@click.option(
    "--keep-bytes",
    default=64_000_000,
    show_default=True,
    type=click.IntRange(0),
    help="How much of accepted requests to keep for /_local/requests.",
)
@click.option(
    "--max-body-bytes",
    default=20_000_000,
    show_default=True,
    type=click.IntRange(1),
    help="Largest request body that is accepted.",
)
@click.option("--public-page", is_flag=True, help="Show the page to other machines too.")
@click.option("--strict-keys", is_flag=True, help="Refuse string keys of 256 characters or more.")
@click.option("--strict-datetime", is_flag=True, help="Refuse date-times with offsets like +0000.")
@click.option("--no-data-points", is_flag=True, help="Do not refuse over 10,000 data points.")
@click.option("--live-messages", is_flag=True, help="Word violations as the live service does.")
def serve(**given: Any) -> None:
    """Serve a local Import API, with its page at /."""
    _require_local()
    from target_stitch_import.local.serving import run, usable_options  # noqa: PLC0415 - heavy

    try:
        options = usable_options(given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    sys.exit(run(options))


@main.command()
@click.option(
    "--database",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="DuckDB file of a local Import API.",
)
@click.option(
    "--rows", default=5, show_default=True, type=click.IntRange(0), help="Rows to show of each."
)
def tables(database: Path, rows: int) -> None:
    """Show the tables that a local database holds, with their first rows."""
    _require_local()
    from target_stitch_import.local.listing import ListingError, listing  # noqa: PLC0415 - heavy

    try:
        for text in listing(database, rows):
            click.echo(text)
    except ListingError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_NOINPUT)


_config = click.option(
    "-c",
    "--config",
    "config_paths",
    multiple=True,
    metavar="FILE|ENV",
    help="Configuration of target-stitch-import.",
)


@main.command()
@_config
def status(config_paths: tuple[str, ...]) -> None:
    """Ask whether the Import API of the configured region is well.

    Needs no token. Exit status 0 or 69.
    """
    from target_stitch_import.config import Settings, read_config  # noqa: PLC0415

    with _telling_errors():
        settings = Settings.load(read_config(config_paths), dry_run=True)
        click.echo(_connection(settings).status())


@main.command()
@_config
def check(config_paths: tuple[str, ...]) -> None:
    """Ask whether token, region and URL are right, without loading anything."""
    from target_stitch_import.config import Settings, read_config  # noqa: PLC0415

    with _telling_errors():
        settings = Settings.load(read_config(config_paths))
        _connection(settings).check()
        click.echo("The token is good for this region.")


@main.command()
@_config
@click.argument("file", type=click.File("rb"))
def replay(config_paths: tuple[str, ...], file: IO[bytes]) -> None:
    """Send saved request bodies, or repaired dead letters, from FILE.

    FILE holds one a line: what `target-stitch-import --output-file` saved, or lines of the
    dead-letter file with their `record` put right. Sequences stay as they are, so that no newer
    row is lost.
    """
    from target_stitch_import.config import Settings, read_config  # noqa: PLC0415
    from target_stitch_import.replay import replay as send_again  # noqa: PLC0415
    from target_stitch_import.sender import SenderRules  # noqa: PLC0415

    with _telling_errors():
        settings = Settings.load(read_config(config_paths))
        rules = SenderRules(settings.max_in_flight_requests, settings.max_retry_seconds)
        replayed = send_again(file, lambda: _connection(settings), rules)
        click.echo(f"{replayed.messages} messages delivered in {replayed.requests} requests.")


def _connection(settings: Settings) -> ImportApi:
    from target_stitch_import.api import ImportApi  # noqa: PLC0415 - slow to import
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415

    if settings.starts_local_api:
        raise ConfigurationError(
            "Setting `region` cannot be `local` here: start `stitch-import serve`, and give its "
            "URL as `api_url`."
        )
    return ImportApi(settings.endpoint("stitch-import"))


@contextmanager
def _telling_errors() -> Iterator[None]:
    """Tell a known error in one line, and exit with its status."""
    from target_stitch_import.errors import TargetError  # noqa: PLC0415

    try:
        yield
    except TargetError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_status)


def _require_local() -> None:
    from target_stitch_import.local.extra import (  # noqa: PLC0415 - only where it is needed
        LocalExtraMissingError,
        require_extra,
    )

    try:
        require_extra()
    except LocalExtraMissingError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_UNAVAILABLE)


if __name__ == "__main__":
    main(prog_name="stitch-import")
