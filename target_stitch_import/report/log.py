"""Sets up the log: on stderr in the format of the SDK's plugins, or as configured."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from target_stitch_import.errors import ConfigurationError, TargetError, quoted
from target_stitch_import.files import Files, FileUse
from target_stitch_import.names import LOG_LEVEL_VARIABLE, LOGGER_NAME
from target_stitch_import.report.terminal import Terminal, wants_live_line

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_FORMAT = "%(asctime)s | %(levelname)-8s | %(name)s | %(message)s"
"""The format of the SDK's plugins."""
_CONFIGURATION = "the logging configuration"


def set_up_logging(
    environment: Mapping[str, str], *, verbose: bool, quiet: bool
) -> Terminal | None:
    """Log to stderr, in the format and at the level of the SDK's plugins.

    Returns:
        The terminal for a live line, or None if there is to be none.

    Raises:
        ConfigurationError: The logging configuration that the environment names cannot be used.
    """
    named = environment.get(LOG_LEVEL_VARIABLE) or environment.get("LOGLEVEL") or ""
    if verbose or quiet:
        named = "DEBUG" if verbose else "WARNING"
    level = getattr(logging, named.upper(), logging.INFO)
    path = environment.get("SINGER_SDK_LOG_CONFIG")
    terminal = None
    # No live line with another log level or a logging configuration.
    if level == logging.INFO and not path and wants_live_line(sys.stderr, environment):
        terminal = Terminal(sys.stderr)
    logging.basicConfig(
        format=LOG_FORMAT,
        level=level,
        handlers=[terminal or logging.StreamHandler()],
    )
    silence_urllib3()
    if path:
        _configure(path)
    return terminal


def silence_urllib3() -> None:
    """Let `urllib3` log nothing: it would log failures with tracebacks that are reported anyway."""
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)


def _configure(path: str) -> None:
    """Apply a logging configuration like the SDK: Meltano uses it to get structured lines.

    Existing loggers are disabled only if the configuration says so.
    """
    # Imported only if there is such a file.
    import logging.config  # noqa: PLC0415

    import yaml  # noqa: PLC0415

    Files([FileUse(_CONFIGURATION, path, must_be_regular=True)]).check()
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - one call is enough
            given = yaml.safe_load(file)
        if not isinstance(given, dict):
            raise TypeError("it is not a mapping")  # noqa: TRY301 - reported like the others
        logging.config.dictConfig({"disable_existing_loggers": False} | given)
    except Exception as error:  # noqa: BLE001 - it can name classes that raise anything
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ConfigurationError(
            f"The logging configuration {quoted(path, mark='')} (SINGER_SDK_LOG_CONFIG) cannot be "
            f"used: {quoted(reason, mark='', limit=400)}."
        ) from None


def log_failure(error: TargetError) -> None:
    """Log the error that ends the program, or print it to stderr if the log takes no errors."""
    logger = logging.getLogger(LOGGER_NAME)
    if logger.isEnabledFor(logging.ERROR):
        logger.error("%s", error)
    else:
        print(error, file=sys.stderr)  # noqa: T201 - the log is silent


def log_files(environment: Mapping[str, str]) -> list[FileUse]:
    """Return the files of the log: its configuration, and the files that it is written to."""
    handlers = (*logging.getLogger().handlers, *logging.getLogger(LOGGER_NAME).handlers)
    paths = [each.baseFilename for each in handlers if isinstance(each, logging.FileHandler)]
    uses = [FileUse("the log", path, is_output_stream=True) for path in paths]
    if path := environment.get("SINGER_SDK_LOG_CONFIG"):
        uses.append(FileUse(_CONFIGURATION, path))
    return uses
