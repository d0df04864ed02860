"""The command `init`: asks for region and token, tests them, and writes a configuration."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from target_stitch_import.names import TOKEN_VARIABLE
from target_stitch_import.toolbox.common import (
    USER_AGENT,
    Result,
    answering,
    check_files,
    examples,
    lines_of,
    quick_connection,
    require_local,
    say,
)

if TYPE_CHECKING:
    from target_stitch_import.config.settings import Settings

_INTRODUCTION = (
    "The region is part of your account's URL: app.stitchdata.com is us, and\n"
    "app.eu-central-1.stitchdata.com is eu. With local, no account is needed. Stitch shows the\n"
    "token only once, when you add an Import API integration."
)
_ENVIRONMENT_FILE = ".env"


@dataclass(frozen=True, slots=True)
class _Answers:
    """The user's answers, from options or prompts; None where none was given."""

    region: str | None
    api_url: str | None
    token: str | None

    @property
    def is_complete(self) -> bool:
        """Return whether all answers that are needed are given."""
        return self.region is not None and not self.lacks_token

    @property
    def needs_token(self) -> bool:
        """Return whether a token is needed: not for the local Import API that a run starts."""
        return self.region != "local" or self.api_url is not None

    @property
    def lacks_token(self) -> bool:
        """Return whether a token is needed and missing."""
        return self.needs_token and self.token is None

    def settings(self) -> Settings:
        """Return the answers as settings. Raises ConfigurationError."""
        from target_stitch_import.config.settings import Settings  # noqa: PLC0415 - slow

        return Settings.load(self.configuration())

    def configuration(self) -> dict[str, str]:
        """Return the answers as the members of a configuration file; a token only if needed."""
        token = self.token if self.needs_token else None
        named = {"region": self.region, "api_url": self.api_url, "token": token}
        return {name: value for name, value in named.items() if value is not None}


@click.command(
    epilog=examples(
        "stitch-import init",
        "stitch-import init --region local --meltano",
        "stitch-import init --region eu --token-stdin < token.txt",
    )
)
@click.option(
    "--region",
    type=click.Choice(["us", "eu", "local"]),
    help="Data pipeline region of the account, or local.",
)
@click.option("--api-url", metavar="URL", help="Base URL to use instead of the region's.")
@click.option("--token-stdin", is_flag=True, help="Read the token from stdin.")
@click.option(
    "--meltano",
    is_flag=True,
    help="Write a plugin definition for `meltano add`, and the token to .env.",
)
@click.option("--no-check", is_flag=True, help="Skip the test of region and token.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="File to write; default: config.json, or target-stitch-import.yml with --meltano.",
)
@answering
def init(  # noqa: PLR0913 - one argument per option
    *,
    region: str | None,
    api_url: str | None,
    token_stdin: bool,
    meltano: bool,
    no_check: bool,
    output: str | None,
) -> Result:
    """Write a configuration after testing region and token.

    Asks for what is not given as an option. The token is never shown; it can also come from
    TARGET_STITCH_IMPORT_TOKEN or stdin. Existing files are never overwritten.
    """
    path = output or ("target-stitch-import.yml" if meltano else "config.json")
    _check_path(path)
    if meltano:
        _check_environment_file()
    given = _Answers(region, api_url, None)
    if given.needs_token:
        given = replace(given, token=_token(from_stdin=token_stdin))
    answers = _complete(given, with_request=not no_check)
    steps = _write_plugin(path, answers) if meltano else _write_file(path, answers)
    words = [f"{path} is written. Next:", *(f"  {each}" for each in steps)]
    if answers.needs_token and not no_check:
        words.insert(0, "The token is valid for this region.")
    document = {"region": answers.region, "path": path, "tried": not no_check, "next": steps}
    return Result(document, "\n".join(words))


def _check_path(path: str) -> None:
    """Check the path of the new file, before the first prompt.

    Raises:
        ConfigurationError: The path exists already, or cannot be written.
    """
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415 - not for --help
    from target_stitch_import.file_contents import ANYTHING  # noqa: PLC0415
    from target_stitch_import.files import FileUse  # noqa: PLC0415

    if os.path.lexists(path):
        raise ConfigurationError(
            f"{path} already exists and was not changed. Move it, or give another path with "
            "--output."
        )
    check_files(FileUse("option `--output`", path, ANYTHING))


def _check_environment_file() -> None:
    """Check that a token can be added to `.env`.

    Raises:
        ConfigurationError: There is a token in it already, or it cannot be written.
    """
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415 - not for --help
    from target_stitch_import.file_contents import ANYTHING  # noqa: PLC0415
    from target_stitch_import.files import FileUse  # noqa: PLC0415

    check_files(FileUse("`.env`", _ENVIRONMENT_FILE, ANYTHING))
    text = _read_environment_file()
    if re.search(rf"^\s*(?:export\s+)?{TOKEN_VARIABLE}\s*=".encode(), text, re.MULTILINE):
        raise ConfigurationError(
            f"{_ENVIRONMENT_FILE} already sets {TOKEN_VARIABLE}, and was not changed. Remove the "
            "line, or add the plugin without this command."
        )


def _read_environment_file() -> bytes:
    """Return the content of `.env`; empty if there is none."""
    path = Path(_ENVIRONMENT_FILE)
    return path.read_bytes() if path.exists() else b""


def _token(*, from_stdin: bool) -> str | None:
    """Return the token from stdin or the environment, or None.

    Raises:
        InputError: Stdin cannot be read.
    """
    if from_stdin:
        if sys.stdin is None:
            raise click.UsageError("There is no stdin to read the token from.")
        line = next(lines_of(sys.stdin.buffer), b"")
        return line.decode(errors="replace").strip()  # U+FFFD is not valid in a token
    if token := os.environ.get(TOKEN_VARIABLE):
        say(f"{TOKEN_VARIABLE} is set, so no token is asked for.")
    return token or None


def _complete(given: _Answers, *, with_request: bool) -> _Answers:
    """Return complete, valid answers; prompts for missing ones, and again if a test fails.

    Raises:
        TargetError: The answers do not work, and another prompt cannot change that.
    """
    from target_stitch_import.config.checks import check_url  # noqa: PLC0415 - not for --help
    from target_stitch_import.errors import ConfigurationError, CredentialsError  # noqa: PLC0415

    if given.api_url is not None:
        check_url("api_url", given.api_url)
    answers = given
    while True:
        answers = _asked(given, answers.region)
        try:
            _test(answers, with_request=with_request)
        except (ConfigurationError, CredentialsError) as error:
            if given.is_complete:
                raise
            say(f"{error}\nTry again, or press Control-C to stop:")
        else:
            return answers


def _asked(given: _Answers, last_region: str | None) -> _Answers:
    """Return `given`, with answers from prompts for those that are missing."""
    region, token = given.region, given.token
    if region is None:
        _require_terminal("Give the region as --region.")
        if last_region is None:
            say(_INTRODUCTION)
        choice = click.Choice(["us", "eu", "local"])
        region = click.prompt("Region", default=last_region or "us", type=choice, err=True)
    if _Answers(region, given.api_url, token).lacks_token:
        _require_terminal(f"Give the token as {TOKEN_VARIABLE}, or with --token-stdin.")
        token = click.prompt("Import API access token (not shown)", hide_input=True, err=True)
        token = token.strip()
    return _Answers(region, given.api_url, token)


def _require_terminal(instead: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"Cannot ask: stdin is not a terminal. {instead}")


def _test(answers: _Answers, *, with_request: bool) -> None:
    """Check the answers, and test region and token with a request.

    Raises:
        TargetError: The answers are invalid, or the request failed.
    """
    from target_stitch_import.errors import ProtocolError, ServiceUnavailableError  # noqa: PLC0415

    settings = answers.settings()
    if not with_request:
        return
    if settings.starts_local_api:
        require_local()
        return
    try:
        quick_connection(settings.endpoint(USER_AGENT)).check()
    except (ServiceUnavailableError, ProtocolError) as error:
        raise type(error)(
            f"{error} Nothing was written. With --no-check, the file is written without a test."
        ) from None


def _write_file(path: str, answers: _Answers) -> list[str]:
    """Write the configuration; return the commands to run next."""
    _write(path, json.dumps(answers.configuration(), indent=2) + "\n", os.O_EXCL)
    quoted = shlex.quote(path)
    return [f"tap-something | target-stitch-import --config {quoted} > states.jsonl"]


def _write_plugin(path: str, answers: _Answers) -> list[str]:
    """Write the plugin definition, and the token to `.env`; return the commands to run next."""
    from target_stitch_import.toolbox.meltano import definition, own_requirement  # noqa: PLC0415

    values = answers.configuration()
    token = values.pop("token", None)
    if token:
        before = _read_environment_file()
        line_break = "\n" if before and not before.endswith(b"\n") else ""
        _write(_ENVIRONMENT_FILE, f"{line_break}{TOKEN_VARIABLE}={token}\n", os.O_APPEND)
    requirement = own_requirement("" if answers.needs_token else "local")
    _write(path, definition(requirement, values), os.O_EXCL)
    quoted = shlex.quote(path)
    return [
        f"meltano add --plugin-type loader target-stitch-import --from-ref {quoted}",
        "meltano run tap-something target-stitch-import",
    ]


def _write(path: str, text: str, flags: int) -> None:
    """Write to a file that only its owner may read.

    Raises:
        OutputError: The file cannot be written.
    """
    from target_stitch_import.errors import (  # noqa: PLC0415 - not for --help
        OutputError,
        why_it_cannot_be_written,
    )
    from target_stitch_import.private_files import open_private  # noqa: PLC0415

    try:
        with os.fdopen(open_private(path, os.O_WRONLY | flags), "wb") as file:
            file.write(text.encode())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {why_it_cannot_be_written(error)}") from None
