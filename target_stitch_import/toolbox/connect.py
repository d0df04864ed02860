"""`source` and `token`: Import API sources and their access tokens, through Stitch Connect."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

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
    from target_stitch_import.connect import ConnectApi, NewToken, Source
    from target_stitch_import.toolbox.common import Where

_ID = click.IntRange(1)


@click.group()
def source() -> None:
    """Create and show Import API sources.

    The Connect API token is taken from the environment variable STITCH_CONNECT_TOKEN.
    """


@click.group()
def token() -> None:
    """Create, list, revoke and rotate access tokens.

    They are the tokens that `target-stitch-import` writes with. A source has at most two active
    ones. The Connect API token is taken from the environment variable STITCH_CONNECT_TOKEN.
    """


@source.command(epilog=examples('stitch-import source create "Import API"'))
@click.argument("display_name", metavar="NAME")
@connecting
@answering
def create(where: Where, display_name: str) -> Result:
    """Create an Import API source.

    Its tables land in a schema with a name made from NAME: `Import API` becomes `import_api`.
    """
    created = _connect(where).create_source(display_name)
    say(f"Create a token for it: stitch-import token create {created.id}")
    return Result(_document(created), _table([created]))


@source.command(
    "show",
    epilog=examples("stitch-import source show", "stitch-import source show 126890 --json"),
)
@click.argument("source_id", metavar="[ID]", required=False, type=_ID)
@connecting
@answering
def show_sources(where: Where, source_id: int | None) -> Result:
    """Show one source, or all Import API sources of the account that are not deleted."""
    from target_stitch_import.connect import SOURCE_TYPE  # noqa: PLC0415 - slow to import

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
def list_tokens(where: Where, source_id: int) -> Result:
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
def create_token(where: Where, source_id: int) -> Result:
    """Create an access token, and show it on stdout.

    It is shown this once: Stitch keeps it from then on to itself.
    """
    api = _connect(where)
    _require_room(source_id, _active(api, source_id))
    new = _created(api, source_id)
    say("The token on stdout is shown this once: store it now.")
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
@click.option("--yes", is_flag=True, help="Do not ask.")
@connecting
@answering
def revoke(where: Where, source_id: int, token_id: int, *, yes: bool) -> Result:
    """Revoke an access token, named by its ID.

    Whoever still uses it is refused with 401 from then on.
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
    help="Gets the new token on its stdin and puts it in place; no shell is involved.",
)
@connecting
@answering
def rotate(where: Where, source_id: int, deploy: str | None) -> Result | None:
    """Replace the access token of a source without an interruption.

    Creates a second token and shows it once, on stdout; asks whether it is deployed; and then
    revokes the first. Until you say so, both are good.

    In scripts, --deploy takes the place of the question. The first token is revoked when COMMAND
    ends with status 0; otherwise the new one is revoked, so that all is as it was.
    """
    if deploy is None:
        if click.get_current_context().params["as_json"]:
            raise click.UsageError("--json needs --deploy here, as nobody can be asked.")
        _require_terminal("give --deploy COMMAND")
    api = _connect(where)
    tokens = _active(api, source_id)
    _require_room(source_id, tokens)
    _require_one(source_id, tokens)
    (old_id,) = tokens
    new = _created(api, source_id)
    if deploy is not None:
        _deploy(api, source_id, new, deploy)
        api.revoke_token(source_id, old_id)
        document = {"source_id": source_id, "id": new.id, "revoked_id": old_id}
        return Result(document, f"Token {old_id} is revoked.")
    _rotate_by_hand(api, source_id, new, old_id)
    return None


def _rotate_by_hand(api: ConnectApi, source_id: int, new: NewToken, old_id: int) -> None:
    later = (
        f"Token {old_id} stays active. Once the new one is deployed: "
        f"stitch-import token revoke {source_id} {old_id}"
    )
    try:
        show(new.access_token)
        say("It is shown this once. Put it in place wherever the old one is used, then answer.")
        deployed = click.confirm(f"Is it deployed? Then token {old_id} is revoked", err=True)
    except click.Abort:
        say(f"\n{later}")
        raise
    if not deployed:
        say(later)
        return
    api.revoke_token(source_id, old_id)
    say(f"Token {old_id} is revoked. What was refused on its way: send it again.")


def _deploy(api: ConnectApi, source_id: int, new: NewToken, command: str) -> None:
    """Hand the new token to `command`; if that fails, revoke it. Raises InputError."""
    from target_stitch_import.errors import InputError  # noqa: PLC0415

    try:
        # Its stdout goes to stderr, so that stdout holds the answer alone.
        done = subprocess.run(  # noqa: S603 - the user's own command, as it was given
            shlex.split(command), input=new.access_token.encode(), stdout=2, check=False
        )
        problem = f"ended with status {done.returncode}" if done.returncode else ""
    except (OSError, ValueError) as error:
        problem = f"cannot be run: {error}"
    if not problem:
        return
    if new.id is None:
        left = "The new token's ID is not known: revoke it in Stitch"
    else:
        api.revoke_token(source_id, new.id)
        left = f"The new token {new.id} is revoked again"
    raise InputError(f"The command of --deploy {problem}. {left}; the old one stays active.")


def _connect(where: Where) -> ConnectApi:
    from target_stitch_import.connect import TOKEN_VARIABLE, ConnectApi  # noqa: PLC0415 - slow

    base_url = where.settings(needs_token=False).endpoint(USER_AGENT).base_url
    return ConnectApi(base_url, os.environ.get(TOKEN_VARIABLE, ""), USER_AGENT)


def _created(api: ConnectApi, source_id: int) -> NewToken:
    new = api.create_token(source_id)
    # Said before anything else can go wrong, so that it can be revoked.
    say(f"Token {'of unknown ID' if new.id is None else new.id} of source {source_id} is created.")
    return new


def _active(api: ConnectApi, source_id: int) -> list[int]:
    return [each.token_id for each in api.tokens(source_id)]


def _require_room(source_id: int, tokens: list[int]) -> None:
    from target_stitch_import.connect import MAX_TOKENS  # noqa: PLC0415 - slow to import
    from target_stitch_import.errors import InputError  # noqa: PLC0415

    if len(tokens) >= MAX_TOKENS:
        raise InputError(
            f"Source {source_id} has {len(tokens)} active tokens already, "
            f"{' and '.join(map(str, tokens))}, and Stitch allows {MAX_TOKENS}. Revoke the one "
            f"that is not used: stitch-import token revoke {source_id} ID"
        )


def _require_one(source_id: int, tokens: list[int]) -> None:
    from target_stitch_import.errors import InputError  # noqa: PLC0415

    if not tokens:
        raise InputError(
            f"Source {source_id} has no active token that could be replaced. Create one: "
            f"stitch-import token create {source_id}"
        )


def _require_terminal(otherwise: str) -> None:
    """See that somebody can be asked. Raises ConfigurationError."""
    from target_stitch_import.errors import ConfigurationError  # noqa: PLC0415

    if not (sys.stdin and sys.stdin.isatty()):
        raise ConfigurationError(
            f"This asks before it goes on, and stdin is no terminal: {otherwise}."
        )


def _document(found: Source) -> dict[str, Any]:
    """Return what is known of a source; its properties, which may hold secrets, are not."""
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
