"""The commands `status` and `check`: test whether the service is up, and the credentials."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from target_stitch_import.toolbox.common import (
    USER_AGENT,
    Result,
    answering,
    connecting,
    examples,
    quick_connection,
)

if TYPE_CHECKING:
    from target_stitch_import.toolbox.common import ConnectionOptions


@click.command(
    epilog=examples(
        "stitch-import status",
        "stitch-import status --region eu",
        "stitch-import status --api-url http://127.0.0.1:8087 --json",
    )
)
@connecting
@answering
def status(where: ConnectionOptions) -> Result:
    """Check whether the Import API is up.

    Needs no token. Exits with 0 if it is up, 69 if it is down or does not respond, and 76 if
    something else responds.
    """
    endpoint = where.settings(needs_token=False).endpoint(USER_AGENT)
    said = quick_connection(endpoint).status()
    document = {"url": endpoint.base_url, "healthy": True, "answer": _parsed(said)}
    return Result(document, f"The Import API at {endpoint.base_url} is up: {said}")


@click.command(
    epilog=examples(
        "stitch-import check -c config.json",
        "TARGET_STITCH_IMPORT_TOKEN=... stitch-import check -c ENV --region eu",
    )
)
@connecting
@answering
def check(where: ConnectionOptions) -> Result:
    """Test token, region and URL.

    Loads no data: it sends a request without records, and the error shows whether the Import API
    accepted the token. It also reports a token of the other region.
    """
    endpoint = where.settings().endpoint(USER_AGENT)
    quick_connection(endpoint).check()
    document = {"url": endpoint.base_url, "token_accepted": True}
    return Result(document, f"The token is valid for this region, at {endpoint.base_url}.")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
