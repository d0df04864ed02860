"""A stream as one SCHEMA message describes it: the check of its records, and how bodies begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from target_stitch_import.batching.payload import BodyPrefix
from target_stitch_import.errors import InputError, quoted
from target_stitch_import.schema.advice import Advice, advice
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import ReadSchema, SchemaDefectError, read_schema
from target_stitch_import.schema.quick_checks import AcceptAll, quick_check
from target_stitch_import.schema.sent import sent_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.schema.compiled import QuickCheck
    from target_stitch_import.schema.node import Node
    from target_stitch_import.singer.messages import Schema


_NOT_FOR_KEYS = frozenset({"object", "array", "null"})
"""Types whose values cannot be keys."""


class StreamRules(Struct, frozen=True):
    """The user's settings for all streams; `append_only` means `load_method: append-only`."""

    validate_records: bool
    naive_datetimes: str
    repairs: tuple[str, ...]
    append_only: bool
    table_prefix: str


class Stream:
    """A stream as one SCHEMA message describes it. Reading a large schema takes a second.

    Raises:
        InputError: The Import API would refuse the schema or the keys.
        InterruptedRunError: Raised by `check_interrupt`.
    """

    def __init__(
        self,
        message: Schema,
        rules: StreamRules,
        schemas: RecentSchemas,
        check_interrupt: Callable[[], None],
    ) -> None:
        if not message.stream:
            raise InputError(f"Line {message.line}: SCHEMA has an empty stream name.")
        self.name = message.stream
        self._table_name = rules.table_prefix + message.stream
        self._message = message
        self._prefix: tuple[int | None, BodyPrefix] | None = None
        self.key_names = () if rules.append_only else message.key_properties
        known = self._cached(schemas)
        read = known.schema
        check_interrupt()
        self._refuse_unsatisfiable(read.root)
        self._sent = self._completed(read)
        """The schema as it is sent."""
        self.advice = [
            Advice(text, tuple(map(quoted, places))) for text, places in read.warnings.items()
        ]
        self.advice += advice(self._table_name, self.key_names, read.root)
        check_interrupt()
        quick: QuickCheck = AcceptAll()
        if rules.validate_records:
            quick = known.quick_check(self.key_names)
        self.check = RecordCheck(
            read.root,
            self.key_names,
            naive_datetimes=rules.naive_datetimes,
            repairs=rules.repairs,
            # 0 stands for any 64-bit version: `_ENVELOPE_BYTES` has room for its digits.
            max_record_bytes=self.prefix(0).max_record_bytes,
            quick=quick,
        )

    @property
    def _where(self) -> str:
        return f"Line {self._message.line}: SCHEMA of stream {quoted(self.name)}"

    def _cached(self, schemas: RecentSchemas) -> _CachedSchema:
        try:
            return schemas.read(self._message.schema)
        except SchemaDefectError as defect:
            raise InputError(_defect_words(self._where, defect)) from None

    def _refuse_unsatisfiable(self, root: Node) -> None:
        """Raise `InputError` for a schema that no record can satisfy."""
        defect = None
        if "object" not in root.types:
            defect = SchemaDefectError(
                f"{root.place}/type", "no record fits it, because records are objects"
            )
        for key in self.key_names:
            if key in root.properties and root.properties[key].types <= _NOT_FOR_KEYS:
                defect = SchemaDefectError(
                    f"{root.properties[key].place}/type",
                    "no record fits it, because a key property is a string, a number or a boolean",
                )
        if defect:
            raise InputError(_defect_words(self._where, defect))

    def _completed(self, read: ReadSchema) -> bytes:
        """Return the schema's text with everything that the Import API requires."""
        keys = self._message.key_properties
        if not (read.has_properties or keys):
            raise InputError(
                f"{self._where} has neither `properties` nor a key: the Import API needs columns."
            )
        try:
            return sent_schema(self._message.schema, read, keys)
        except SchemaDefectError as defect:
            raise InputError(_defect_words(self._where, defect)) from None

    def prefix(self, version: int | None) -> BodyPrefix:
        """Return the beginning of this stream's bodies for records of `version`."""
        if self._prefix is None or self._prefix[0] != version:
            # Only the newest prefix is kept: versions follow each other, and batches keep theirs.
            prefix = BodyPrefix.of(
                self._table_name,
                self._sent,
                self.key_names,
                version,
                self._message.bookmark_properties,
            )
            self._prefix = (version, prefix)
        return self._prefix[1]

    def is_described_by(self, message: Schema) -> bool:
        """Return whether `message` differs at most in white space and the order of members."""
        mine = self._message
        if (mine.key_properties, mine.bookmark_properties) != (
            message.key_properties,
            message.bookmark_properties,
        ):
            return False
        return mine.schema == message.schema or _canonical(mine.schema) == _canonical(
            message.schema
        )


def _defect_words(where: str, defect: SchemaDefectError) -> str:
    return f"{where} is not a schema that the Import API accepts: {defect}."


class _CachedSchema:
    """A schema that was read once, with its quick check for each list of keys."""

    def __init__(self, text: bytes) -> None:
        self.schema = read_schema(text)
        self._checks: dict[tuple[str, ...], QuickCheck] = {}

    def quick_check(self, keys: tuple[str, ...]) -> QuickCheck:
        """Return the quick check for records with these keys."""
        if keys not in self._checks:
            self._checks[keys] = quick_check(self.schema.root, keys)
        return self._checks[keys]


class RecentSchemas:
    """A cache of the latest schemas of a run: sharded tables are many streams with the same schema.

    It is bounded by the size of the schemas' texts; its memory is about twenty times that size.
    """

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._cached: dict[bytes, _CachedSchema] = {}

    def read(self, text: bytes) -> _CachedSchema:
        """Return the schema with this text, reading it if it is not in the cache.

        Raises:
            SchemaDefectError: See `read_schema`.
        """
        found = self._cached.pop(text, None)
        if found is None:
            found = _CachedSchema(text)
            self._bytes += len(text)
        self._cached[text] = found  # moved to the end, as the latest one
        while self._bytes > self._max_bytes:
            oldest = next(iter(self._cached))
            del self._cached[oldest]
            self._bytes -= len(oldest)
        return found


def _canonical(schema: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(schema), order="deterministic")
    except (ValueError, RecursionError):
        return schema
