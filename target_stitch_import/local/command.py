"""The command `serve`: for `stitch-import`, and for `python -m target_stitch_import.local`."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from target_stitch_import.local.extra import LocalExtraMissingError, require_extra
from target_stitch_import.local.options import (
    EX_CONFIG,
    TLS_FILES,
    Options,
    OptionsError,
    Strictness,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_PORT = 8087


class _Destination(click.ParamType):  # type: ignore[type-arg]  # not generic in older clicks
    """One of the destinations in `profiles.json`, which is read only for `serve` and its help."""

    name = "destination"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the destinations, for the help."""
        del param, ctx
        return f"[{'|'.join(_destinations())}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name of a destination as it is, or fail."""
        if value not in _destinations():
            self.fail(f"must be one of {', '.join(_destinations())}.", param, ctx)
        return value


def _destinations() -> Iterable[str]:
    from target_stitch_import.local.warehouse.profiles import profiles  # noqa: PLC0415 - reads a file

    return profiles()


@click.command(
    epilog="\b\nExamples:\n"
    "  stitch-import serve\n"
    "  stitch-import serve --port 0 --database warehouse.duckdb\n"
    "  stitch-import serve --accounts accounts.json --destination redshift\n"
)
@click.option("--host", default=Options.host, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--database",
    type=click.Path(path_type=Path, dir_okay=False),
    help="DuckDB file to load into; without it, data is kept in memory.",
)
@click.option(
    "--accounts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON file of clients, sources and tokens; without it any token is accepted.",
)
@click.option(
    "--region",
    type=click.Choice(["us", "eu"]),
    help="Data pipeline region to emulate; default: the accounts file's, or us.",
)
@click.option(
    "--destination",
    default=Options.destination,
    show_default=True,
    type=_Destination(),
    help="Destination whose naming rules, limits and types to emulate.",
)
@click.option(
    "--nested",
    type=click.Choice(["flatten", "json"]),
    help=(
        "Load objects and arrays as columns and subtables, or as JSON text; default: as the "
        "destination does."
    ),
)
@click.option(
    "--keep-bytes",
    "kept_bytes",
    default=Options.kept_bytes,
    show_default=True,
    type=click.IntRange(0),
    help="Bytes of accepted requests to keep for /_local/requests; 0 keeps none.",
)
@click.option(
    "--max-body-bytes",
    default=Options.max_body_bytes,
    show_default=True,
    type=click.IntRange(1),
    help="Largest request body to accept, in bytes.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="Host name to accept, besides localhost and the listening address.",
)
@click.option(
    "--allow-origin",
    "allow_origins",
    metavar="URL",
    multiple=True,
    help="Origin of web pages that may call the API, such as http://localhost:3000 (CORS).",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Serve HTTPS with this certificate (PEM); needs --tls-key.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Private key (PEM) of --tls-cert.",
)
@click.option(
    "--tls-self-signed",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Serve HTTPS with a certificate and key created in this folder.",
)
@click.option("--public-page", is_flag=True, help="Show the page to other machines too.")
@click.option("--strict-keys", is_flag=True, help="Refuse string keys of 256 characters or more.")
@click.option("--strict-datetime", is_flag=True, help="Refuse date-times with offsets like +0000.")
@click.option(
    "--no-data-points",
    "count_data_points",
    flag_value=False,
    default=True,
    help="Accept records with more than 10,000 data points.",
)
@click.option(
    "--strict-push",
    is_flag=True,
    help="Refuse namespace, switch_view and client_id as text in a push.",
)
@click.option(
    "--live-messages", is_flag=True, help="Use the live service's wording for schema violations."
)
@click.option(
    "--stop-with-stdin",
    is_flag=True,
    help="Stop when stdin is closed; for child processes of test runners.",
)
def serve(*, stop_with_stdin: bool, **given: Any) -> None:
    """Run a local Import API with a web page.

    Prints `listening on URL` when it is ready, and runs until it is interrupted. Also serves Stitch
    Connect's endpoints for sources and tokens.
    """
    try:
        require_extra()
    except LocalExtraMissingError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_CONFIG)
    strictness = Strictness(**{each.name: given.pop(each.name) for each in fields(Strictness)})
    try:
        options = Options(strictness=strictness, **given)
    except OptionsError as error:
        raise click.UsageError(str(error)) from None
    _check_files(options)
    from target_stitch_import.local.server.serving import run  # noqa: PLC0415 - heavy

    sys.exit(run(options, stop_with_stdin=stop_with_stdin))


def _check_files(options: Options) -> None:
    """Refuse files that cannot be used, before any of them is opened."""
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415 - not for --help
    from target_stitch_import.files import Files, FileUse, database, output_streams  # noqa: PLC0415

    read = {
        "--accounts": options.accounts,
        "--tls-cert": options.tls_cert,
        "--tls-key": options.tls_key,
    }
    if options.tls_self_signed is not None:
        folder = options.tls_self_signed
        read |= {f"{name} of --tls-self-signed": folder / name for name in TLS_FILES}
    uses = [
        FileUse(f"option `{name}`", str(path), must_be_regular=True)
        for name, path in read.items()
        if path
    ]
    if options.database is not None:
        uses += database("option `--database`", str(options.database))
    try:
        Files([*uses, *output_streams(sys.stdout)]).check()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
