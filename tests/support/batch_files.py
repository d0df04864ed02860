"""BATCH messages, their files, and the events that they produce."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.singer.messages import RecordFiles, Rows
from tests.support.singer import lines, record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"id": 2, "name": "Ü\u2028"}, {"id": 3, "name": None}]
JSONL = lines(ROWS)


def zipped(text: bytes) -> bytes:
    """Return `text` compressed with gzip, without a time stamp."""
    return gzip.compress(text, mtime=0)


def batch(*manifest: object, **members: Any) -> Any:
    """Return a BATCH of JSON Lines files, or of another `format` and `compression`."""
    encoding = {
        "format": members.pop("format", "jsonl"),
        "compression": members.pop("compression", None),
    }
    files = [str(each) for each in manifest]
    message = {"type": "BATCH", "stream": "people", "encoding": encoding, "manifest": files}
    return message | members


def around(message: Any, **columns: Any) -> list[Any]:
    """Return an input with records and states before and after `message`, which is on line 4."""
    return [schema(**columns), record(1), state(1), message, record(9), state(2)]


def write_parquet(path: Path, **columns: Any) -> Path:
    """Write a Parquet file; return its path."""
    parquet.write_table(pa.table(columns), path)
    return path


def events(root: Path, *manifest: str, form: str = "jsonl") -> list[Any]:
    """Return all events of a BATCH on line 4, with rows converted to records."""
    message = RecordFiles(4, "people", {"format": form}, manifest)
    return [
        event.records() if isinstance(event, Rows) else event
        for portion in BatchFiles(str(root)).portions(message)
        for event in portion
    ]
