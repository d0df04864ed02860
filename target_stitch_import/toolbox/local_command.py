"""`serve` and `tables`: a local Import API, and what it has loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from target_stitch_import.toolbox.common import (
    Result,
    answering,
    check_files,
    examples,
    telling_errors,
)


@click.command(
    epilog=examples(
        "stitch-import serve",
        "stitch-import serve --port 0 --database warehouse.duckdb",
        "stitch-import serve --accounts accounts.json --destination redshift",
    )
)
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
    """Serve a local Import API, with its page at /.

    Prints `listening on URL` once it answers, and goes on until it is interrupted. Stitch Connect's
    requests for sources and tokens are answered too.
    """
    from target_stitch_import.files import Use, database  # noqa: PLC0415 - not for --help

    with telling_errors():
        _require_local()
        uses = []
        if given["database"]:
            uses += database("option `--database`", str(given["database"]))
        if given["accounts"]:
            uses.append(Use("option `--accounts`", str(given["accounts"]), must_be_regular=True))
        check_files(*uses)
    from target_stitch_import.local.server.serving import run, usable_options  # noqa: PLC0415 - heavy

    try:
        options = usable_options(given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    sys.exit(run(options))


@click.command(
    epilog=examples(
        "stitch-import tables --database warehouse.duckdb",
        "stitch-import tables --database warehouse.duckdb --rows 0 --json",
    )
)
@click.option(
    "--database",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="DuckDB file of a local Import API.",
)
@click.option(
    "--rows", default=5, show_default=True, type=click.IntRange(0), help="Rows to show of each."
)
@answering
def tables(database: Path, rows: int) -> Result:
    """Show what a local database holds.

    Each table with its rows, its columns and their types, and its first rows.
    """
    from target_stitch_import.errors import InputError  # noqa: PLC0415
    from target_stitch_import.files import Use  # noqa: PLC0415

    _require_local()
    check_files(Use("option `--database`", str(database)))
    from target_stitch_import.local.warehouse.listing import (  # noqa: PLC0415 - heavy
        ListingError,
        document,
        listing,
    )

    try:
        return Result(document(database, rows), "\n".join(listing(database, rows)))
    except ListingError as error:
        raise InputError(f"The tables cannot be shown: {error}.") from None


def _require_local() -> None:
    """See that the extra is there. Raises ConfigurationError."""
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415
    from target_stitch_import.local.extra import (  # noqa: PLC0415 - only where it is needed
        LocalExtraMissingError,
        require_extra,
    )

    try:
        require_extra()
    except LocalExtraMissingError as error:
        raise ConfigurationError(str(error)) from None
