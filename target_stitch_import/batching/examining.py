"""Gathered records looked at one by one, once it is known that not all of them are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from target_stitch_import.batching.gathering import Gathered
from target_stitch_import.errors import quoted
from target_stitch_import.schema.advice import Advice
from target_stitch_import.schema.exact import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec import Raw

    from target_stitch_import.batching.payload import Span
    from target_stitch_import.batching.stream import Stream


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that must not be sent."""

    span: Span
    record: bytes | Raw
    refused: Refused
    mapped: bool = True


Finding: TypeAlias = Gathered | BadRecord | Advice


def examined(stream: Stream, gathered: Gathered) -> Iterator[Finding]:
    """Yield the records in their order: the bad ones, and between them the good ones together.

    Then what their user should know about them.
    """
    good = Gathered(gathered.version)
    notes: set[tuple[str, str]] = set()
    for upsert, span in zip(gathered.upserts, gathered.spans, strict=True):
        verdict = stream.check.examine(upsert.data)
        if isinstance(verdict, Refused):
            if good.spans:
                yield good
                good = Gathered(gathered.version)
            yield BadRecord(span.at(upsert.sequence), upsert.data, verdict)
            continue
        upsert.data = verdict.record
        good.add(upsert, span)
        notes |= verdict.notes.items()
    for name, note in sorted(notes):
        yield Advice(f"field {quoted(name)}: {note}")
    if good.spans:
        yield good
