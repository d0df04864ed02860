"""`time_extracted` as the Import API writes it: `YYYY-MM-DDTHH:MM:SS.ffffffZ`, in UTC.

Law: what is no time is left out rather than sent: it would cost the whole batch.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from target_stitch_import.schema.date_times import DATE_TIME, respelled

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMES = msgspec.json.Decoder(list[datetime])
_ZONES = {27: "Z", 32: "+00:00"}
"""What two spellings end with that cover nearly all taps, by their length: the API's, Python's."""


def api_times(
    texts: Sequence[str | None],
) -> tuple[Sequence[str | UnsetType], Sequence[int]]:
    """Return the times in the API's spelling, and the indices of texts that are no times."""
    if not any(texts):
        return [UNSET] * len(texts), ()
    if None not in texts and (zone := _common_zone(texts)):  # type: ignore[arg-type]
        return (texts if zone == "Z" else [f"{text[:26]}Z" for text in texts]), ()  # type: ignore[index,return-value]
    times = [api_time(text) for text in texts]
    bad = [
        at for at, (text, time) in enumerate(zip(texts, times, strict=True)) if text and not time
    ]
    return times, bad


def _common_zone(texts: Sequence[str]) -> str | None:
    """Return how all `texts` end, if all are valid times of one spelling.

    Every record has one, so they are looked at together.
    """
    length, count = len(texts[0]), len(texts)
    zone = _ZONES.get(length)
    if zone is None or set(map(len, texts)) != {length}:
        return None
    joined = "".join(texts)
    marks = [(10, "T"), (19, "."), *enumerate(zone, 26)]
    if any(joined[at::length] != mark * count for at, mark in marks):
        return None
    quoted = '","'.join(texts)
    try:
        _TIMES.decode(f'["{quoted}"]')
    except msgspec.MsgspecError:
        return None
    return zone


def api_time(text: str | None) -> str | UnsetType:
    """Return one time in the API's spelling."""
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
