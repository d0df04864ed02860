"""Asks a local Import API how many acknowledged rows it rejected while loading, and why.

Invariant: the result contains no value of a record.
"""

from __future__ import annotations

import re
from collections import Counter
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_TIMEOUT_SECONDS = 60
_OF_THE_DATABASE = re.compile(r"^[A-Z][\w ]* Error\b")
"""The database's own messages quote the rejected value; those of the loader do not."""


class _Rejected(msgspec.Struct):
    table: str
    reason: str
    rows: int


_DECODER = msgspec.json.Decoder(list[_Rejected])


def local_rejections(url: str, since: datetime) -> Mapping[str, Mapping[str, int]] | None:
    """Return the number of rows rejected since `since`, by table and reason.

    None if the local Import API at `url` does not report it.
    """
    query = urlencode({"since": since.isoformat()})
    direct = build_opener(ProxyHandler({}))
    try:
        with direct.open(f"{url}/_local/rejected?{query}", timeout=_TIMEOUT_SECONDS) as answer:
            found = _DECODER.decode(answer.read())
    except (OSError, HTTPException, ValueError):
        return None
    tables: dict[str, Counter[str]] = {}
    for each in found:
        tables.setdefault(each.table, Counter())[_without_values(each.reason)] += each.rows
    return tables


def _without_values(reason: str) -> str:
    kind = _OF_THE_DATABASE.match(reason)
    return f"a value that the database cannot hold ({kind[0]})" if kind else reason
