"""Validates records before they are sent: all of a group quickly, or else one by one exactly.

Invariant: a quick check accepts nothing that the exact check (`exact`) refuses.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct, field

from target_stitch_import.limits import MAX_DATA_POINTS
from target_stitch_import.pointers import pointer_to
from target_stitch_import.schema.column_rewrites import (
    DateTimeColumns,
    count_naive,
    with_offsets,
)
from target_stitch_import.schema.exact import Refused, refused_by_schema, refused_key, too_costly
from target_stitch_import.schema.known_types import known_columns, nothing_else_to_check, without
from target_stitch_import.schema.patterns import STEPS
from target_stitch_import.schema.places import Change, Place, places_of, rewritten
from target_stitch_import.schema.quick_checks import AcceptAll, quick_check
from target_stitch_import.schema.raw_flaws import NUL, repaired_text
from target_stitch_import.schema.repairs import Rewriter, shown_path
from target_stitch_import.schema.values import (
    Size,
    UnreadableRecordError,
    json_type,
    parse_exactly,
    size_of,
    unreadable_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from target_stitch_import.schema.compiled import QuickCheck
    from target_stitch_import.schema.node import Node
    from target_stitch_import.schema.raw_flaws import Flaw, Repair

SMALL_RECORD_BYTES = 2 * MAX_DATA_POINTS
"""A smaller record cannot have too many data points: each takes at least two bytes."""

_MESSAGES = msgspec.json.Decoder(list[Raw])
_LARGEST = Size(data_points=MAX_DATA_POINTS, values=STEPS)


class AllPassed(Struct, frozen=True):
    """The JSON list of messages of a group of records that can all be sent.

    `notes` and `repaired` are as in `Passed`.
    """

    messages: bytes
    notes: Mapping[str, str] = field(default_factory=dict)
    repaired: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Passed(Struct, frozen=True):
    """A record that can be sent.

    `notes` maps fields to notes for the user. `repaired` has the number of repaired values, by
    field and repair.
    """

    record: Raw
    notes: Mapping[str, str]
    repaired: Mapping[tuple[str, str], int]


class RecordCheck:
    """Validates the records of one stream.

    Args:
        schema: The root node of the schema, from `draft4.read_schema`.
        keys: The key properties.
        naive_datetimes: `utc` completes a date-time without an offset, `fail` refuses it, `keep`
            accepts it.
        repairs: Names of the repairs to make instead of refusing a value.
        max_record_bytes: The longest text of a record that fits into a request.
        quick: The result of `quick_check` for schema and keys, if the caller has it; with
            `AcceptAll`, only the size is checked.
    """

    def __init__(  # noqa: PLR0913 - all but schema and keys by name
        self,
        schema: Node,
        keys: Sequence[str],
        *,
        naive_datetimes: str = "utc",
        repairs: Collection[str] = (),
        max_record_bytes: int,
        quick: QuickCheck | None = None,
    ) -> None:
        self._schema = schema
        self._keys = tuple(keys)
        self._max_record_bytes = max_record_bytes
        self._keeps_naive = naive_datetimes == "keep"
        self._repairs = frozenset(repairs)
        self._rewrite = Rewriter(completes=naive_datetimes == "utc", repairs=repairs)
        self._quick = quick or quick_check(schema, keys)
        self._last_success: Callable[..., AllPassed | None] = RecordCheck._as_they_are
        self._known: frozenset[str] = frozenset()
        self._quick_rest = self._quick
        """The quick check without the columns in `_known`."""

    @cached_property
    def _places(self) -> Place | None:
        """The places of values that may be rewritten; most streams never need them."""
        return places_of(self._schema)

    @cached_property
    def _has_ambiguous_places(self) -> bool:
        """Whether a value may be rewritten although it is valid by another alternative."""
        return self._places is not None and self._places.leads_to_ambiguous()

    @cached_property
    def _columns(self) -> DateTimeColumns | None:
        """The columns whose date-times can be rewritten in all records at once."""
        if self._places is None:
            return None
        members = self._places.members
        places = {name: members[name] for name in self._quick.date_times if name in members}
        return DateTimeColumns(places) if places else None

    def accepted(
        self,
        messages: bytes,
        longest_bytes: int,
        types: Mapping[str, AbstractSet[str]] | None = None,
    ) -> AllPassed | None:
        """Return the messages to send if all records are valid, perhaps rewritten, else None.

        Args:
            messages: The JSON list of messages.
            longest_bytes: The length of the longest record, or a little more.
            types: The JSON types of columns, as in `known_types`.
        """
        if not self._is_within_limits(messages, longest_bytes):
            return None  # `examine` decides; no attempt below removes a NUL or data points
        attempts: list[tuple[Callable[..., AllPassed | None], tuple[Any, ...]]]
        attempts = [(RecordCheck._as_they_are, (messages, types))]
        if self._max_record_bytes >= 2 * longest_bytes:  # rewriting never doubles a record's size
            attempts += [(RecordCheck._with_offsets, (messages,))]
            attempts += [(RecordCheck._rewritten, (messages,))]
        # What the last group needed comes first: this one probably needs the same.
        attempts.sort(key=lambda each: each[0] is not self._last_success)
        for attempt, arguments in attempts:
            if passed := attempt(self, *arguments):
                self._last_success = attempt
                return passed
        return None

    def _as_they_are(
        self, messages: bytes, types: Mapping[str, AbstractSet[str]] | None
    ) -> AllPassed | None:
        quick = self._without_known(types) if types else self._quick
        return AllPassed(messages) if quick.accepts_all(messages) else None

    def _without_known(self, types: Mapping[str, AbstractSet[str]]) -> QuickCheck:
        """Return the quick check for everything that does not follow from `types`."""
        if not self._quick.validates:
            return self._quick
        known = known_columns(self._schema, self._keys, types)
        if nothing_else_to_check(self._schema, self._keys, types, known):
            return AcceptAll()
        if known != self._known:
            self._known = known
            self._quick_rest = quick_check(without(self._schema, known), self._keys)
        return self._quick_rest

    def _with_offsets(self, messages: bytes) -> AllPassed | None:
        """Complete date-times without offsets; None if records are invalid in any other way."""
        if not (self._rewrite.completes or self._keeps_naive):
            return None
        columns = self._quick.naive_columns(messages)
        if columns is None:
            return None
        if self._keeps_naive:
            return AllPassed(messages)
        naive = {name: count_naive(texts) for name, texts in columns.items()}
        completed, count = with_offsets(messages)
        if count != sum(naive.values()):
            return None  # strings outside these columns look like date-times, too
        notes = {pointer_to((name,)): _NOTE_UTC for name, number in naive.items() if number}
        return AllPassed(completed, notes)

    def _is_within_limits(self, messages: bytes, longest_bytes: int) -> bool:
        """Return whether sizes are within limits, and no text has a NUL."""
        if longest_bytes > SMALL_RECORD_BYTES and any(
            map(self._may_be_too_large, _MESSAGES.decode(messages))
        ):
            return False
        # `rfind` looks for the first byte of NUL, a backslash, which most texts do not contain.
        return not (self._quick.validates and NUL[:1] in messages and messages.rfind(NUL) >= 0)

    def _rewritten(self, messages: bytes) -> AllPassed | None:
        """Rewrite the date-times of all records; None if they are still not valid."""
        if self._columns is None:
            return None
        done = self._columns.rewritten(messages, self._rewrite)
        if done is None:
            return None
        checked = done
        if self._keeps_naive:
            completed = self._columns.rewritten(done.messages, _COMPLETE)
            if completed is None or any(repair for _, repair in completed.changed):
                return None  # more was rewritten than missing offsets
            checked = completed
        if checked.messages is messages:
            return None  # nothing is rewritten
        if not self._quick.accepts_all(checked.messages, checked.values):
            return None
        fields = (
            (pointer_to((name,)), repair, count) for (name, repair), count in done.changed.items()
        )
        return AllPassed(done.messages, *_notes_and_repairs(fields))

    def examine(self, record: Raw, repaired: Sequence[Repair] = ()) -> Passed | Refused:
        """Validate one record, and repair it if need be.

        `repaired` has the repairs that made the text of `record` valid JSON.
        """
        if self._may_be_too_large(record) and (refused := self._too_large(record)):
            return refused
        found = [self._change(each) for each in repaired]
        if self._quick.validates and NUL in bytes(record):
            text = repaired_text(bytes(record), self._repairs)
            if text.left:
                return _refused_nul(text.left)
            if NUL in text.text.replace(rb"\\", b""):
                return too_costly()  # a NUL is beyond the text that `repaired_text` examines
            record = Raw(text.text)
            found += map(self._change, text.repairs)
        if self._quick.accepts(record):
            return _passed(record, {}, found)
        if self._has_ambiguous_places:
            # Values at ambiguous places are rewritten only if the record is not valid otherwise.
            careful = self._examine_rewritten(record, found, skips_ambiguous=True)
            if isinstance(careful, Passed):
                return careful
        return self._examine_rewritten(record, found)

    def _examine_rewritten(
        self, record: Raw, found: Sequence[Change], *, skips_ambiguous: bool = False
    ) -> Passed | Refused:
        """Rewrite a record, and validate it; `found` has the changes that were made before."""
        found = list(found)
        checked = record
        if self._places is not None:
            record = rewritten(
                record, self._places, self._rewrite, found, skips_ambiguous=skips_ambiguous
            )
            if len(record) > self._max_record_bytes and (refused := self._too_large(record)):
                return refused  # too large only after rewriting
            checked = record
            if self._keeps_naive:
                checked = rewritten(
                    record, self._places, _COMPLETE, [], skips_ambiguous=skips_ambiguous
                )
            if self._quick.accepts(checked):
                return _passed(record, {}, found)
        refused, notes = self._exactly(checked)
        return _naming_repair(refused, found) if refused else _passed(record, notes, found)

    def _change(self, repair: Repair) -> Change:
        path, name = repair
        return Change(path, shown_path(path, self._schema), name)

    def _may_be_too_large(self, record: Raw) -> bool:
        """Return whether a record is too long, or has enough commas for too many data points."""
        return len(record) > SMALL_RECORD_BYTES and (
            len(record) > self._max_record_bytes or bytes(record).count(b",") >= MAX_DATA_POINTS
        )

    def _too_large(self, record: Raw) -> Refused | None:
        if len(record) > self._max_record_bytes:
            return Refused("", f"it is {len(record):,} bytes long; the Import API allows 20 MB")
        size = size_of(record, _LARGEST)
        if size.data_points > MAX_DATA_POINTS:
            return Refused(
                "",
                f"it has more than {MAX_DATA_POINTS:,} values (data points), the Import API's "
                "limit",
            )
        if self._quick.validates and size.values > STEPS:
            return too_costly()
        return None

    def _exactly(self, record: Raw) -> tuple[Refused | None, dict[str, str]]:
        try:
            value = parse_exactly(record)
        except UnreadableRecordError as error:
            return Refused(pointer_to(unreadable_path(record)), str(error)), {}
        if not isinstance(value, dict):
            return Refused("", f"expected an object, not {json_type(value)}"), {}
        notes: dict[str, str] = {}
        for key in self._keys:
            if refused := refused_key(key, value, notes):
                return refused, {}
        return refused_by_schema(self._schema, value), notes


_NOTE_UTC = "date-times without an offset are taken as UTC and get a `Z` (see `naive_datetimes`)"
_COMPLETE = Rewriter(completes=True)


def _passed(record: Raw, notes: dict[str, str], found: list[Change]) -> Passed:
    completed, repaired = _notes_and_repairs((each.field, each.repair, 1) for each in found)
    return Passed(record, notes | completed, repaired)


def _notes_and_repairs(
    changes: Iterable[tuple[str, str | None, int]],
) -> tuple[dict[str, str], dict[tuple[str, str], int]]:
    """Return the notes, and the repairs with their counts, of a record's or a group's changes."""
    notes: dict[str, str] = {}
    repaired: dict[tuple[str, str], int] = {}
    for name, repair, count in changes:
        if repair is None:
            notes[name] = _NOTE_UTC
        else:
            repaired[name, repair] = repaired.get((name, repair), 0) + count
    return notes, repaired


def _refused_nul(flaw: Flaw) -> Refused:
    field = pointer_to(flaw.path)
    if flaw.is_in_name:
        return Refused(field, "a property name contains U+0000, which databases do not accept")
    return Refused(
        field,
        "it contains U+0000, which databases do not accept; `repairs: [strip_nul]` removes it",
    )


def _naming_repair(refused: Refused, found: list[Change]) -> Refused:
    """Return a refusal whose reason names the repair, if it is about a repaired value."""
    for each in found:
        if each.repair and pointer_to(each.path) == refused.field:
            return Refused(
                refused.field, f"repaired by `{each.repair}`, {refused.reason}", refused.error
            )
    return refused
