"""Writes Singer input files for the benchmarks, the same bytes for the same arguments.

A workload is a shape of data (streams, columns, record size, kinds of values). `input_file` writes
its first records once and returns the cached file from then on. STATE messages come as often as
real taps send them, and the last message is always a STATE.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from records import (
    Json,
    constrained_schema,
    plain_record,
    plain_schema,
    varied_record,
    varied_schema,
)
from tables import (
    documents_record,
    documents_schema,
    postgres_record,
    postgres_schema,
    sql_record,
    sql_schema,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE: Final = Path(__file__).parent / "out" / "inputs"
FORMAT_VERSION: Final = 1  # part of the file names: raise it when a generator changes
EXTRACTED_AT: Final = "2026-03-14T09:26:53.589793+00:00"


@dataclass(frozen=True, slots=True)
class Workload:
    """One shape of data.

    `states_every` counts records between STATE messages. `text_bytes` is the approximate length of
    all filler text of one record, and so determines its size. `kind` says what the columns hold:
    see `KINDS`.
    """

    name: str
    summary: str
    columns: int = 23
    text_bytes: int = 500
    streams: int = 1
    states_every: int = 1_000
    kind: str = "plain"

    @property
    def is_compact(self) -> bool:
        """Return whether its lines have no spaces, as those of the SDK."""
        return self.kind == "sql"

    def stream_name(self, number: int) -> str:
        """Return the name of the stream with that number."""
        return self.name if self.streams == 1 else f"{self.name}_{number:04d}"


KINDS: Final[
    dict[
        str,
        tuple[Callable[[int], Json], Callable[[int, Workload, random.Random], tuple[str, str]]],
    ]
] = {
    "plain": (plain_schema, plain_record),
    "naive": (plain_schema, plain_record),
    "constrained": (constrained_schema, plain_record),
    "varied": (varied_schema, varied_record),
    "sql": (sql_schema, sql_record),
    "postgres": (postgres_schema, postgres_record),
    "documents": (documents_schema, documents_record),
}
"""For each kind of columns, the functions that return the schema and one record."""
WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload("wide", "23 plain columns, about 1 KB a record"),
        Workload(
            "varied",
            "23 columns, 1 KB: nulls, objects, arrays, unions, enums, $ref, decimals, unicode",
            kind="varied",
        ),
        Workload(
            "naive",
            "wide, but its date-times have no offset, which checking completes",
            kind="naive",
        ),
        Workload(
            "constrained",
            "wide, with lengths, ranges, decimal steps and unions in its schema, as databases have",
            kind="constrained",
        ),
        Workload(
            "sql",
            "20 columns as the SDK's SQL taps write them: no offsets, decimals, lengths",
            kind="sql",
        ),
        Workload(
            "postgres",
            "23 columns of tap-postgres with exact decimals, a STATE every ten records",
            states_every=10,
            kind="postgres",
        ),
        Workload(
            "documents",
            "nested: money in arrays of objects, enums with null, alternatives, unicode",
            kind="documents",
        ),
        Workload("narrow", "3 columns, about 160 bytes a line", columns=3, text_bytes=16),
        Workload(
            "many",
            "1,000 interleaved streams of wide records",
            streams=1_000,
            states_every=10_000,
        ),
        Workload(
            "many-narrow",
            "1,000 interleaved streams of narrow records",
            columns=3,
            text_bytes=16,
            streams=1_000,
            states_every=10_000,
        ),
    )
}


def input_file(workload: Workload, records: int) -> Path:
    """Return the file with the first `records` records of the workload; write it if missing."""
    shape = (
        f"c{workload.columns}-t{workload.text_bytes}-s{workload.streams}-e{workload.states_every}"
    )
    path = CACHE / f"{workload.name}-{shape}-n{records}-v{FORMAT_VERSION}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        with unfinished.open("w", encoding="utf-8") as file:
            for line in lines(workload, records):
                file.write(line)
                file.write("\n")
        unfinished.replace(path)
    return path


def lines(workload: Workload, records: int) -> Iterator[str]:
    """Yield messages as JSON text: schemas, records with states between them, a last state."""
    schema = KINDS[workload.kind][0](workload.columns)
    names = [workload.stream_name(number) for number in range(workload.streams)]
    for name in names:
        message = {
            "type": "SCHEMA",
            "stream": name,
            "schema": schema,
            "key_properties": ["id"],
            "bookmark_properties": ["updated_at"],
        }
        yield json.dumps(message)
    yield from _records_and_states(workload, names, records)


def _records_and_states(workload: Workload, names: list[str], records: int) -> Iterator[str]:
    make = KINDS[workload.kind][1]
    comma, colon = (",", ":") if workload.is_compact else (", ", ": ")
    choose = random.Random(workload.name)  # noqa: S311 - reproducible data, no secret
    bookmarks: dict[str, Json] = {}
    name = names[0]
    for number in range(records):
        if workload.streams > 1:
            name = choose.choice(names)
        record, updated_at = make(number, workload, choose)
        bookmarks[name] = {"replication_key": "updated_at", "replication_key_value": updated_at}
        members = (
            f'"type"{colon}"RECORD"',
            f'"stream"{colon}"{name}"',
            f'"record"{colon}{record}',
            f'"time_extracted"{colon}"{EXTRACTED_AT}"',
        )
        yield f"{{{comma.join(members)}}}"
        if (number + 1) % workload.states_every == 0 and number + 1 < records:
            yield _state(bookmarks)
    yield _state(bookmarks)


def _state(bookmarks: dict[str, Json]) -> str:
    return json.dumps({"type": "STATE", "value": {"bookmarks": bookmarks}})


def main() -> None:
    """Write one input file and print its path, for runs by hand and for profilers."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("records", type=int)
    arguments = parser.parse_args()
    path = input_file(WORKLOADS[arguments.workload], arguments.records)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
