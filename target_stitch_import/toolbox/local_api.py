"""`serve` and `tables`: a local Import API, and what it has loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

EX_NOINPUT = 66
EX_UNAVAILABLE = 69


@click.command()
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


@click.command()
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
