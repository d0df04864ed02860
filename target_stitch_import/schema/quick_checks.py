"""Quick checks, which validate all records of a group at once.

Invariant: a quick check accepts nothing that the exact check (`exact`) refuses.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from target_stitch_import.schema.compiled import CompiledCheck, QuickCheck
from target_stitch_import.schema.record_type import key_type, record_type
from target_stitch_import.schema.text_checks import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import Raw

    from target_stitch_import.schema.node import Node
    from target_stitch_import.schema.record_type import RecordType


class TypedCheck(QuickCheck):
    """A quick check by a `msgspec` type: types are checked while the text is parsed.

    The additional check of `record` then checks the decoded records together.
    """

    def __init__(self, record: RecordType) -> None:
        self.date_times = record.date_times
        kind = record.type
        fields = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        self._date_time_getters = [attrgetter(fields[name]) for name in self.date_times]
        message: Any = msgspec.defstruct("Message", [("data", kind)], gc=False)
        self._record = msgspec.json.Decoder(kind)
        self._messages = msgspec.json.Decoder(list[message])
        self._check = record.check
        self._naive_check = record.naive_check

    def accepts_all(self, messages: bytes, values: int | None = None) -> bool:
        """Check a JSON list of messages, each with its record in `data`."""
        records = self._records(messages)
        if records is None:
            return False
        if values is not None:
            # A value with commas counts more than once, but is no date-time: the check refuses it.
            columns = self._date_time_columns(records)
            if sum(column.count(b",") + 1 for column in columns if column) != values:
                return False
        return self._check is None or self._check(records)

    def naive_columns(self, messages: bytes) -> Mapping[str, bytes] | None:
        """Return the texts of each date-time column, if at most offsets are missing."""
        check = self._naive_check
        if check is None:
            return None
        records = self._records(messages)
        if records is None or not check(records):
            return None
        return dict(zip(self.date_times, self._date_time_columns(records), strict=True))

    def _records(self, messages: bytes) -> list[Any] | None:
        try:
            return [each.data for each in self._messages.decode(messages)]
        except (ValueError, RecursionError):
            return None

    def _date_time_columns(self, records: Sequence[Any]) -> list[bytes]:
        """Return the texts of the values in each date-time column, joined by commas."""
        return [joined([get(each) for each in records]) for get in self._date_time_getters]

    def accepts(self, record: Raw) -> bool:
        """Check one record."""
        try:
            found = self._record.decode(record)
        except (ValueError, RecursionError):
            return False
        return self._check is None or self._check([found])


class AcceptAll(QuickCheck):
    """A check that accepts all records, and leaves validation to the Import API."""

    validates = False

    def accepts_all(self, messages: bytes, values: int | None = None) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    def accepts(self, record: Raw) -> bool:  # noqa: ARG002
        """Return True."""
        return True


class ExamineAll(QuickCheck):
    """A check that accepts nothing, for schemas that only the exact check supports."""


def quick_check(schema: Node, keys: Sequence[str]) -> QuickCheck:
    """Return the fastest quick check that supports a schema."""
    record = record_type(schema, keys)
    try:
        if record is not None:
            return TypedCheck(record)
        if (key_record := key_type(keys)) is not None:
            return CompiledCheck(schema, TypedCheck(key_record))
    except (ValueError, TypeError, RecursionError):
        pass  # it cannot be compiled, or has a string or number that no decoder supports
    return ExamineAll()
