"""The commands `push` and `validate`: send a file's records to the endpoints without schemas."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import click

from target_stitch_import.errors import InputError
from target_stitch_import.report.words import counted
from target_stitch_import.toolbox.common import (
    INPUT,
    USER_AGENT,
    Result,
    answering,
    connecting,
    connection,
    examples,
    lines_of,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.toolbox.common import ConnectionOptions
    from target_stitch_import.toolbox.push import PushReport


def _taking_records(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the file of records and the options that describe them to a command."""
    for decorate in (
        click.option(
            "--transit",
            is_flag=True,
            help="Send records as Transit: date-times with an offset become timestamps.",
        ),
        click.option(
            "--client-id",
            type=click.IntRange(1),
            help="Stitch client ID; overrides the setting `client_id`.",
        ),
        click.option(
            "--key",
            "keys",
            multiple=True,
            required=True,
            metavar="NAME",
            help="Key field; repeat the option for a composite key.",
        ),
        click.option(
            "--table", required=True, metavar="NAME", help="Table that the records belong to."
        ),
        click.argument("file", type=INPUT),
    ):
        command = decorate(command)
    return command


@click.command(
    epilog=examples(
        "stitch-import validate -c config.json --table customers --key id customers.jsonl",
        "head -100 big.jsonl | stitch-import validate -c config.json --table big --key id -",
    )
)
@_taking_records
@connecting
@answering
def validate(where: ConnectionOptions, **given: Any) -> Result:
    """Ask the Import API whether it would accept the records in FILE.

    FILE has one JSON object per line; - is stdin. Nothing is loaded. Refused lines are listed with
    the service's reason, at most 20; the exit status is then 65.
    """
    from target_stitch_import.toolbox.push import MAX_FAULTS, VALIDATE_PATH  # noqa: PLC0415 - slow

    report = _send(where, VALIDATE_PATH, MAX_FAULTS, **given)
    document = {
        "valid": report.records,
        "refused": [{"line": each.line, "reason": each.reason} for each in report.faults],
        "complete": report.is_complete,
    }
    if not report.faults:
        return Result(document, f"Valid: {counted(report.records, 'record')}.")
    words = [f"Line {each.line}: {each.reason}." for each in report.faults]
    words.append(
        f"{len(report.faults)} of {counted(len(report.faults) + report.records, 'record')} refused."
        if report.is_complete
        else f"Stopped after {len(report.faults)} refused records."
    )
    return Result(document, "\n".join(words), InputError.exit_status)


@click.command(
    epilog=examples(
        "stitch-import push -c config.json --table customers --key id customers.jsonl",
        "stitch-import push -c config.json --table items --key order --key line items.jsonl",
        "tail -n +42 customers.jsonl | stitch-import push -c config.json --table customers \\",
        "    --key id --transit -",
    )
)
@_taking_records
@connecting
@answering
def push(where: ConnectionOptions, **given: Any) -> Result:
    """Send the records in FILE to Stitch without a schema.

    FILE has one JSON object per line; - is stdin. Records are sent in order with increasing
    sequences, so of several records with the same key the last one wins. At the first refused
    record, push stops with status 65 and names the line. Earlier records have arrived; fix the line
    and push from there.

    By default records are sent as JSON, unchanged, and Stitch infers types from the values: a
    date-time is loaded as a string. With --transit, each string that is a complete date-time with
    an offset, such as 2024-01-31T23:59:59Z, becomes a timestamp, at any depth. Numbers that do not
    fit a double are sent as exact decimals.
    """
    from target_stitch_import.toolbox.push import PUSH_PATH  # noqa: PLC0415 - slow

    report = _send(where, PUSH_PATH, 1, **given)
    document = {
        "table": given["table"],
        "records": report.records,
        "requests": report.requests,
        "refused": [{"line": each.line, "reason": each.reason} for each in report.faults],
    }
    for fault in report.faults:
        say(f"Line {fault.line} is refused: {fault.reason}.")
    status = InputError.exit_status if report.faults else 0
    words = f"{counted(report.records, 'record')} pushed to table {given['table']}."
    if report.faults:
        words += f" Continue with line {report.faults[0].line} after fixing it."
    return Result(document, words, status)


def _send(  # noqa: PLR0913 - each is an option
    where: ConnectionOptions,
    path: str,
    max_faults: int,
    *,
    file: IO[bytes],
    table: str,
    keys: tuple[str, ...],
    client_id: int | None,
    transit: bool,
) -> PushReport:
    from target_stitch_import.app import batch_limits  # noqa: PLC0415 - slow to import
    from target_stitch_import.errors import ConfigurationError, TargetError  # noqa: PLC0415
    from target_stitch_import.toolbox.push import (  # noqa: PLC0415
        PUSH_PATH,
        Push,
        PushEnvelope,
        endpoint_of,
        requests_of,
    )

    settings = where.settings(reads=[file])
    client_id = client_id or int(settings.client_id or 0)
    if not client_id:
        raise ConfigurationError(
            "Setting `client_id` is missing: records are pushed under the client ID of the Stitch "
            "account. Give it in the configuration, or as --client-id."
        )
    envelope = PushEnvelope(table, keys, client_id, transit)
    limits = batch_limits(settings)
    api = connection(endpoint_of(settings.endpoint(USER_AGENT), path, transit=transit))
    push = Push(api.send_batch, settings.max_retry_seconds, max_faults, say)
    try:
        push.send(requests_of(lines_of(file), envelope, limits))
    except (TargetError, KeyboardInterrupt):
        if path == PUSH_PATH:
            say(_arrived(push.report))
        raise
    return push.report


def _arrived(report: PushReport) -> str:
    if not report.records:
        return "No record is acknowledged."
    records = counted(report.records, "record")
    return f"{records} acknowledged, the last one of line {report.last_line}."
