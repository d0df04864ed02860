"""Measures what the main design choices save, each against its alternatives on the same records.

    python benchmarks/choices.py

CPU time per record of about 1 KB, the fastest of several alternating rounds in one process: only
the library or how it is called differs, not the program around it.
"""

from __future__ import annotations

import gc
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import simplejson
from throughput import markdown
from workloads import WORKLOADS, lines

from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.compiled import CompiledCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.quick_checks import TypedCheck
from target_stitch_import.schema.record_type import key_type, record_type

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS: Final = 230  # as many as one read of 256 KiB returns
ROUNDS: Final = 60
SLOW_SHARE: Final = 10  # slow variants process only every tenth record


class _Line(msgspec.Struct, gc=False):
    type: str
    record: msgspec.Raw


class _Upsert(msgspec.Struct, gc=False):
    sequence: int
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to process all records, or every tenth record if it is slow."""

    question: str
    name: str
    do: Callable[[], Any]
    records: int = RECORDS


def main() -> None:
    """Time all variants in turn, and print them by question."""
    variants = [*_passing_through(), *_checking()]
    best = [float("inf")] * len(variants)
    gc.disable()
    for _ in range(ROUNDS):
        for at, variant in enumerate(variants):
            started = time.process_time()
            variant.do()
            best[at] = min(best[at], (time.process_time() - started) / variant.records)
    rows = []
    for at, variant in enumerate(variants):
        first = next(i for i, other in enumerate(variants) if other.question == variant.question)
        rows.append(
            [
                variant.question,
                variant.name,
                f"{best[at] * 1e6:.2f}",
                f"{best[at] / best[first]:.1f}",
            ]
        )
    print(markdown(["what", "how", "CPU µs per record", "x first"], rows))


def _passing_through() -> list[Variant]:
    texts = _record_lines()
    slow = texts[::SLOW_SHARE]
    whole = "\n".join(texts).encode()
    decoder, encoder = msgspec.json.Decoder(_Line), msgspec.json.Encoder()
    any_decoder = msgspec.json.Decoder()

    def raw() -> bytes:
        read = decoder.decode_lines(whole)
        return encoder.encode([_Upsert(at, each.record) for at, each in enumerate(read)])

    def one_by_one() -> list[bytes]:
        read = (decoder.decode(line) for line in whole.split(b"\n"))
        return [encoder.encode(_Upsert(at, each.record)) for at, each in enumerate(read)]

    def parsed() -> bytes:
        read = any_decoder.decode_lines(whole)
        return encoder.encode([{"sequence": 1, "data": each["record"]} for each in read])

    def standard() -> list[str]:
        return [json.dumps({"sequence": 1, "data": json.loads(line)["record"]}) for line in slow]

    def exact() -> list[str]:
        read = (simplejson.loads(line, use_decimal=True) for line in slow)
        return [simplejson.dumps({"sequence": 1, "data": each["record"]}) for each in read]

    question = "a line to a message"
    return [
        Variant(question, "the record's text as it is, many lines in one call", raw),
        Variant(question, "the same, one call per line", one_by_one),
        Variant(question, "parsed and written again by msgspec (digits change)", parsed),
        Variant(question, "by json (digits change)", standard, len(slow)),
        Variant(question, "by simplejson with decimals (digits kept)", exact, len(slow)),
    ]


def _checking() -> list[Variant]:
    schema_line, *_ = lines(WORKLOADS["wide"], 1)
    schema = read_schema(json.dumps(json.loads(schema_line)["schema"]).encode()).root
    keys = key_type(("id",))
    record = record_type(schema, ("id",))
    if record is None or keys is None:
        raise AssertionError
    typed = TypedCheck(record)
    compiled = CompiledCheck(schema, TypedCheck(keys))
    exact = RecordCheck(schema, ("id",), max_record_bytes=10**7)
    decoder = msgspec.json.Decoder(_Line)
    records = [decoder.decode(line).record for line in _record_lines()]
    slow = records[::SLOW_SHARE]
    messages = b"[%b]" % b",".join(b'{"data":%b}' % bytes(each) for each in records)
    question = "checking 23 columns"
    return [
        Variant(question, "a type, all records in one call", lambda: typed.accepts_all(messages)),
        Variant(question, "a type, one call per record", lambda: list(map(typed.accepts, records))),
        Variant(question, "jsonschema-rs", lambda: compiled.accepts_all(messages)),
        Variant(
            question,
            "the exact check",
            lambda: [exact._exactly(each) for each in slow],  # noqa: SLF001 - without its quick part
            len(slow),
        ),
    ]


def _record_lines() -> list[str]:
    return [line for line in lines(WORKLOADS["wide"], RECORDS) if line.startswith('{"type": "REC')]


if __name__ == "__main__":
    main()
