"""What one SCHEMA message means: how bodies open, and what a record must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from target_stitch_import.batching.payload import BodyPrefix
from target_stitch_import.errors import InputError, quoted
from target_stitch_import.schema.advice import Advice, advice
from target_stitch_import.schema.checks import AcceptAll, RecordCheck, quick_check
from target_stitch_import.schema.draft4 import ReadSchema, SchemaDefectError, read_schema
from target_stitch_import.schema.sent import sent_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.schema.compiled import QuickCheck
    from target_stitch_import.schema.node import Node
    from target_stitch_import.singer.messages import Schema


NO_KEYS = frozenset({"object", "array", "null"})
"""Types whose values cannot be keys."""


class StreamRules(Struct, frozen=True):
    """What the user decided about all streams; `append_only` is `load_method: append-only`."""

    validate_records: bool
    naive_datetimes: str
    repairs: tuple[str, ...]
    append_only: bool
    table_prefix: str


class Stream:
    """A stream as its latest SCHEMA describes it; large ones take a second to read.

    Raises:
        InputError: The Import API would refuse the schema or the keys.
        InterruptedRunError: `look_around` raised it.
    """

    def __init__(
        self,
        message: Schema,
        rules: StreamRules,
        schemas: RecentSchemas,
        look_around: Callable[[], None],
    ) -> None:
        self.name = message.stream
        self._table_name = rules.table_prefix + message.stream
        self._message = message
        self._prefix: tuple[int | None, BodyPrefix] | None = None
        self.key_names = () if rules.append_only else message.key_properties
        known = self._cached(schemas)
        read = known.schema
        look_around()
        self._refuse_what_fits_nothing(read.root)
        self._sent = self._completed(read)
        """The schema as it goes out."""
        self.advice = [
            Advice(text, tuple(map(quoted, places))) for text, places in read.warnings.items()
        ]
        self.advice += advice(self._table_name, self.key_names, read.root)
        look_around()
        quick: QuickCheck = AcceptAll()
        if rules.validate_records:
            quick = known.quick_check(self.key_names)
        self.check = RecordCheck(
            read.root,
            self.key_names,
            naive_datetimes=rules.naive_datetimes,
            repairs=rules.repairs,
            max_record_bytes=self.prefix(0).max_record_bytes,
            quick=quick,
        )

    @property
    def _where(self) -> str:
        return f"Line {self._message.line}: SCHEMA of stream {quoted(self.name)}"

    def _cached(self, schemas: RecentSchemas) -> _CachedSchema:
        if not self.name:
            raise InputError(f"Line {self._message.line}: SCHEMA has an empty stream name.")
        try:
            return schemas.known(self._message.schema)
        except SchemaDefectError as defect:
            raise InputError(_words_on_defect(self._where, defect)) from None

    def _refuse_what_fits_nothing(self, root: Node) -> None:
        """Refuse a schema by which every single record would be refused."""
        defect = None
        if "object" not in root.types:
            defect = SchemaDefectError(
                f"{root.place}/type", "no record fits it, because records are objects"
            )
        for key in self.key_names:
            if key in root.properties and root.properties[key].types <= NO_KEYS:
                defect = SchemaDefectError(
                    f"{root.properties[key].place}/type",
                    "no record fits it, because a key property is a string, a number or a boolean",
                )
        if defect:
            raise InputError(_words_on_defect(self._where, defect))

    def _completed(self, read: ReadSchema) -> bytes:
        """Return the schema with all that the Import API asks for."""
        keys = self._message.key_properties
        if not (read.has_properties or keys):
            raise InputError(
                f"{self._where} has neither `properties` nor a key: the Import API needs columns."
            )
        try:
            return sent_schema(self._message.schema, read, keys)
        except SchemaDefectError as defect:
            raise InputError(_words_on_defect(self._where, defect)) from None

    def prefix(self, version: int | None) -> BodyPrefix:
        """Return how this stream's bodies open for records of `version`."""
        if self._prefix is None or self._prefix[0] != version:
            # The newest alone: versions come one after the other, and batches hold their own.
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
        """Tell whether `message` says nothing new, apart from spacing and the order of members."""
        mine = self._message
        if (mine.key_properties, mine.bookmark_properties) != (
            message.key_properties,
            message.bookmark_properties,
        ):
            return False
        return mine.schema == message.schema or _canonical(mine.schema) == _canonical(
            message.schema
        )


def _words_on_defect(where: str, defect: SchemaDefectError) -> str:
    return f"{where} is not a schema that the Import API accepts: {defect}."


class _CachedSchema:
    """What is made of the text of a schema: it is read once, and has a check for each key."""

    def __init__(self, text: bytes) -> None:
        self.schema = read_schema(text)
        self._checks: dict[tuple[str, ...], QuickCheck] = {}

    def quick_check(self, keys: tuple[str, ...]) -> QuickCheck:
        """Return the check for records with these keys."""
        if keys not in self._checks:
            self._checks[keys] = quick_check(self.schema.root, keys)
        return self._checks[keys]


class RecentSchemas:
    """What was made of a run's latest schemas: shards and tenants are many streams of one schema.

    What is kept is bounded by the size of the texts; it takes some twenty times their room.
    """

    def __init__(self, most_bytes: int = 1_000_000) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._cached: dict[bytes, _CachedSchema] = {}

    def known(self, text: bytes) -> _CachedSchema:
        """Return what is made of a schema.

        Raises:
            SchemaDefectError: See `read_schema`.
        """
        found = self._cached.pop(text, None)
        if found is None:
            found = _CachedSchema(text)
            self._bytes += len(text)
        self._cached[text] = found  # as the latest one
        while self._bytes > self._most_bytes:
            oldest = next(iter(self._cached))
            del self._cached[oldest]
            self._bytes -= len(oldest)
        return found


def _canonical(schema: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(schema), order="deterministic")
    except (ValueError, RecursionError):
        return schema
