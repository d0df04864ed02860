"""Shared by the commands: connection options, printing of results, and reporting of errors.

A command returns a `Result`, which `answering` prints: as text for people, or with `--json` as one
document for programs.
"""

from __future__ import annotations

import functools
import shlex
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import click

from target_stitch_import.names import TOOL
from target_stitch_import.stdout import give_up_stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from target_stitch_import.config.settings import Settings
    from target_stitch_import.endpoints import Endpoint
    from target_stitch_import.files import FileUse
    from target_stitch_import.run.http import ImportApiClient

USER_AGENT = TOOL
QUICK_TIMEOUT_SECONDS = 30.0
"""The longest timeout of a request that a person waits for."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command: a JSON document for programs, words for people."""

    document: Any
    words: str
    exit_status: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """The options that select the service that a command connects to."""

    config_paths: tuple[str, ...]
    region: str | None
    api_url: str | None

    @property
    def options(self) -> str:
        """The options as they were given, each after a space, for a command in a message."""
        given = [("-c", path) for path in self.config_paths]
        given += [("--region", self.region)] if self.region else []
        given += [("--api-url", self.api_url)] if self.api_url else []
        return "".join(f" {name} {shlex.quote(value)}" for name, value in given)

    def settings(
        self,
        *,
        needs_token: bool = True,
        reads: Sequence[str | IO[Any]] = (),
        starts_local: bool = False,
    ) -> Settings:
        """Return the settings of the configuration; the options override them.

        Args:
            needs_token: Whether there must be a token.
            reads: Paths and open files that the command reads; none may be its own output.
            starts_local: Whether the command starts a local Import API for `region: local`.

        Raises:
            ConfigurationError: A setting is invalid, or `region: local` is not supported here.
        """
        from target_stitch_import.config.settings import Settings  # noqa: PLC0415 - slow
        from target_stitch_import.config.sources import read_config  # noqa: PLC0415 - slow
        from target_stitch_import.config.table import URLS  # noqa: PLC0415 - slow
        from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415
        from target_stitch_import.files import (  # noqa: PLC0415
            FileUse,
            configurations,
            database,
            descriptor_of,
        )

        places = [each if isinstance(each, str) else descriptor_of(each) for each in reads]
        uses = [*configurations(self.config_paths), *(FileUse("FILE", each) for each in places)]
        check_files(*uses)
        config = read_config(self.config_paths, say)
        if self.region:
            # Otherwise a URL in the configuration would override the region of the option.
            config = {**config, **dict.fromkeys(URLS), "region": self.region}
        if self.api_url:
            config["api_url"] = self.api_url
        settings = Settings.load(config, needs_token=needs_token)
        if settings.starts_local_api and starts_local:
            check_files(*uses, *database("setting `local_database`", settings.local_database))
        elif settings.starts_local_api:
            raise ConfigurationError(
                "Setting `region` cannot be `local` here: start `stitch-import serve`, and give "
                "its URL as `api_url`."
            )
        return settings


def check_files(*uses: FileUse) -> None:
    """Check the files that a command uses, together with its stdout.

    Raises:
        ConfigurationError: Two of them are the same file, or one must not be written to.
    """
    from target_stitch_import.files import Files, output_streams  # noqa: PLC0415

    Files([*uses, *output_streams(sys.stdout)]).check()


def require_local() -> None:
    """Require the extra `local`.

    Raises:
        ConfigurationError: It is not installed.
    """
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415
    from target_stitch_import.local.extra import (  # noqa: PLC0415 - only where it is needed
        LocalExtraMissingError,
        require_extra,
    )

    try:
        require_extra()
    except LocalExtraMissingError as error:
        raise ConfigurationError(str(error)) from None


class _Input(click.File):
    """A file to read, or stdin; the process may have been started without stdin."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the open file."""
        if value == "-" and sys.stdin is None:
            self.fail("there is no stdin. Pipe something in, or name a file.", param, ctx)
        return super().convert(value, param, ctx)


INPUT = _Input("rb")


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of an open file, or of stdin.

    Raises:
        InputError: The file cannot be read.
    """
    from target_stitch_import.errors import InputError  # noqa: PLC0415

    try:
        yield from file
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror or error}.") from None


def connecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `ConnectionOptions` to a command, as its argument `where`."""

    @click.option(
        "-c",
        "--config",
        "config_paths",
        multiple=True,
        metavar="FILE|ENV",
        help="Configuration file of target-stitch-import, or ENV for environment variables.",
    )
    @click.option(
        "--region",
        type=click.Choice(["us", "eu"]),
        help="Data pipeline region; overrides the configuration.",
    )
    @click.option("--api-url", metavar="URL", help="Base URL to use instead of the region's.")
    @functools.wraps(command)
    def with_where(
        *args: Any,
        config_paths: tuple[str, ...],
        region: str | None,
        api_url: str | None,
        **given: Any,
    ) -> Any:
        return command(*args, where=ConnectionOptions(config_paths, region, api_url), **given)

    return with_where


def answering(command: Callable[..., Result | None]) -> Callable[..., None]:
    """Print the result of a command, and exit with its status; adds the option `--json`."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def answer(*args: Any, as_json: bool, **given: Any) -> None:
        with reporting_errors(as_json=as_json):
            result = command(*args, **given)
            if result is not None:
                show(_encoded(result.document) if as_json else result.words)
                sys.exit(result.exit_status)

    return answer


def show(text: str) -> None:
    """Write to stdout.

    Raises:
        OutputError: Stdout cannot be written to.
    """
    try:
        click.echo(text)
    except OSError as error:
        raise give_up_stdout(error) from None


def say(text: str) -> None:
    """Print a message to stderr; stdout is for the result alone."""
    with suppress(OSError):  # the status counts, also where nobody reads it
        click.echo(text, err=True)


@contextmanager
def reporting_errors(*, as_json: bool = False) -> Iterator[None]:
    """Report a known error in one line on stderr, and exit with its status.

    With `as_json`, it is also printed on stdout, as JSON.
    """
    from target_stitch_import.errors import OutputError, TargetError  # noqa: PLC0415

    try:
        yield
    except TargetError as error:
        say(str(error))
        if as_json and not isinstance(error, OutputError):
            with reporting_errors():
                show(_encoded({"error": str(error), "exit_status": error.exit_status}))
        sys.exit(error.exit_status)


def _encoded(document: Any) -> str:
    import simplejson  # noqa: PLC0415 - only with `--json`; it writes decimals digit for digit

    text: str = simplejson.dumps(document, indent=2, use_decimal=True)
    return text


def connection(endpoint: Endpoint) -> ImportApiClient:
    """Return a connection to the Import API at `endpoint`."""
    from target_stitch_import.run.http import ImportApiClient  # noqa: PLC0415 - slow to import

    return ImportApiClient(endpoint)


def quick_connection(endpoint: Endpoint) -> ImportApiClient:
    """Return a connection with a short timeout, for a request that a person waits for."""
    from msgspec.structs import replace  # noqa: PLC0415 - `--help` does without

    seconds = min(endpoint.request_timeout_seconds, QUICK_TIMEOUT_SECONDS)
    return connection(replace(endpoint, request_timeout_seconds=seconds))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a text table of `rows` below `titles`, without control characters."""
    from target_stitch_import.errors import quoted  # noqa: PLC0415

    lines = [titles, *([quoted(cell, mark="") for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def examples(*commands: str) -> str:
    """Return the epilog of a command's help, with examples."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
