"""Checks records before they are sent: quickly where all is well, exactly where it is not.

Law: a quick check passes nothing that the exact one (`exact`) refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from target_stitch_import.limits import MAX_DATA_POINTS
from target_stitch_import.schema.compiled import CompiledCheck, QuickCheck, UncompilableError
from target_stitch_import.schema.date_times import Completion, complete, completion_of
from target_stitch_import.schema.exact import Refused, refused_by_schema, refused_key, too_costly
from target_stitch_import.schema.patterns import STEPS
from target_stitch_import.schema.record_type import key_type, record_type
from target_stitch_import.schema.values import (
    Size,
    UnreadableRecordError,
    json_type,
    parse_exactly,
    size_of,
    unreadable_field,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_stitch_import.schema.node import Node

SMALL_RECORD_BYTES = 2 * MAX_DATA_POINTS
"""A smaller record cannot hold too many data points: each takes two bytes with its comma."""

_LARGEST = Size(data_points=MAX_DATA_POINTS, values=STEPS)


@dataclass(frozen=True, slots=True)
class Passed:
    """A record that can be sent, its date-times completed, with what its user should know.

    `notes` maps a field to a note about it.
    """

    record: Raw
    notes: dict[str, str]


class TypedCheck:
    """A quick check by a `msgspec` type: types are checked while the text is parsed."""

    def __init__(self, record: Any) -> None:
        message = msgspec.defstruct("Message", [("data", record)], gc=False)
        self._record = msgspec.json.Decoder(record)
        self._messages = msgspec.json.Decoder(list[message])  # type: ignore[valid-type]

    def accepts_all(self, messages: bytes) -> bool:
        """Check a JSON list of messages, each with its record in `data`."""
        return _decodes(self._messages, messages)

    def accepts(self, record: Raw) -> bool:
        """Check one record."""
        return _decodes(self._record, record)


class NothingToCheck:
    """For records that nothing is asked of: the Import API looks at them."""

    def accepts_all(self, messages: bytes) -> bool:  # noqa: ARG002
        """Look at nothing."""
        return True

    def accepts(self, record: Raw) -> bool:  # noqa: ARG002
        """Look at nothing."""
        return True


class NoQuickCheck:
    """For schemas that only the exact check can take."""

    def accepts_all(self, messages: bytes) -> bool:  # noqa: ARG002
        """Look at every record."""
        return False

    def accepts(self, record: Raw) -> bool:  # noqa: ARG002
        """Look at the record."""
        return False


def quick_check(schema: Node, keys: Sequence[str]) -> QuickCheck:
    """Return the fastest check for a schema."""
    record = record_type(schema, keys)
    try:
        if record is None:
            key_record = key_type(keys)
            if key_record is None:
                return NoQuickCheck()
            return CompiledCheck(schema, TypedCheck(key_record))
        typed = TypedCheck(record.type)
        if not record.left_open:
            return typed
        # What else a schema says of the record as a whole, its type has expressed.
        return CompiledCheck(schema, typed, record.left_open)
    except UncompilableError:
        return NoQuickCheck()
    except (ValueError, TypeError, RecursionError):
        return NoQuickCheck()  # text or a number in it that a decoder cannot be made with


class RecordCheck:
    """What records of one stream must be.

    Args:
        schema: What they must be, as `draft4.read_schema` returns it.
        keys: The key properties.
        naive_datetimes: `utc` completes a date-time without offset, `fail` refuses it, `keep`
            lets it through.
        max_record_bytes: The longest text that still fits a request.
        quick: What `quick_check` made of schema and keys, where somebody has it; `NothingToCheck`
            leaves all but the size to the service.
    """

    def __init__(
        self,
        schema: Node,
        keys: Sequence[str],
        *,
        naive_datetimes: str = "utc",
        max_record_bytes: int,
        quick: QuickCheck | None = None,
    ) -> None:
        self._schema = schema
        self._keys = tuple(keys)
        self._max_record_bytes = max_record_bytes
        self._naive = naive_datetimes
        self._quick = quick or quick_check(schema, keys)

    @cached_property
    def _completion(self) -> Completion | None:
        """Where naive date-times are completed; most streams never need to know."""
        if self._naive == "fail":
            return None
        return completion_of(self._schema)

    def accepts_all(self, messages: bytes, records: Sequence[Raw]) -> bool:
        """Tell at once whether all `records` are right; `messages` is their JSON list."""
        if max(map(len, records)) > SMALL_RECORD_BYTES and any(
            map(self._may_be_too_large, records)
        ):
            return False
        return self._quick.accepts_all(messages)

    def examine(self, record: Raw) -> Passed | Refused:
        """Look at one record."""
        if self._may_be_too_large(record) and (refused := self._too_large(record)):
            return refused
        if self._quick.accepts(record):
            return Passed(record, {})
        notes: dict[str, str] = {}
        candidate = record
        if self._completion is not None:
            fields: list[str] = []
            candidate = complete(record, self._completion, "", fields)
            if fields and self._naive == "utc":
                record = candidate
                notes = dict.fromkeys(fields, _NOTE_UTC)
                if len(record) > self._max_record_bytes:  # by the few bytes that were added
                    return self._too_large(record) or Passed(record, notes)
            if fields and self._quick.accepts(candidate):
                return Passed(record, notes)
        refused, key_notes = self._exactly(candidate)
        return refused or Passed(record, notes | key_notes)

    def _may_be_too_large(self, record: Raw) -> bool:
        """Tell whether a record needs counting: each data point but one costs a comma."""
        return len(record) > SMALL_RECORD_BYTES and (
            len(record) > self._max_record_bytes or bytes(record).count(b",") >= MAX_DATA_POINTS
        )

    def _too_large(self, record: Raw) -> Refused | None:
        if len(record) > self._max_record_bytes:
            return Refused("", f"it is {len(record):,} bytes long; the Import API takes 20 MB")
        if size_of(record, _LARGEST).data_points > MAX_DATA_POINTS:
            return Refused(
                "", f"it has more than {MAX_DATA_POINTS:,} data points, which the Import API takes"
            )
        return None

    def _exactly(self, record: Raw) -> tuple[Refused | None, dict[str, str]]:
        if len(record) > SMALL_RECORD_BYTES and size_of(record, _LARGEST).values > STEPS:
            return too_costly(), {}
        try:
            value = parse_exactly(record)
        except UnreadableRecordError as error:
            return Refused(unreadable_field(record), str(error)), {}
        if not isinstance(value, dict):
            return Refused("", f"a record is an object, not {json_type(value)}"), {}
        notes: dict[str, str] = {}
        for key in self._keys:
            if refused := refused_key(key, value, notes):
                return refused, {}
        return refused_by_schema(self._schema, value), notes


_NOTE_UTC = "date-times without an offset are taken as UTC and get a `Z` (see `naive_datetimes`)"


def _decodes(decoder: msgspec.json.Decoder[Any], text: bytes | Raw) -> bool:
    try:
        decoder.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
