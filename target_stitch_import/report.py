"""What a run tells people: the log while it runs, and a summary at its end."""

from __future__ import annotations

import logging
import logging.config
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from target_stitch_import.errors import ConfigurationError, OutputError, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_stitch_import.payload import Batch
    from target_stitch_import.pipeline import Counts, Notice
    from target_stitch_import.sender import Traffic

LOGGER_NAME = "target-stitch-import"
_LOGGER = logging.getLogger(LOGGER_NAME)


def set_up_logging(environment: Mapping[str, str], *, verbose: bool, quiet: bool) -> None:
    """Log to stderr, in the form and at the level that the SDK's plugins use."""
    level = environment.get("TARGET_STITCH_IMPORT_LOGLEVEL") or environment.get("LOGLEVEL") or ""
    if verbose or quiet:
        level = "DEBUG" if verbose else "WARNING"
    logging.basicConfig(
        format="%(asctime)s | %(levelname)-8s | %(name)s | %(message)s",
        level=getattr(logging, level.upper(), logging.INFO),
    )
    # It would log what we report ourselves, and with tracebacks.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    if path := environment.get("SINGER_SDK_LOG_CONFIG"):
        _configure_logging(path)


def _configure_logging(path: str) -> None:
    """Take a logging configuration as the SDK does: Meltano asks for structured lines with it."""
    import yaml  # noqa: PLC0415 - only where there is such a file

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - one call is enough
            logging.config.dictConfig(yaml.safe_load(file))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"The logging configuration {path} (SINGER_SDK_LOG_CONFIG) cannot be used: {error}."
        ) from None


@dataclass(slots=True)
class _Delivered:
    batches: int = 0
    bytes: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None


class OutputFile:
    """Saves the request bodies that were delivered, one a line; only its owner may read it."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "wb")
        except OSError as error:
            raise OutputError(
                f"The output file {path} cannot be written: {error.strerror}."
            ) from None

    def write(self, body: bytes) -> None:
        """Append one body."""
        try:
            self._file.write(body + b"\n")
        except OSError as error:
            raise OutputError(
                f"The output file {self._path} cannot be written: {error.strerror}."
            ) from None

    def close(self) -> None:
        """Write what is still in memory."""
        try:
            self._file.close()
        except OSError as error:
            raise OutputError(
                f"The output file {self._path} cannot be written: {error.strerror}."
            ) from None


@dataclass(slots=True)
class Reporter:
    """Hears what happens in a run, and tells it."""

    output: OutputFile | None = None
    _started: float = field(default_factory=time.monotonic)
    _delivered: dict[str, _Delivered] = field(default_factory=dict)

    def notice(self, notice: Notice) -> None:
        """Log a warning about a stream."""
        _LOGGER.warning("Stream %s: %s", quoted(notice.stream), notice.text)

    def trouble(self, text: str) -> None:
        """Log trouble on the way to the service; from any thread."""
        _LOGGER.warning("%s", text)

    def delivered(self, part: Batch) -> None:
        """Count what was acknowledged, and save it where that was asked for."""
        entry = self._delivered.setdefault(part.stream, _Delivered())
        entry.batches += 1
        entry.bytes += part.size
        first = part.spans[0].sequence
        last = part.spans[-1].sequence + part.spans[-1].count - 1
        entry.first_sequence = min(first, entry.first_sequence or first)
        entry.last_sequence = max(last, entry.last_sequence or last)
        _LOGGER.debug(
            "Stream %s: %d messages in %d bytes acknowledged",
            quoted(part.stream),
            part.count,
            part.size,
        )
        if self.output:
            self.output.write(part.body)

    def summary(
        self,
        counts: Mapping[str, Counts],
        traffic: Traffic,
        *,
        exit_status: int,
        error: str | None,
        last_state: bytes | None,
    ) -> dict[str, Any]:
        """Return what the run did, as JSON values; the last state is the tap's own text."""
        seconds = time.monotonic() - self._started
        streams = {}
        for stream, count in counts.items():
            entry = asdict(self._delivered.get(stream, _Delivered()))
            streams[stream] = {
                "read": count.read,
                "acknowledged": count.acknowledged,
                "set_aside": count.set_aside,
                **entry,
            }
        return {
            "exit_status": exit_status,
            "error": error,
            "seconds": round(seconds, 3),
            "streams": streams,
            **asdict(traffic),
            "last_state": None if last_state is None else Raw(last_state),
        }


def log_summary(summary: Mapping[str, Any]) -> None:
    """Tell people what the run did."""
    streams = summary["streams"]
    for stream, entry in streams.items():
        _LOGGER.info(
            "Stream %s: %d read, %d acknowledged, %d set aside, in %d batches",
            quoted(stream),
            entry["read"],
            entry["acknowledged"],
            entry["set_aside"],
            entry["batches"],
        )
    acknowledged = sum(entry["acknowledged"] for entry in streams.values())
    seconds = summary["seconds"]
    _LOGGER.info(
        "%d messages acknowledged in %.1f s, %.0f a second; %d requests, %d of them repeated",
        acknowledged,
        seconds,
        acknowledged / seconds if seconds else 0,
        summary["requests"],
        summary["retries"],
    )


def write_summary(path: str, summary: Mapping[str, Any]) -> None:
    """Write the summary as JSON; only its owner may read it.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    except OSError as error:
        raise OutputError(f"The summary {path} cannot be written: {error.strerror}.") from None
