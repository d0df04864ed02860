"""What one SCHEMA message means: how bodies open, and what a record must be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from target_stitch_import.batching.payload import BodyPrefix
from target_stitch_import.errors import InputError, quoted
from target_stitch_import.schema.advice import Advice, advice
from target_stitch_import.schema.checks import NothingToCheck, RecordCheck, quick_check
from target_stitch_import.schema.draft4 import ReadSchema, SchemaDefectError, read_schema

if TYPE_CHECKING:
    from target_stitch_import.schema.compiled import QuickCheck
    from target_stitch_import.schema.node import Node
    from target_stitch_import.singer.messages import Schema


@dataclass(frozen=True, slots=True)
class StreamRules:
    """What the user decided about all streams; the names are those of the settings."""

    validate_records: bool = True
    naive_datetimes: str = "utc"
    append_only: bool = False


class Stream:
    """A stream as its latest SCHEMA describes it.

    Raises:
        InputError: The Import API would refuse the schema or the keys.
    """

    def __init__(self, message: Schema, rules: StreamRules) -> None:
        self.name = message.stream
        self._message = message
        self._prefix: tuple[int | None, BodyPrefix] | None = None
        self.key_names = () if rules.append_only else message.key_properties
        self.advice: list[Advice] = []
        schema = self._read()
        quick: QuickCheck = NothingToCheck()
        if rules.validate_records:
            quick = _quick_check(message.schema, self.key_names)
        self.check = RecordCheck(
            schema,
            self.key_names,
            naive_datetimes=rules.naive_datetimes,
            max_record_bytes=self.prefix(0).max_record_bytes,
            quick=quick,
        )

    def _read(self) -> Node:
        where = f"Line {self._message.line}: SCHEMA of stream {quoted(self.name)}"
        if not self.name:
            raise InputError(f"Line {self._message.line}: SCHEMA has an empty stream name.")
        try:
            read = _read_schema(self._message.schema)
        except SchemaDefectError as defect:
            raise InputError(f"{where} is no schema that the Import API takes: {defect}.") from None
        properties = read.root.properties
        if not properties:
            raise InputError(f"{where} has no `properties`: the Import API needs the columns.")
        for key in self.key_names:
            if key not in properties:
                raise InputError(
                    f"{where} has the key property {quoted(key)}, which is not among its "
                    "`properties`; the Import API takes keys from there alone."
                )
        self.advice = [
            Advice(text, tuple(map(quoted, places))) for text, places in read.warnings.items()
        ]
        self.advice += advice(self.name, self.key_names, read.root)
        return read.root

    def prefix(self, version: int | None) -> BodyPrefix:
        """Return how this stream's bodies open for records of `version`."""
        if self._prefix is None or self._prefix[0] != version:
            # The newest alone: versions come one after the other, and batches hold their own.
            prefix = BodyPrefix.of(
                self.name,
                self._message.schema,
                self.key_names,
                version,
                self._message.bookmark_properties,
            )
            self._prefix = (version, prefix)
        return self._prefix[1]

    def is_described_by(self, message: Schema) -> bool:
        """Tell whether `message` says nothing new, but for spacing and the order of members."""
        mine = self._message
        if (mine.key_properties, mine.bookmark_properties) != (
            message.key_properties,
            message.bookmark_properties,
        ):
            return False
        return mine.schema == message.schema or _canonical(mine.schema) == _canonical(
            message.schema
        )


# Shards and tenants come as many streams of one schema. What is made of one takes half a
# millisecond and 25 kB.


@lru_cache(maxsize=64)
def _read_schema(schema: bytes) -> ReadSchema:
    return read_schema(schema)


@lru_cache(maxsize=64)
def _quick_check(schema: bytes, keys: tuple[str, ...]) -> QuickCheck:
    return quick_check(_read_schema(schema).root, keys)


def _canonical(schema: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(schema), order="deterministic")
    except (ValueError, RecursionError):
        return schema
