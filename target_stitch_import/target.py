"""The target as a `singer_sdk.Target`: settings, `--about`, and the SDK's own test suite.

Records do not pass through the SDK: its extension point is the message reader, and `RunReader`
drives a whole run.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk import Target
from singer_sdk.exceptions import (
    ConfigValidationError,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from target_stitch_import.about import about, capabilities
from target_stitch_import.app import RunOptions, run_target
from target_stitch_import.cli import command
from target_stitch_import.config.settings import Settings
from target_stitch_import.config.table import json_schema
from target_stitch_import.errors import (
    ConfigurationError,
    InputError,
    KeyMissingError,
    StreamUnknownError,
)
from target_stitch_import.names import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.helpers.capabilities import CapabilitiesEnum


class RunReader(GenericSingerReader[bytes]):
    """Processes the whole input as one run, instead of reading single messages."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    @property
    def default_input(self) -> IO[bytes]:
        """Stdin, as bytes."""
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        """Raise NotImplementedError: messages are not read one by one."""
        raise NotImplementedError(line)

    def process_lines(
        self,
        file_input: IO[Any] | None,
        callbacks: dict[str, Callable[[dict[str, Any]], None]],  # noqa: ARG002
    ) -> Counter[str]:
        """Deliver everything in `file_input`; raise the SDK's own exceptions where it has them."""
        source = file_input or self.default_input
        try:
            lines = run_target(self._settings, RunOptions(), source, sys.stdout.buffer)
        except InputError as error:
            raise _SDK_ERRORS.get(type(error), type(error))(str(error)) from error
        return Counter({"lines": lines})


class _RecordsWithoutSchemaError(RecordsWithoutSchemaException, StreamUnknownError):
    pass


class _MissingKeyPropertiesError(MissingKeyPropertiesError, KeyMissingError):
    pass


_SDK_ERRORS: dict[type[InputError], type[InputError]] = {
    StreamUnknownError: _RecordsWithoutSchemaError,
    KeyMissingError: _MissingKeyPropertiesError,
}


class TargetStitchImport(Target):
    """Singer target for Stitch's Import API."""

    name = DISTRIBUTION
    config_jsonschema: ClassVar[dict[str, Any]] = json_schema()
    capabilities: ClassVar[list[CapabilitiesEnum]] = capabilities()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.message_reader = RunReader(self._settings)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings as the command line does."""
        try:
            self._settings = Settings.load(self.config)
        except ConfigurationError as error:
            if raise_errors:
                raise ConfigValidationError(
                    str(error), errors=[str(error)], schema=self.config_jsonschema
                ) from None
            return [str(error)]
        return []

    def _setup_signal_handlers(self) -> None:
        """Do nothing: a run sets its own handlers, which only set a flag."""

    def process_endofpipe(self) -> None:
        """Do nothing: a run has delivered everything when it returns."""

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Add nothing: the settings table is complete."""

    @classmethod
    def print_about(cls, output_format: str | None = None) -> None:
        """Print what the command line prints."""
        click.echo(about(output_format))

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the command line of `target-stitch-import`."""
        return command
