"""Applies the SDK's stream maps and flattening, as an optional stage in front of the pipeline.

Invariant: numbers stay exact. Records are parsed with decimals and written with `simplejson`, which
keeps their digits. What a map does not change keeps its value, but not its white space.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

import simplejson
from msgspec import Raw
from msgspec.structs import replace

from target_stitch_import.errors import ConfigurationError, assert_never, quoted
from target_stitch_import.names import LOGGER_NAME
from target_stitch_import.run.flattening import flattenable
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.sent import sent_schema
from target_stitch_import.singer.messages import (
    ActivateVersion,
    Event,
    MalformedRecord,
    MappedSchema,
    RecordFiles,
    RecordMessage,
    Records,
    Rows,
    Schema,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from singer_sdk.mapper import StreamMap

    from target_stitch_import.singer.origin import BatchFile

SETTINGS = (
    "stream_maps",
    "stream_map_config",
    "faker_config",
    "flattening_enabled",
    "flattening_max_depth",
    "flattening_max_key_length",
    "flattening_separator",
)


def is_wanted(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration needs the mapper; the SDK is imported only then."""
    return bool(config.get("stream_maps") or config.get("flattening_enabled"))


class StreamMapper:
    """Turns the tap's events into those of the mapped streams.

    Args:
        config: The settings named in `SETTINGS`, which have the same names in the SDK.

    Raises:
        ConfigurationError: The maps are invalid.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        from singer_sdk.exceptions import SingerSDKError  # noqa: PLC0415 - slow, rarely needed
        from singer_sdk.mapper import PluginMapper  # noqa: PLC0415

        try:
            self._mapper = PluginMapper(
                plugin_config={name: config[name] for name in SETTINGS if name in config},
                logger=logging.getLogger(LOGGER_NAME),
            )
        except SingerSDKError as error:
            raise ConfigurationError(
                f"Invalid stream maps or flattening settings: {error}"
            ) from None

    def map(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield the events of the mapped streams.

        Raises:
            ConfigurationError: A map cannot be applied to a schema.
        """
        for event in events:
            match event:
                case Schema():
                    yield from self._map_schema(event)
                case Records() | Rows():
                    yield from self._map_records(event)
                case MalformedRecord() | RecordFiles() if self._is_known(event.stream):
                    for stream_map in self._maps(event.stream):
                        yield from _renamed(event, stream_map)
                case ActivateVersion() if self._is_known(event.stream):
                    for stream_map in self._maps(event.stream):
                        yield replace(event, stream=stream_map.stream_alias)
                case ActivateVersion():
                    yield event  # until its SCHEMA, it waits under the tap's stream name
                case MalformedRecord() | RecordFiles() | MappedSchema() | State():
                    yield event
                case _:
                    assert_never(event)

    def _is_known(self, stream: str) -> bool:
        return stream in self._mapper.stream_maps

    def _maps(self, stream: str) -> Sequence[StreamMap]:
        from singer_sdk.mapper import RemoveRecordTransform  # noqa: PLC0415 - loaded by now

        maps: Sequence[StreamMap] = self._mapper.stream_maps.get(stream, ())
        return [each for each in maps if not isinstance(each, RemoveRecordTransform)]

    def _map_schema(self, event: Schema) -> Iterator[Event]:
        where = f"Line {event.line}: SCHEMA of stream {quoted(event.stream)}"
        schema = self._readable(event)
        if schema is None:
            yield event  # the pipeline reports the error
            return
        try:
            self._mapper.register_raw_stream_schema(
                event.stream, schema, list(event.key_properties)
            )
        except Exception as error:  # noqa: BLE001 - expressions can raise anything
            raise ConfigurationError(
                f"{where} cannot be mapped by `stream_maps`: {type(error).__name__}: {error}"
            ) from None
        for stream_map in self._maps(event.stream):
            columns = stream_map.transformed_schema
            bookmarks = [
                each for each in event.bookmark_properties if each in columns["properties"]
            ]
            yield Schema(
                event.line,
                stream_map.stream_alias,
                _as_json(columns),
                tuple(stream_map.transformed_key_properties or ()),
                tuple(bookmarks),
                is_map_output=True,
            )
        aliases = tuple(each.stream_alias for each in self._maps(event.stream))
        yield MappedSchema(event.line, event.stream, aliases)

    def _readable(self, event: Schema) -> dict[str, Any] | None:
        """Return a schema with what the SDK needs; None if it is invalid or has no properties."""
        try:
            read = read_schema(event.schema)
            text = sent_schema(event.schema, read, event.key_properties)
        except SchemaDefectError:
            return None
        schema: dict[str, Any] = simplejson.loads(text, use_decimal=True)
        if "properties" not in schema:
            return None
        options = self._mapper.flattening_options
        if options.enabled and options.max_level > 0:
            return flattenable(schema, read_schema(text).root, options.max_level)
        return schema

    def _map_records(self, event: Records | Rows) -> Iterator[Event]:
        """Yield the mapped records one by one, as filters skip lines, and copies repeat them."""
        event = event.records() if isinstance(event, Rows) else event
        for at, message in enumerate(event.messages):
            line = event.line + at
            if not self._is_known(message.stream):
                yield Records(line, [message], event.file)  # the pipeline reports the error
            for stream_map in self._maps(message.stream):
                mapped = _mapped(message, stream_map, line, event.file)
                if isinstance(mapped, MalformedRecord):
                    yield mapped
                elif mapped is not None:
                    yield Records(line, [mapped], event.file)


def _mapped(
    message: RecordMessage, stream_map: StreamMap, line: int, file: BatchFile | None
) -> RecordMessage | MalformedRecord | None:
    """Return the mapped record, None if the map drops it, or a `MalformedRecord` if it fails."""
    alias = stream_map.stream_alias
    try:
        record = simplejson.loads(bytes(message.record), use_decimal=True, allow_nan=False)
        if isinstance(record, dict):  # if not, validation reports it
            record = stream_map.transform(record)
            if record is None:
                return None
            message = replace(message, record=Raw(_as_json(record)))
        return replace(message, stream=alias)
    except Exception as error:  # noqa: BLE001 - expressions can raise anything
        detail = type(error.__cause__ or error).__name__
        reason = f"its stream map failed with {detail}"
        # The unmapped record is set aside, including what the map may be meant to hide.
        return MalformedRecord(
            line,
            alias,
            message.version,
            bytes(message.record),
            reason,
            file,
            mapped=False,
            time_extracted=message.time_extracted,
        )


def _renamed(event: MalformedRecord | RecordFiles, stream_map: StreamMap) -> Iterator[Event]:
    """Yield an event under its alias; a malformed record is mapped only if it was repaired."""
    if isinstance(event, RecordFiles):
        yield replace(event, stream=stream_map.stream_alias)
        return
    renamed = replace(event, stream=stream_map.stream_alias, mapped=False)
    if event.repaired_record is None:
        yield renamed
        return
    mapped = _mapped(event.repaired_record, stream_map, event.line, event.file)
    if isinstance(mapped, MalformedRecord):
        yield replace(mapped, text=event.text)
    elif mapped is not None:
        yield replace(renamed, repaired_record=mapped)


def _as_json(value: Any) -> bytes:
    """Return a value as JSON; a map may have made dates, but NaN and Infinity are refused."""
    text: str = simplejson.dumps(
        value,
        use_decimal=True,
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
        default=_iso_format,
    )
    return text.encode("utf-8", "surrogatepass")


def _iso_format(value: Any) -> str:
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    raise ValueError(f"a {type(value).__name__} is not JSON")
