"""`status` and `check`: is the service well, and are the credentials right."""

from __future__ import annotations

import click

from target_stitch_import.toolbox.common import config_option, connection, telling_errors


@click.command()
@config_option
def status(config_paths: tuple[str, ...]) -> None:
    """Ask whether the Import API of the configured region is well.

    Needs no token. Exit status 0 or 69.
    """
    from target_stitch_import.config import Settings, read_config  # noqa: PLC0415

    with telling_errors():
        settings = Settings.load(read_config(config_paths), dry_run=True)
        click.echo(connection(settings).status())


@click.command()
@config_option
def check(config_paths: tuple[str, ...]) -> None:
    """Ask whether token, region and URL are right, without loading anything."""
    from target_stitch_import.config import Settings, read_config  # noqa: PLC0415

    with telling_errors():
        settings = Settings.load(read_config(config_paths))
        connection(settings).check()
        click.echo("The token is good for this region.")
