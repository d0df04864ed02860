"""The options of a write: those settings of the target that apply to a task, and the table's."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
from msgspec import Struct

from target_stitch_import.config.settings import Settings
from target_stitch_import.config.table import SECRETS
from target_stitch_import.errors import ConfigurationError, quoted
from target_stitch_import.limits import MAX_SEQUENCE
from target_stitch_import.names import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = (
    "token",
    "region",
    "api_url",
    "batch_size_rows",
    "batch_size_bytes",
    "max_in_flight_requests",
    "max_buffer_bytes",
    "request_timeout_seconds",
    "max_retry_seconds",
    "on_invalid_record",
    "dead_letter_path",
    "dead_letter_limit",
    "naive_datetimes",
    "load_method",
    "summary_path",
)
OF_TABLE = ("table", "key_names", "sequence_column", "table_version", "repairs")
REPAIRS = ("nan_to_null",)
OF_SPARK = ("checkpointlocation", "queryname")
"""Options of Spark itself that are passed to the data source too; ignored."""


class WriteOptions(Struct, frozen=True):
    """The options of one write; `settings` are those of the target."""

    table: str
    key_names: tuple[str, ...]
    sequence_column: str | None
    table_version: int | None
    repairs: tuple[str, ...]
    settings: Settings

    @classmethod
    def load(cls, given: Mapping[str, str], environment: Mapping[str, str]) -> WriteOptions:
        """Return the options in `given`, whose names Spark converts to lower case.

        Raises:
            ConfigurationError: An option is unknown, missing or invalid; the text names it.
        """
        known = (*SETTINGS, *OF_TABLE)
        for name in given:
            if name not in (*known, *OF_SPARK):
                raise ConfigurationError(_words_on_unknown(name, known))
        if not given.get("table"):
            raise ConfigurationError(
                'Option `table` is missing: name the table to load: .option("table", "orders").'
            )
        return cls(
            given["table"],
            _names(given.get("key_names", "")),
            given.get("sequence_column") or None,
            _version(given.get("table_version")),
            _repairs(given.get("repairs", "")),
            _settings(given, environment),
        )

    def check_columns(self, columns: tuple[str, ...]) -> None:
        """Check that the data has the columns that options name.

        Raises:
            ConfigurationError: A column is missing.
        """
        wanted = [("key_names", name) for name in self.key_names]
        if self.sequence_column:
            wanted.append(("sequence_column", self.sequence_column))
        for option, name in wanted:
            if name not in columns:
                shown = ", ".join(map(quoted, columns))
                raise ConfigurationError(
                    f"Option `{option}` names the column {quoted(name)}, which the data does not "
                    f"have. Its columns are {shown}."
                )

    def check_speculation(self) -> None:
        """Check the write for a cluster with `spark.speculation`, which runs some tasks twice.

        Raises:
            ConfigurationError: The table has no keys, so it would get those rows twice.
        """
        if not self.key_names:
            raise ConfigurationError(
                f"Table {quoted(self.table)} has no keys, and `spark.speculation` is on: a task "
                "that runs twice would load its rows twice. Set `spark.speculation` to false for "
                "this application, or set `key_names`."
            )

    def check_mode(self, *, overwrite: bool) -> None:
        """Check that the write can do what its mode says.

        Raises:
            ConfigurationError: The write overwrites, and there is no `table_version`.
        """
        if overwrite and self.table_version is None:
            raise ConfigurationError(
                'mode("overwrite") needs the option `table_version`, a number greater than the one '
                "before: the Import API overwrites a table only by activating a new version of "
                'it. Or use mode("append").'
            )


def _words_on_unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.6)
    if name == "path":
        return "The data source has no path: call save() without one, and name the `table`."
    if name in get_type_hints(Settings):
        return f"Option {quoted(name)} is a setting of the target that does not apply to Spark."
    hint = f"Is `{near[0]}` meant?" if near else f"Known options: {', '.join(known)}."
    return f"Option {quoted(name)} is not known. {hint}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    # Python refuses to convert thousands of digits.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SEQUENCE))
    if not (is_number and int(text) <= MAX_SEQUENCE):
        raise ConfigurationError(
            f"Option `table_version` must be a whole number from 0 to {MAX_SEQUENCE}."
        )
    return int(text)


def _repairs(text: str) -> tuple[str, ...]:
    repairs = _names(text)
    for name in repairs:
        if name not in REPAIRS:
            raise ConfigurationError(
                f"Option `repairs` cannot contain {quoted(name)}. Allowed: {', '.join(REPAIRS)}."
            )
    return repairs


def _settings(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    hints = get_type_hints(Settings)
    config: dict[str, Any] = {}
    for name in SETTINGS:
        if name not in given:
            continue
        try:
            config[name] = msgspec.convert(given[name], hints[name], strict=False)
        except ValueError as error:
            why = "" if name in SECRETS else f": {error}"
            raise ConfigurationError(f"Option `{name}` cannot be used{why}.") from None
    if config.get("region") == "local":
        raise ConfigurationError(
            "Option `region` cannot be `local`: tasks share no process that could serve them. "
            "Start `stitch-import serve`, and give its URL as `api_url`."
        )
    config.setdefault("token", environment.get(TOKEN_VARIABLE) or None)
    if config["token"] is None:
        raise ConfigurationError(
            f"The Import API access token is missing: set {TOKEN_VARIABLE} in the driver's "
            "environment, or the option `token` (Spark redacts it)."
        )
    return Settings.load(config)
