"""Converts `time_extracted` to the Import API's format: `YYYY-MM-DDTHH:MM:SS.ffffffZ`, in UTC.

Invariant: an invalid time is omitted, because sending it would make the service refuse the batch.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from target_stitch_import.schema.date_times import DATE_TIME, SHAPE, respelled

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMES = msgspec.json.Decoder(list[datetime])
_API_SHAPE = b"0000-00-00T00:00:00.000000Z"
_PYTHON_SHAPE = b"0000-00-00T00:00:00.000000+00:00"
_BETWEEN = '","'


def api_times(
    texts: Sequence[str | None],
) -> tuple[Sequence[str | UnsetType], Sequence[int]]:
    """Return the times in the API's format, UNSET for invalid ones, and the indices of those."""
    if not any(texts):
        return [UNSET] * len(texts), ()
    if times := _common_times(texts):
        return times, ()
    times = [api_time(text) for text in texts]
    bad = [
        at for at, (text, time) in enumerate(zip(texts, times, strict=True)) if text and not time
    ]
    return times, bad


def _common_times(texts: Sequence[str | None]) -> Sequence[str | UnsetType] | None:
    """Return the times if all are valid and have the same common format, else None.

    In most streams, every record has a time, so all are converted together.
    """
    try:
        joined = _BETWEEN.join(texts)  # type: ignore[arg-type]  # None is a TypeError
        shapes = joined.encode().translate(SHAPE)
        shape = shapes[: len(texts[0])]  # type: ignore[arg-type]
        is_known = shape in {_API_SHAPE, _PYTHON_SHAPE}
        if not is_known or shapes != _BETWEEN.encode().join([shape] * len(texts)):
            return None
        _TIMES.decode(f'["{joined}"]')
    except (TypeError, UnicodeError, msgspec.MsgspecError):
        return None
    if shape == _API_SHAPE:
        return texts  # type: ignore[return-value]
    # Other offsets have the same shape.
    in_utc = joined.replace("+00:00", "Z")
    return None if "+" in in_utc else in_utc.split(_BETWEEN)


def api_time(text: str | None) -> str | UnsetType:
    """Return one time in the API's format, UNSET if it is missing or invalid."""
    match = DATE_TIME.fullmatch(respelled(text, "Z") or "") if text else None
    if match is None:
        return UNSET
    day, time, fraction, offset = match.group("day", "time", "fraction", "offset")
    offset = "+00:00" if offset == "Z" else offset
    try:
        parsed = datetime.fromisoformat(f"{day}T{time}.{(fraction or '')[:6]:0<6}{offset}")
        return f"{parsed.astimezone(timezone.utc).isoformat(timespec='microseconds')[:26]}Z"
    except (ValueError, OverflowError):
        return UNSET
