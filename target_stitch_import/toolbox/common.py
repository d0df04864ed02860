"""What the commands share: where they connect to, how they answer, and how errors are told.

A command returns a `Result` and leaves the printing to `answering`: words for people, or with
`--json` one document for programs.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from target_stitch_import.config.settings import Settings
    from target_stitch_import.endpoints import Endpoint
    from target_stitch_import.files import FileUse
    from target_stitch_import.run.http import ImportApiClient

USER_AGENT = TOOL
QUESTION_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a command has to say: to programs, and to people."""

    document: Any
    words: str
    exit_status: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """The options that say which service a command talks to."""

    config_paths: tuple[str, ...]
    region: str | None
    api_url: str | None

    @property
    def options(self) -> str:
        """The options again, each after a space, for a command that somebody is told to run."""
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
        """Return the settings of the configuration, with the options over them.

        Args:
            needs_token: Whether there must be a token.
            reads: Paths and open files that the command reads; none may be where its answer goes.
            starts_local: Whether the command starts a local Import API for `region: local`.

        Raises:
            ConfigurationError: One cannot work, or is `region: local` where nothing is started.
        """
        from target_stitch_import.config.settings import (  # noqa: PLC0415 - slow
            URL_SETTINGS,
            Settings,
        )
        from target_stitch_import.config.sources import read_config  # noqa: PLC0415 - slow
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
            # What the region stands for must not be hidden behind a URL of the configuration.
            config = {**config, **dict.fromkeys(URL_SETTINGS), "region": self.region}
        if self.api_url:
            config["api_url"] = self.api_url
        settings = Settings.load(config, dry_run=not needs_token)
        if settings.starts_local_api and starts_local:
            check_files(*uses, *database("setting `local_database`", settings.local_database))
        elif settings.starts_local_api:
            raise ConfigurationError(
                "Setting `region` cannot be `local` here: start `stitch-import serve`, and give "
                "its URL as `api_url`."
            )
        return settings


def check_files(*uses: FileUse) -> None:
    """Refuse files that a command cannot use, together with where its answer goes.

    Raises:
        ConfigurationError: Two are one file, or one is none that may be written.
    """
    from target_stitch_import.files import Files, output_streams  # noqa: PLC0415

    Files([*uses, *output_streams(sys.stdout)]).check()


def require_local() -> None:
    """See that the extra `local` is there.

    Raises:
        ConfigurationError: It is not.
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
    """A file to read, or stdin where there is one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Open what was given."""
        if value == "-" and sys.stdin is None:
            self.fail("there is no stdin. Pipe something in, or name a file.", param, ctx)
        return super().convert(value, param, ctx)


INPUT = _Input("rb")


def connecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `ConnectionOptions`, as its argument `where`."""

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
        *args: Any, config_paths: tuple[str, ...], region: str, api_url: str, **given: Any
    ) -> Any:
        return command(*args, where=ConnectionOptions(config_paths, region, api_url), **given)

    return with_where


def answering(command: Callable[..., Result | None]) -> Callable[..., None]:
    """Print what a command returns, and end with its exit status; adds the option `--json`."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def answer(*args: Any, as_json: bool, **given: Any) -> None:
        with telling_errors(as_json=as_json):
            result = command(*args, **given)
            if result is not None:
                show(_encoded(result.document) if as_json else result.words)
                sys.exit(result.exit_status)

    return answer


def show(text: str) -> None:
    """Write to stdout.

    Raises:
        OutputError: It cannot be written to.
    """
    from target_stitch_import.errors import (  # noqa: PLC0415
        OutputError,
        why_it_cannot_be_written,
    )

    try:
        click.echo(text)
    except OSError as error:
        # Python would try once more as it ends, and tell of it.
        sys.stdout = None
        raise OutputError(
            f"Stdout cannot be written to: {why_it_cannot_be_written(error)}"
        ) from None


def say(text: str) -> None:
    """Tell a person something on stderr, beside the answer on stdout."""
    with suppress(OSError):  # the status counts, also where nobody reads it
        click.echo(text, err=True)


@contextmanager
def telling_errors(*, as_json: bool = False) -> Iterator[None]:
    """Tell a known error in one line on stderr, and exit with its status."""
    from target_stitch_import.errors import OutputError, TargetError  # noqa: PLC0415

    try:
        yield
    except TargetError as error:
        say(str(error))
        if as_json and not isinstance(error, OutputError):
            with telling_errors():
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
    """Return a connection for short questions, whose answer a person waits for."""
    from msgspec.structs import replace  # noqa: PLC0415 - `--help` does without

    seconds = min(endpoint.request_timeout_seconds, QUESTION_SECONDS)
    return connection(replace(endpoint, request_timeout_seconds=seconds))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows below their titles, in columns; without control characters."""
    from target_stitch_import.errors import quoted  # noqa: PLC0415

    lines = [titles, *([quoted(cell, mark="") for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def examples(*commands: str) -> str:
    """Return a command's epilog: how it is called."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
