"""Reads settings from configuration files, the environment and `.env`; later sources win."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from target_stitch_import.config.table import SECRETS, Table, allowed_values, setting_names
from target_stitch_import.config.unknown import explain
from target_stitch_import.errors import ConfigurationError, quoted
from target_stitch_import.names import ENVIRONMENT_PREFIX, LOG_LEVEL_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_INLINE = re.compile(r"[{}\"=\n]")
"""Characters of any inline configuration, which hardly any file name contains."""


def read_config(paths: Sequence[str], warn: Callable[[str], None]) -> dict[str, Any]:
    """Return the configuration in files, or in the environment for `ENV`; later ones win.

    Args:
        paths: Names of files, or `ENV`.
        warn: Called with a message for each name that is not a setting.

    Raises:
        ConfigurationError: A source cannot be read, or is invalid.
    """
    config: dict[str, Any] = {}
    for path in paths:
        if path == "ENV":
            config |= from_environment(_environment(), warn)
        else:
            given = _read_file(path)
            config |= given
            known = setting_names()
            for name in given:
                if name not in known:
                    note = f"Unknown setting {quoted(name)} is ignored.{explain(name)}"
                    warn(note)
    return config


def from_environment(
    environment: Mapping[str, str], warn: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Return the configuration in `TARGET_STITCH_IMPORT_<SETTING>` variables.

    Raises:
        ConfigurationError: A value has the wrong type; the text names the variable.
    """
    hints = get_type_hints(Table)
    config: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        # With another `_` after the prefix, a variable is Meltano's own, such as `__DIALECT`.
        if name == variable or name.startswith("_") or variable == LOG_LEVEL_VARIABLE:
            continue
        setting = name.lower()
        if setting not in hints:
            note = f"Unknown environment variable {quoted(variable)} is ignored.{explain(setting)}"
            warn(note)
        elif text:
            config[setting] = _converted(variable, setting, text, hints[setting])
    return config


def _converted(variable: str, setting: str, text: str, hint: Any) -> Any:
    try:
        value = json.loads(text) if text.lstrip().startswith(("{", "[")) else text
        return msgspec.convert(value, hint, strict=False)
    except RecursionError:
        raise ConfigurationError(
            f"The environment variable {variable} is nested too deeply."
        ) from None
    except ValueError as error:
        if allowed := allowed_values(setting):
            why = f": it must be {allowed}"
        else:
            why = "" if setting in SECRETS else f": {error}"
        raise ConfigurationError(
            f"The environment variable {variable} cannot be used{why}."
        ) from None


def _read_file(path: str) -> dict[str, Any]:
    if _INLINE.search(path) and not _exists(path):
        raise ConfigurationError(
            "The configuration is on the command line, where other users can see it. Put it into "
            "a file that only you can read, and pass its name: --config FILE."
        )
    try:
        given = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"The configuration {quoted(path, mark='')} cannot be read: {error.strerror}."
        ) from None
    except RecursionError:
        raise ConfigurationError(
            f"The configuration {quoted(path, mark='')} is nested too deeply."
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            f"The configuration {quoted(path, mark='')} is not JSON: {_reason(error)}."
        ) from None
    if not isinstance(given, dict):
        raise ConfigurationError(f"The configuration {quoted(path, mark='')} is not a JSON object.")
    return given


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long for a path, or invalid
        return False


def _reason(error: ValueError) -> str:
    """Return what is wrong with a text, and where, without quoting any of it."""
    if isinstance(error, json.JSONDecodeError):
        message = error.msg[:1].lower() + error.msg[1:]
        return f"{message}, at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8, at byte {error.start + 1:,}"
    return "it contains a number that is too long"


def _environment() -> dict[str, str]:
    """Return the environment, with defaults from a `.env` file in the working directory."""
    environment = dict(os.environ)
    if Path(".env").is_file():
        from dotenv import dotenv_values  # noqa: PLC0415 - only where there is such a file

        try:
            saved = {name: value for name, value in dotenv_values(".env").items() if value}
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"The file .env is not UTF-8, at byte {error.start + 1:,}."
            ) from None
        except OSError as error:
            raise ConfigurationError(f"The file .env cannot be read: {error.strerror}.") from None
        environment = saved | environment
    return environment
