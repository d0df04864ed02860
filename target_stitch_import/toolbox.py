"""`stitch-import`: the tool for people. Each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

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
    default="us",
    show_default=True,
    type=click.Choice(["us", "eu"]),
    help="Data pipeline region to play.",
)
def serve(host: str, port: int, database: Path | None, accounts: Path | None, region: str) -> None:
    """Serve a local Import API, with its page at /."""
    _require_local()
    from target_stitch_import.local import runtime, serving  # noqa: PLC0415 - heavy

    options = runtime.Options(
        database=database, accounts=accounts, host=host, port=port, region=region
    )
    sys.exit(serving.run(options))


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
    main()
