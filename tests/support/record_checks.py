"""Makes the check of a schema's records, with or without its quick part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.quick_checks import ExamineAll

if TYPE_CHECKING:
    from target_stitch_import.schema.compiled import QuickCheck

MAX_RECORD_BYTES = 19_999_000


def check(
    schema: Any, keys: tuple[str, ...] = (), *, naive: str = "utc", quick: QuickCheck | None = None
) -> RecordCheck:
    """Return the check for a schema, which is given as a value or as JSON."""
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    return RecordCheck(
        read_schema(text).root,
        keys,
        naive_datetimes=naive,
        max_record_bytes=MAX_RECORD_BYTES,
        quick=quick,
    )


def exact_check(schema: Any, keys: tuple[str, ...] = (), *, naive: str = "utc") -> RecordCheck:
    """Return the check for a schema without its quick part, so that the exact part decides."""
    return check(schema, keys, naive=naive, quick=ExamineAll())


def verdict(of: RecordCheck, record: str) -> str:
    """Return "ok", or the reason of the refusal."""
    examined = of.examine(Raw(record.encode()))
    return str(examined) if isinstance(examined, Refused) else "ok"


def columns(**properties: Any) -> dict[str, Any]:
    """Return the schema of objects with these properties."""
    return {"type": "object", "properties": properties}
