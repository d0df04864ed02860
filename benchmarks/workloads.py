"""Singer input files for the benchmarks, the same bytes for the same arguments every time.

A workload is a shape of data (streams, columns, record size, kinds of values); `input_file` writes
the first `records` records of it once and hands out the cached file afterwards. STATE messages come
as often as real taps send them, and the last message is always a STATE.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

CACHE: Final = Path(__file__).parent / "out" / "inputs"
FORMAT_VERSION: Final = 1  # part of the file names: raise it when a generator changes
EXTRACTED_AT: Final = "2026-03-14T09:26:53.589793+00:00"
_EPOCH: Final = datetime(2024, 1, 1, tzinfo=timezone.utc)

# Long enough that no compression of repeats, in a cache or a parser, flatters anybody.
_WORDS: Final = (
    "amber basin cedar delta ember fjord grove haven inlet jetty knoll ledge marsh north ocean "
    "prairie quarry ridge slope tundra upland valley willow zenith anchor bridge copper dynamo "
    "engine fabric garnet hammer ingot kettle ladder magnet needle oxygen piston quartz rivet"
)
WORDS: Final = _WORDS.split()
WORDS_OF_THE_WORLD: Final = [
    *WORDS,
    "Zürich",
    "façade",
    "Ærø",
    "Łódź",
    "Ελλάδα",
    "Привет",
    "東京都",
    "서울",
    "नमस्ते",
    "مرحبا",
    "🚲",
    'a "quoted" word',
    "back\\slash",
    "tab\tand\nline",
]


@dataclass(frozen=True, slots=True)
class Workload:
    """One shape of data.

    `states_every` counts records between STATE messages. `text_bytes` is the approximate length of
    all filler text of one record and so decides its size.
    """

    name: str
    summary: str
    columns: int = 23
    text_bytes: int = 500
    streams: int = 1
    states_every: int = 1_000
    varied: bool = False

    def stream_name(self, number: int) -> str:
        """Give the name of the stream with that number."""
        return self.name if self.streams == 1 else f"{self.name}_{number:04d}"


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload("wide", "23 plain columns, about 1 KB a record"),
        Workload(
            "varied",
            "23 columns, 1 KB: nulls, objects, arrays, unions, enums, $ref, decimals, unicode",
            varied=True,
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
    """Return the file holding the first `records` records of the workload, written when missing."""
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
    """Yield the messages as JSON text: schemas, records with states between, a last state."""
    schema = varied_schema() if workload.varied else plain_schema(workload.columns)
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
    make = varied_record if workload.varied else plain_record
    choose = random.Random(workload.name)  # noqa: S311 - reproducible data, no secret
    bookmarks: dict[str, Json] = {}
    name = names[0]
    for number in range(records):
        if workload.streams > 1:
            name = choose.choice(names)
        record, updated_at = make(number, workload, choose)
        bookmarks[name] = {"replication_key": "updated_at", "replication_key_value": updated_at}
        yield (
            f'{{"type": "RECORD", "stream": "{name}", "record": {record}, '
            f'"time_extracted": "{EXTRACTED_AT}"}}'
        )
        if (number + 1) % workload.states_every == 0 and number + 1 < records:
            yield _state(bookmarks)
    yield _state(bookmarks)


def _state(bookmarks: dict[str, Json]) -> str:
    return json.dumps({"type": "STATE", "value": {"bookmarks": bookmarks}})


# Plain records: the columns of an ordinary relational table.

_PLAIN_KINDS: Final = ("text", "integer", "number", "boolean", "date-time", "text", "integer")


def plain_schema(columns: int) -> Json:
    """Return the schema of `plain_record`: `id`, `updated_at`, then the kinds in turn."""
    properties: Json = {
        "id": {"type": "integer"},
        "updated_at": {"type": ["null", "string"], "format": "date-time"},
    }
    for index in range(columns - 2):
        kind = _PLAIN_KINDS[index % len(_PLAIN_KINDS)]
        name = f"{kind.replace('-', '_')}_{index}"
        if kind == "date-time":
            properties[name] = {"type": ["null", "string"], "format": "date-time"}
        elif kind == "text":
            properties[name] = {"type": ["null", "string"]}
        else:
            properties[name] = {"type": ["null", kind]}
    return {"type": "object", "properties": properties}


def plain_record(number: int, workload: Workload, choose: random.Random) -> tuple[str, str]:
    """Return one record as JSON text, and its bookmark value."""
    updated_at = _moment(number)
    parts = [f'"id": {number + 1}, "updated_at": "{updated_at}"']
    kinds = [_PLAIN_KINDS[index % len(_PLAIN_KINDS)] for index in range(workload.columns - 2)]
    words = max(1, workload.text_bytes // (7 * max(1, kinds.count("text"))))
    for index, kind in enumerate(kinds):
        if kind == "text":
            value = f'"{" ".join(choose.choices(WORDS, k=words))}"'
        elif kind == "integer":
            value = str(choose.getrandbits(40))
        elif kind == "number":
            value = f"{choose.getrandbits(30)}.{choose.randrange(1, 100):02d}"
        elif kind == "boolean":
            value = "true" if choose.getrandbits(1) else "false"
        else:
            value = f'"{_moment(choose.getrandbits(24))}"'
        parts.append(f'"{kind.replace("-", "_")}_{index}": {value}')
    return "{" + ", ".join(parts) + "}", updated_at


# Varied records: what taps of documents and of strict databases send.


def varied_schema() -> Json:
    """Return the schema of `varied_record`, with `$ref`, unions, enums and decimal steps."""
    return {
        "type": "object",
        "definitions": {
            "address": {
                "type": ["null", "object"],
                "properties": {
                    "street": {"type": ["null", "string"], "maxLength": 400},
                    "city": {"type": "string", "minLength": 1},
                    "zip": {"type": ["null", "string"]},
                    "position": {
                        "type": "object",
                        "properties": {
                            "latitude": {"type": "number", "minimum": -90, "maximum": 90},
                            "longitude": {"type": "number", "minimum": -180, "maximum": 180},
                        },
                        "required": ["latitude", "longitude"],
                    },
                },
                "required": ["city"],
            },
            "money": {
                "type": ["null", "number"],
                "multipleOf": 0.01,
                "minimum": -1e12,
                "maximum": 1e12,
            },
        },
        "properties": {
            "id": {"type": "integer", "minimum": 1},
            "updated_at": {"type": "string", "format": "date-time"},
            "created_at": {"type": ["null", "string"], "format": "date-time"},
            "born_on": {"type": ["null", "string"], "format": "date"},
            "status": {"type": ["null", "string"], "enum": ["new", "paid", "shipped", None]},
            "kind": {"enum": ["order", "return", 1, 2]},
            "name": {"type": ["null", "string"], "maxLength": 255},
            "email": {"anyOf": [{"type": "string", "minLength": 3}, {"type": "null"}]},
            "amount": {"$ref": "#/definitions/money"},
            "tax": {"$ref": "#/definitions/money"},
            "rate": {"type": ["null", "number"], "multipleOf": 0.000001},
            "quantity": {"type": ["null", "integer"], "minimum": 0, "maximum": 2147483647},
            "is_gift": {"type": ["null", "boolean"]},
            "billing": {"$ref": "#/definitions/address"},
            "shipping": {"$ref": "#/definitions/address"},
            "tags": {"type": ["null", "array"], "items": {"type": "string"}},
            "scores": {"type": ["null", "array"], "items": {"type": ["null", "number"]}},
            "lines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "sku": {"type": "string"},
                        "count": {"type": "integer"},
                        "price": {"$ref": "#/definitions/money"},
                    },
                    "required": ["sku"],
                },
            },
            "custom": {"type": ["null", "object"], "additionalProperties": {"type": "string"}},
            "number_or_text": {"type": ["null", "number", "string"]},
            "one_of": {
                "oneOf": [
                    {"type": "null"},
                    {"type": "integer"},
                    {"type": "string", "maxLength": 40},
                ]
            },
            "note": {"type": ["null", "string"]},
            "legacy": {"type": ["null", "string"]},
        },
        "required": ["id", "updated_at"],
    }


def varied_record(number: int, workload: Workload, choose: random.Random) -> tuple[str, str]:
    """Return one record as JSON text, and its bookmark value."""
    updated_at = _moment(number)
    words = max(1, workload.text_bytes // 40)
    text = " ".join(choose.choices(WORDS_OF_THE_WORLD, k=words))
    pick = choose.random
    record: Json = {
        "id": number + 1,
        "updated_at": updated_at,
        "created_at": _moment(choose.getrandbits(24)) if pick() < 0.9 else None,
        "born_on": f"19{choose.randrange(40, 99)}-0{choose.randrange(1, 9)}-1{choose.randrange(9)}",
        "status": choose.choice(["new", "paid", "shipped", None]),
        "kind": choose.choice(["order", "return", 1, 2]),
        "name": " ".join(choose.choices(WORDS_OF_THE_WORLD, k=3)),
        "email": f"{choose.choice(WORDS)}@example.com" if pick() < 0.8 else None,
        "amount": _Literal(f"{choose.randrange(100_000)}.{choose.randrange(100):02d}"),
        "tax": _Literal(f"0.{choose.randrange(100):02d}"),
        "rate": _Literal(f"0.{choose.randrange(1_000_000):06d}") if pick() < 0.7 else None,
        "quantity": choose.randrange(10_000),
        "is_gift": choose.choice([True, False, None]),
        "billing": _address(choose),
        "shipping": _address(choose) if pick() < 0.5 else None,
        "tags": choose.choices(WORDS_OF_THE_WORLD, k=choose.randrange(4)),
        "scores": [_Literal(f"{pick():.3f}") for _ in range(choose.randrange(4))],
        "lines": [
            {
                "sku": f"{choose.choice(WORDS)}-{choose.getrandbits(16)}",
                "count": choose.randrange(1, 20),
                "price": _Literal(f"{choose.randrange(1_000)}.{choose.randrange(100):02d}"),
            }
            for _ in range(choose.randrange(3))
        ],
        "custom": {word: word.upper() for word in choose.sample(WORDS, k=2)},
        "number_or_text": choose.choice([None, 12, _Literal("3.5"), "twelve"]),
        "one_of": choose.choice([None, 7, "seven"]),
        "note": text,
    }
    if pick() < 0.1:
        record["legacy"] = None
    # Taps differ: most escape what is not ASCII, the SDK's faster ones do not.
    return _encode(record, escaped=bool(number % 2)), updated_at


@dataclass(frozen=True, slots=True)
class _Literal:
    """A number whose text is kept: `0.10` stays `0.10`, as databases' decimals do."""

    text: str


def _encode(value: Any, *, escaped: bool) -> str:
    """Write JSON text, with the literals' own digits."""
    if isinstance(value, _Literal):
        return value.text
    if isinstance(value, dict):
        members = (
            f"{_encode(key, escaped=escaped)}: {_encode(item, escaped=escaped)}"
            for key, item in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_encode(item, escaped=escaped) for item in value) + "]"
    return json.dumps(value, ensure_ascii=escaped)


def _address(choose: random.Random) -> Json:
    return {
        "street": f"{choose.choice(WORDS_OF_THE_WORLD)} {choose.randrange(1, 200)}",
        "city": choose.choice(WORDS_OF_THE_WORLD),
        "zip": f"{choose.randrange(100_000):05d}",
        "position": {
            "latitude": _Literal(f"{choose.uniform(-90, 90):.6f}"),
            "longitude": _Literal(f"{choose.uniform(-180, 180):.6f}"),
        },
    }


def _moment(seconds: int) -> str:
    """Return a date-time some seconds after the start of 2024, as most taps write it."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


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
