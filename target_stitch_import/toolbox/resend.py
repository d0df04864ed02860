"""`replay`: sends saved bodies and repaired dead letters."""

from __future__ import annotations

from typing import IO

import click

from target_stitch_import.toolbox.common import config_option, connection, telling_errors


@click.command()
@config_option
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

    with telling_errors():
        settings = Settings.load(read_config(config_paths))
        rules = SenderRules(settings.max_in_flight_requests, settings.max_retry_seconds)
        replayed = send_again(file, lambda: connection(settings), rules)
        click.echo(f"{replayed.messages} messages delivered in {replayed.requests} requests.")
