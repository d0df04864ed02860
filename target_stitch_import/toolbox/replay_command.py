"""`replay`: sends saved bodies and repaired dead letters."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from target_stitch_import.toolbox.common import (
    INPUT,
    USER_AGENT,
    Result,
    answering,
    connecting,
    connection,
    counted,
    examples,
    say,
)

if TYPE_CHECKING:
    from target_stitch_import.toolbox.common import Where


@click.command(
    epilog=examples(
        "stitch-import replay -c config.json dead-letters.jsonl",
        "stitch-import replay -c config.json bodies.jsonl --json",
    )
)
@click.argument("file", type=INPUT)
@connecting
@answering
def replay(file: IO[bytes], where: Where) -> Result:
    """Send saved request bodies, or repaired dead letters, from FILE.

    FILE holds one a line: what `target-stitch-import --output-file` saved, or lines of the
    dead-letter file with their `record` put right. Sequences stay as they are, so that no newer
    row is lost.
    """
    from target_stitch_import.delivery.deliver import COMMAND_HINTS  # noqa: PLC0415 - slow to import
    from target_stitch_import.run.sender import SenderRules  # noqa: PLC0415
    from target_stitch_import.toolbox.replay import replay as send_again  # noqa: PLC0415

    settings = where.settings(file=file)
    endpoint = settings.endpoint(USER_AGENT)
    rules = SenderRules(settings.requests_at_once, settings.max_retry_seconds, COMMAND_HINTS)
    naive = settings.naive_datetimes
    replayed = send_again(file, lambda: connection(endpoint), rules, naive, say)
    return Result(
        {"messages": replayed.messages, "requests": replayed.requests},
        f"{counted(replayed.messages, 'message')} delivered in "
        f"{counted(replayed.requests, 'request')}.",
    )
