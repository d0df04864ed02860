"""What the commands share: the configuration's option, a connection, and how errors are told."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.api import ImportApi
    from target_stitch_import.config import Settings

config_option = click.option(
    "-c",
    "--config",
    "config_paths",
    multiple=True,
    metavar="FILE|ENV",
    help="Configuration of target-stitch-import.",
)


def connection(settings: Settings) -> ImportApi:
    """Return a connection to the Import API of `settings`."""
    from target_stitch_import.api import ImportApi  # noqa: PLC0415 - slow to import
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415

    if settings.starts_local_api:
        raise ConfigurationError(
            "Setting `region` cannot be `local` here: start `stitch-import serve`, and give its "
            "URL as `api_url`."
        )
    return ImportApi(settings.endpoint("stitch-import"))


@contextmanager
def telling_errors() -> Iterator[None]:
    """Tell a known error in one line, and exit with its status."""
    from target_stitch_import.errors import TargetError  # noqa: PLC0415

    try:
        yield
    except TargetError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_status)
