"""The commands `serve` and `tables`: run a local Import API, and show the tables it loaded."""

from __future__ import annotations

from pathlib import Path

import click

from target_stitch_import.local import command
from target_stitch_import.toolbox.common import (
    Result,
    answering,
    check_files,
    examples,
    require_local,
)

serve = command.serve
"""The command of `target_stitch_import.local`."""


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
    "--rows",
    default=5,
    show_default=True,
    type=click.IntRange(0),
    help="Number of rows to show per table.",
)
@answering
def tables(database: Path, rows: int) -> Result:
    """Show the tables of a local database.

    For each table: row count, columns with types, and the first rows.
    """
    from target_stitch_import.errors import InputError  # noqa: PLC0415
    from target_stitch_import.files import FileUse  # noqa: PLC0415

    require_local()
    check_files(FileUse("option `--database`", str(database)))
    from target_stitch_import.local.warehouse.listing import (  # noqa: PLC0415 - heavy
        ListingError,
        document,
        listing,
    )

    try:
        return Result(document(database, rows), "\n".join(listing(database, rows)))
    except ListingError as error:
        raise InputError(f"The tables cannot be shown: {error}.") from None
