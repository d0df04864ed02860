"""Checks on the values of settings that their types cannot express."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from target_stitch_import.endpoints import is_loopback
from target_stitch_import.errors import ConfigurationError

_MAX_DIGITS = 19


def check_json(name: str, value: Any) -> None:
    """Check that a value can be written as JSON.

    Raises:
        ConfigurationError: It contains an unpaired surrogate, or is nested too deeply.
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
    """Check that a file can have this path.

    Raises:
        ConfigurationError: No file can have this path; the text does not repeat the path.
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
    """Check that the client ID is a positive integer, of at most 19 digits.

    Raises:
        ConfigurationError: It is not.
    """
    given = str(client_id)
    # Python refuses to convert thousands of digits.
    is_number = given.isascii() and given.isdigit() and len(given) <= _MAX_DIGITS
    if not (is_number and given.strip("0")):
        raise ConfigurationError(
            "Setting `client_id` must be a positive integer: the number after `/client/` in the "
            "URL of your Stitch account."
        )


def is_token(text: str) -> bool:
    """Return whether a text can be an access token: visible ASCII characters, without spaces."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def check_token(token: str) -> None:
    """Check that a text can be a token.

    Raises:
        ConfigurationError: It is empty, or contains characters that no token has.
    """
    if not is_token(token):
        raise ConfigurationError(
            "Setting `token` is empty, or contains a space, a line break or another character "
            "that is not valid in a token. Copy the token again."
        )


def check_url(name: str, url: str) -> None:
    """Check that requests can be sent to a URL, and that the token would be encrypted.

    Raises:
        ConfigurationError: It is not a URL, contains credentials, or is `http` to another machine.
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
