"""Repairs records whose text is not valid JSON, before stream maps are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.structs import replace

from target_stitch_import.schema.raw_flaws import REPAIRS, repaired_text
from target_stitch_import.singer.messages import Event, MalformedRecord, RecordMessage
from target_stitch_import.singer.outline import record_defect

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


def with_repairs(events: Iterable[Event], repairs: Collection[str]) -> Iterator[Event]:
    """Yield `events`, and repair malformed records with those of `repairs` that apply."""
    for event in events:
        yield _repaired(event, repairs) if isinstance(event, MalformedRecord) else event


def _repaired(event: MalformedRecord, repairs: Collection[str]) -> MalformedRecord:
    if REPAIRS.isdisjoint(repairs) or not event.field:
        return event  # without a field, the fault is not in a value
    done = repaired_text(event.text, repairs)
    if not done.repairs:
        return event
    if defect := record_defect(done.text):
        return replace(event, reason=defect.reason, field=defect.field)
    message = RecordMessage(event.stream, Raw(done.text), event.version, event.time_extracted)
    return replace(event, repaired_record=message, repaired=tuple(done.repairs))
