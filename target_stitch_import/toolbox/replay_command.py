"""The command `replay`: sends saved request bodies and repaired dead letters."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from target_stitch_import.report.words import counted
from target_stitch_import.toolbox.common import (
    INPUT,
    USER_AGENT,
    Result,
    answering,
    connecting,
    connection,
    examples,
    say,
)

if TYPE_CHECKING:
    from target_stitch_import.toolbox.common import ConnectionOptions
    from target_stitch_import.toolbox.replay import Replayed


class _Saved(click.Path):
    """A file of saved lines, or the folder of dead letters of a Spark job."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the paths; of a folder, those of its committed and visible files."""
        if value == "-":
            INPUT.convert(value, param, ctx)  # fails without stdin
            return [value]
        path = str(super().convert(value, param, ctx))
        if not Path(path).is_dir():
            return [path]
        files = [
            str(each) for each in sorted(Path(path).glob("*.jsonl")) if each.name[0] not in "._"
        ]
        if not files:
            self.fail(f"{value} contains no dead-letter files (*.jsonl).", param, ctx)
        return files


@click.command(
    epilog=examples(
        "stitch-import replay -c config.json dead-letters.jsonl",
        "stitch-import replay -c config.json bodies.jsonl --json",
        "stitch-import replay -c config.json dead-letters/",
    )
)
@click.argument("files", metavar="FILE", type=_Saved(exists=True, readable=True, allow_dash=True))
@connecting
@answering
def replay(files: list[str], where: ConnectionOptions) -> Result:
    """Send saved request bodies, or repaired dead letters, from FILE.

    FILE has one entry per line: request bodies saved with `target-stitch-import --output-file`, or
    dead letters whose `record` you have fixed; - is stdin. FILE can also be the dead-letter folder
    of a Spark job, whose files are sent as if they were one. Dead letters are repaired as
    configured in `repairs`. Activations that were set aside are sent after the records of their
    table. Sequences are unchanged, so newer rows are not overwritten; entries of a replaced table
    version are skipped. With `region: local`, replay starts a local Import API while it runs.
    """
    from target_stitch_import.app import batch_limits, start_local_api  # noqa: PLC0415 - slow
    from target_stitch_import.delivery.deliver import COMMAND_HINTS  # noqa: PLC0415
    from target_stitch_import.run.sender import SenderRules  # noqa: PLC0415
    from target_stitch_import.toolbox.replay import ReplayRules  # noqa: PLC0415
    from target_stitch_import.toolbox.replay import replay as send_again  # noqa: PLC0415
    from target_stitch_import.toolbox.saved_files import SavedFiles  # noqa: PLC0415

    settings = where.settings(
        reads=[sys.stdin if each == "-" else each for each in files], starts_local=True
    )
    rules = ReplayRules(
        SenderRules(settings.requests_at_once, settings.max_retry_seconds, COMMAND_HINTS),
        batch_limits(settings),
        settings.naive_datetimes,
        tuple(settings.repairs),
    )
    with ExitStack() as stack:
        local_api = start_local_api(settings, stack)
        endpoint = settings.endpoint(USER_AGENT, local_api.url if local_api else "")
        saved = stack.enter_context(closing(SavedFiles(files)))
        total = send_again(saved, lambda: connection(endpoint), rules, say)
    return Result(_document(total), _words(total))


def _document(total: Replayed) -> dict[str, Any]:
    repaired: dict[str, dict[str, dict[str, int]]] = {}
    for (table, field, repair), count in sorted(total.repaired.items()):
        repaired.setdefault(table, {}).setdefault(field, {})[repair] = count
    return {
        "messages": total.messages,
        "requests": total.requests,
        "replaced": total.replaced,
        "repaired": repaired,
    }


def _words(total: Replayed) -> str:
    words = (
        f"{counted(total.messages, 'message')} delivered in {counted(total.requests, 'request')}"
    )
    if repaired := sum(total.repaired.values()):
        words += f", {counted(repaired, 'value')} repaired"
    if total.replaced:
        words += f", {counted(total.replaced, 'line')} of replaced versions not sent"
    return f"{words}."
