"""Writes Arrow rows as JSON row by row, to compare with the code that writes columns."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import simplejson

if TYPE_CHECKING:
    from pyarrow import RecordBatch


def rows_as_json(rows: RecordBatch) -> list[str]:
    """Return each row of `rows` as JSON; NaN and infinity as `simplejson` writes them.

    Raises:
        ValueError, OverflowError, KeyError: A value has no exact form in JSON.
    """
    return [_ENCODER.encode(row) for row in rows.to_pylist(maps_as_pydicts="strict")]


def _as_text(value: Any) -> str:
    match value:
        case dt.datetime() if value.tzinfo:
            return f"{value.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat()}Z"
        case dt.date() | dt.time():
            return value.isoformat()
        case uuid.UUID():
            return str(value)
        case _:
            raise TypeError(type(value).__name__)


_ENCODER = simplejson.JSONEncoder(
    use_decimal=True,
    allow_nan=True,
    ensure_ascii=False,
    separators=(",", ":"),
    default=_as_text,
)
