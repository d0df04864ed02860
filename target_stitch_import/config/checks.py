"""What a setting's value must be beyond its type."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from target_stitch_import.errors import ConfigurationError
from target_stitch_import.run.http import is_loopback


def check_text(name: str, value: Any) -> None:
    """Refuse a value that cannot be written as JSON, however it was read.

    Raises:
        ConfigurationError: It holds half a surrogate pair, or is nested too deeply.
    """
    try:
        msgspec.json.encode(value)
    except UnicodeError:
        raise ConfigurationError(
            f"Setting `{name}` contains an unpaired surrogate, such as \\ud800, which is not "
            "a character."
        ) from None
    except RecursionError:
        raise ConfigurationError(f"Setting `{name}` is nested too deeply.") from None


def check_path(name: str, path: str) -> None:
    """Refuse what no file can be called.

    Raises:
        ConfigurationError: It is no name of a file; the text does not repeat it.
    """
    try:
        is_name = b"\0" not in os.fsencode(path)
    except UnicodeError:
        is_name = False
    if not is_name:
        raise ConfigurationError(
            f"Setting `{name}` contains a character that is not allowed in file names, such as "
            "U+0000."
        )


def check_client_id(client_id: int | str) -> None:
    """Refuse what is no positive integer.

    Raises:
        ConfigurationError: It is none.
    """
    given = str(client_id)
    if not (given.isascii() and given.isdigit() and given.strip("0")):
        raise ConfigurationError("Setting `client_id` must be an integer above 0, or digits.")


def check_token(token: str) -> None:
    """Refuse what cannot be a token.

    Raises:
        ConfigurationError: It has characters that no token has.
    """
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        raise ConfigurationError(
            "Setting `token` is empty, or contains a space, a line break or another character "
            "that is not valid in a token. Copy the token again."
        )


def check_url(name: str, url: str) -> None:
    """Refuse a URL that no request can go to, or that would show the token on the way.

    Raises:
        ConfigurationError: It is none, or not `https` and not of this machine.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
        requests.Request("POST", url).prepare()
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except (ValueError, requests.RequestException):
        is_url = False
    if not is_url:
        raise ConfigurationError(
            f"Setting `{name}` must be a URL such as https://api.stitchdata.com."
        )
    if parts.username or parts.password:
        raise ConfigurationError(f"Setting `{name}` must not contain a user name or password.")
    if parts.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(
            f"Setting `{name}` must start with https://: otherwise the token would be sent "
            "unencrypted. `http` is allowed only for the local machine."
        )
