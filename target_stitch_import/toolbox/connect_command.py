"""The commands `source` and `token`: sources and their access tokens, through Stitch Connect."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from target_stitch_import.names import CONNECT_TOKEN_VARIABLE
from target_stitch_import.toolbox.common import (
    USER_AGENT,
    Result,
    answering,
    connecting,
    examples,
    say,
    show,
    table,
)

if TYPE_CHECKING:
    from target_stitch_import.toolbox.common import ConnectionOptions
    from target_stitch_import.toolbox.connect import ConnectApi, NewToken, Source

_ID = click.IntRange(1)


@click.group()
def source() -> None:
    """Create and show Import API sources.

    The Connect API token is read from the environment variable STITCH_CONNECT_TOKEN.
    """


@click.group()
def token() -> None:
    """Create, list, revoke and rotate access tokens.

    These are the tokens that `target-stitch-import` uses. A source has at most two active ones. The
    Connect API token is read from the environment variable STITCH_CONNECT_TOKEN.
    """


@source.command(epilog=examples('stitch-import source create "Import API"'))
@click.argument("display_name", metavar="NAME")
@connecting
@answering
def create(where: ConnectionOptions, display_name: str) -> Result:
    """Create an Import API source.

    Its tables are loaded into a schema named after NAME: `Import API` becomes `import_api`.
    """
    created = _connect(where).create_source(display_name)
    say(f"Create a token for it: stitch-import token create {created.id}{where.options}")
    return Result(_document(created), _table([created]))


@source.command(
    "show",
    epilog=examples("stitch-import source show", "stitch-import source show 126890 --json"),
)
@click.argument("source_id", metavar="[ID]", required=False, type=_ID)
@connecting
@answering
def show_sources(where: ConnectionOptions, source_id: int | None) -> Result:
    """Show one source, or all that are not deleted.

    Only sources of the type Import API are listed.
    """
    from target_stitch_import.toolbox.connect import SOURCE_TYPE  # noqa: PLC0415 - slow to import

    api = _connect(where)
    if source_id is not None:
        found = api.source(source_id)
        return Result(_document(found), _table([found]))
    sources = [
        each for each in api.sources() if each.type == SOURCE_TYPE and each.state != "deleted"
    ]
    return Result([_document(each) for each in sources], _table(sources))


@token.command("list", epilog=examples("stitch-import token list 126890"))
@click.argument("source_id", metavar="SOURCE", type=_ID)
@connecting
@answering
def list_tokens(where: ConnectionOptions, source_id: int) -> Result:
    """List a source's active tokens, without their secrets."""
    tokens = _connect(where).tokens(source_id)
    rows = [(str(each.token_id), each.created_at or "-") for each in tokens]
    document = [{"id": each.token_id, "created_at": each.created_at} for each in tokens]
    return Result(document, table(("ID", "CREATED"), rows))


@token.command(
    "create",
    epilog=examples(
        "stitch-import token create 126890",
        "stitch-import token create 126890 --json | jq -r .access_token",
    ),
)
@click.argument("source_id", metavar="SOURCE", type=_ID)
@connecting
@answering
def create_token(where: ConnectionOptions, source_id: int) -> Result:
    """Create an access token, and print it on stdout.

    Stitch shows the token only once: store it.
    """
    api = _connect(where)
    _require_room(where, source_id, _active_ids(api, source_id))
    new = _create(api, source_id)
    say("The token on stdout is shown only once: store it now.")
    document = {"source_id": source_id, "id": new.id, "access_token": new.access_token}
    return Result(document, new.access_token)


@token.command(
    epilog=examples(
        "stitch-import token revoke 126890 544973525",
        "stitch-import token revoke 126890 544973525 --yes",
    )
)
@click.argument("source_id", metavar="SOURCE", type=_ID)
@click.argument("token_id", metavar="TOKEN", type=_ID)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@connecting
@answering
def revoke(where: ConnectionOptions, source_id: int, token_id: int, *, yes: bool) -> Result:
    """Revoke an access token, named by its ID.

    Clients that still use it get 401.
    """
    api = _connect(where)
    if not yes:
        _require_terminal("give --yes")
        click.confirm(f"Revoke token {token_id} of source {source_id}?", abort=True, err=True)
    api.revoke_token(source_id, token_id)
    return Result({"source_id": source_id, "revoked_id": token_id}, f"Token {token_id} is revoked.")


@token.command(
    epilog=examples(
        "stitch-import token rotate 126890",
        "stitch-import token rotate 126890 --deploy 'vault kv put kv/stitch token=-'",
    )
)
@click.argument("source_id", metavar="SOURCE", type=_ID)
@click.option(
    "--deploy",
    metavar="COMMAND",
    help="Command that receives the new token on stdin and deploys it; run without a shell.",
)
@connecting
@answering
def rotate(where: ConnectionOptions, source_id: int, deploy: str | None) -> Result | None:
    """Replace the access token of a source without an interruption.

    Creates a second token and shows it once, on stdout; asks whether it is deployed; and then
    revokes the first. Until you confirm, both are valid.

    In scripts, use --deploy instead of the prompt. If COMMAND exits with 0, the first token is
    revoked; otherwise the new one is revoked and nothing changes.
    """
    if deploy is None:
        if click.get_current_context().params["as_json"]:
            raise click.UsageError(
                "--json needs --deploy, because the command cannot ask for confirmation."
            )
        _require_terminal("give --deploy COMMAND")
    command = _split(deploy)
    api = _connect(where)
    active_ids = _active_ids(api, source_id)
    _require_room(where, source_id, active_ids)
    _require_one(where, source_id, active_ids)
    (old_id,) = active_ids
    new = _create(api, source_id)
    swap = _Swap(api, where, source_id, old_id, new)
    if command:
        swap.deploy(command)
        swap.revoke_old()
        document = {"source_id": source_id, "id": new.id, "revoked_id": old_id}
        return Result(document, f"Token {old_id} is revoked.")
    swap.by_hand()
    return None


def _split(deploy: str | None) -> list[str]:
    """Return the words of the command of --deploy, before anything is changed."""
    if deploy is None:
        return []
    try:
        words = shlex.split(deploy)
    except ValueError as error:
        raise click.UsageError(f"The command of --deploy cannot be run: {error}.") from None
    if not words:
        raise click.UsageError("The command of --deploy is empty.")
    return words


@dataclass(frozen=True, slots=True)
class _Swap:
    """A rotation after its new token was created; if it stops, the user learns what is active."""

    api: ConnectApi
    where: ConnectionOptions
    source_id: int
    old_id: int
    new: NewToken

    def _revoke_command(self, token_id: int | None) -> str:
        shown = "ID" if token_id is None else token_id
        return f"stitch-import token revoke {self.source_id} {shown}{self.where.options}"

    def deploy(self, command: list[str]) -> None:
        """Run `command` with the new token on stdin; if it fails, revoke the token.

        Raises:
            InputError: The command failed.
        """
        from target_stitch_import.errors import InputError  # noqa: PLC0415

        environment = {
            key: value for key, value in os.environ.items() if key != CONNECT_TOKEN_VARIABLE
        }
        try:
            # Its stdout goes to stderr, because stdout is for the result alone.
            done = subprocess.run(  # noqa: S603 - the user's own command, as it was given
                command,
                input=self.new.access_token.encode(),
                stdout=2,
                check=False,
                env=environment,
            )
            problem = f"ended with status {done.returncode}" if done.returncode else ""
        except (OSError, ValueError) as error:
            problem = f"cannot be run: {error}"
        except KeyboardInterrupt:
            say(
                f"\nIt is unknown whether token {self.new.shown_id} is deployed. It is active, and "
                f"so is token {self.old_id}. Revoke the one that is not used: "
                f"{self._revoke_command(None)}"
            )
            raise
        if not problem:
            return
        if self.new.id is None:
            left = "The new token's ID is not known: revoke it in Stitch"
        else:
            self._revoke(
                self.new.id,
                f"The command of --deploy {problem}, and token {self.old_id} is still the one in "
                f"use. Token {self.new.id} may still be active:",
            )
            left = f"The new token {self.new.id} is revoked"
        raise InputError(f"The command of --deploy {problem}. {left}; the old one stays active.")

    def by_hand(self) -> None:
        """Show the new token, ask whether it is deployed, and revoke the old one."""
        later = (
            f"Token {self.old_id} stays active. Once the new one is deployed: "
            f"{self._revoke_command(self.old_id)}"
        )
        try:
            show(self.new.access_token)
            say("The new token is shown only once. Deploy it wherever the old one is used.")
            deployed = click.confirm(
                f"Is it deployed? Then token {self.old_id} is revoked", err=True
            )
        except click.Abort:
            say(f"\n{later}")
            raise
        if not deployed:
            say(later)
            return
        self.revoke_old()
        say(f"Token {self.old_id} is revoked: clients that still use it get 401.")

    def revoke_old(self) -> None:
        """Revoke the token that was replaced."""
        self._revoke(
            self.old_id,
            f"Token {self.new.shown_id} is deployed. Token {self.old_id} may still be active:",
        )

    def _revoke(self, token_id: int, otherwise: str) -> None:
        from target_stitch_import.errors import TargetError  # noqa: PLC0415

        note = f"{otherwise} {self._revoke_command(token_id)}"
        try:
            self.api.revoke_token(self.source_id, token_id)
        except TargetError as error:
            raise type(error)(f"{error} {note}") from None
        except KeyboardInterrupt:
            say(f"\n{note}")
            raise


def _connect(where: ConnectionOptions) -> ConnectApi:
    from target_stitch_import.toolbox.connect import ConnectApi  # noqa: PLC0415 - slow

    base_url = where.settings(needs_token=False).endpoint(USER_AGENT).base_url
    return ConnectApi(base_url, os.environ.get(CONNECT_TOKEN_VARIABLE, ""), USER_AGENT)


def _create(api: ConnectApi, source_id: int) -> NewToken:
    new = api.create_token(source_id)
    # Printed before anything else can fail, so that the user can revoke it.
    say(f"Token {new.shown_id} of source {source_id} is created.")
    return new


def _active_ids(api: ConnectApi, source_id: int) -> list[int]:
    return [each.token_id for each in api.tokens(source_id)]


def _require_room(where: ConnectionOptions, source_id: int, active_ids: list[int]) -> None:
    from target_stitch_import.errors import InputError  # noqa: PLC0415
    from target_stitch_import.toolbox.connect import MAX_TOKENS  # noqa: PLC0415 - slow to import

    if len(active_ids) >= MAX_TOKENS:
        raise InputError(
            f"Source {source_id} has {len(active_ids)} active tokens already, "
            f"{' and '.join(map(str, active_ids))}, and Stitch allows {MAX_TOKENS}. Revoke the one "
            f"that is not used: stitch-import token revoke {source_id} ID{where.options}"
        )


def _require_one(where: ConnectionOptions, source_id: int, active_ids: list[int]) -> None:
    from target_stitch_import.errors import InputError  # noqa: PLC0415

    if not active_ids:
        raise InputError(
            f"Source {source_id} has no active token to replace. Create one: stitch-import token "
            f"create {source_id}{where.options}"
        )


def _require_terminal(otherwise: str) -> None:
    """Raise ConfigurationError unless stdin is a terminal."""
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415

    if not (sys.stdin and sys.stdin.isatty()):
        raise ConfigurationError(
            f"This command asks for confirmation, but stdin is not a terminal: {otherwise}."
        )


def _document(found: Source) -> dict[str, Any]:
    """Return a source for `--json`."""
    return {
        "id": found.id,
        "name": found.name,
        "display_name": found.display_name,
        "state": found.state,
        "client_id": found.stitch_client_id,
        "created_at": found.created_at,
    }


def _table(sources: list[Source]) -> str:
    rows = [
        (str(each.id), each.name, each.display_name, each.state, each.created_at or "-")
        for each in sources
    ]
    return table(("ID", "SCHEMA", "NAME", "STATE", "CREATED"), rows)
