"""Input that keeps the target busy, for tests that it still reacts to signals.

Each case is a head, pieces that repeat after it, and what else a run needs.
`python -m tests.soak.signals` measures how soon each run reacts to a signal.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1_000_000
_ASIDE: dict[str, Any] = {
    "on_invalid_record": "dead_letter",
    "dead_letter_path": "dead.jsonl",
    "dead_letter_limit": 1_000_000,
}
COSTLY = "(?=a)(a+)+$"


@dataclass(frozen=True)
class Hostile:
    """An input: `head` once, then `piece` repeated without end, or `times` times.

    `files` are the files that BATCH messages name, by name.
    """

    head: bytes
    piece: bytes
    times: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def described(schema: Any) -> bytes:
    """Return a SCHEMA message, followed by a STATE."""
    message = {"type": "SCHEMA", "stream": "s", "schema": schema, "key_properties": []}
    return json.dumps(message).encode() + b'\n{"type":"STATE","value":1}\n'


def a_record(text: bytes) -> bytes:
    """Return a RECORD message with the JSON `text`."""
    return b'{"type":"RECORD","stream":"s","record":%b}\n' % text


def column(**rules: Any) -> dict[str, Any]:
    """Return a schema with the property `f`."""
    return {"properties": {"f": rules}}


def records(schema: Any, text: bytes, **settings: Any) -> Hostile:
    """Return the same record without end; small records are written in larger pieces."""
    record = a_record(text)
    return Hostile(described(schema), record * max(1, 100_000 // len(record)), settings=settings)


def one_schema(schema: Any) -> Hostile:
    """Return an input of one hostile SCHEMA."""
    text = json.dumps(schema, separators=(",", ":")).encode()
    piece = b'{"type":"SCHEMA","stream":"t","schema":%b,"key_properties":[]}\n' % text
    return Hostile(described(column()), piece, times=1)


def zipped(text: bytes, times: int) -> Hostile:
    """Return a BATCH of a small file that decompresses to a large one."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [compressor.compress(text) for _ in range(times)]
    return _file(b"".join([*parts, compressor.flush()]))


def _file(content: bytes, form: str = "jsonl") -> Hostile:
    encoding = {"format": form, "compression": "gzip"}
    message = {"type": "BATCH", "stream": "s", "encoding": encoding, "manifest": ["a"]}
    return Hostile(
        described(column()), json.dumps(message).encode() + b"\n", times=1, files={"a": content}
    )


def _parquet(lists: list[Any], **options: Any) -> Hostile:
    import io  # noqa: PLC0415 - for this case alone

    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    table = pa.table({f"f{at}": each for at, each in enumerate(lists)})
    written = io.BytesIO()
    parquet.write_table(table, written, **options)
    return _file(written.getvalue(), "parquet")


def _alternatives() -> Hostile:
    """No alternative of many accepts the record: a hundredth of a second for each record.

    The records are large, so that those in the SCHEMA's chunk together take less than a minute.
    """
    schema = column(anyOf=[{"type": "object", "maxProperties": n} for n in range(15_000)])
    return records(schema, b'{"f":1,"g":"%b"}' % (b"x" * 100), **_ASIDE)


def _wide_items() -> Hostile:
    """Each empty object is checked for each of 18,000 properties."""
    members = {f"c{n}": {"type": "string"} for n in range(18_000)}
    return records(
        column(items={"properties": members, "not": {"required": ["x"]}}),
        b'{"f":[' + b"{}," * 20_000 + b"1]}",
        **_ASIDE,
    )


def _lost_references() -> Hostile:
    """Each reference points to a place that the service does not read."""
    properties = {f"f{n}": {"$ref": f"#/x/y{n}"} for n in range(20_000)}
    return one_schema({"properties": properties, "x": {f"y{n}": {} for n in range(20_000)}})


def _long_chain() -> Hostile:
    """Each column's reference leads through 9,000 others."""
    chain = {f"d{n}": {"$ref": f"#/definitions/d{n + 1}"} for n in range(9_000)}
    properties = {f"f{n}": {"$ref": "#/definitions/d0"} for n in range(9_000)}
    return one_schema({"properties": properties, "definitions": chain | {"d9000": {}}})


def _unicode_patterns() -> Hostile:
    """Each pattern has a dozen characters, and takes a tenth of a second to compile."""
    return one_schema(
        {"properties": {f"f{n}": {"pattern": rf"\p{{L}}{{90}}{n}"} for n in range(999)}}
    )


_EMPTY_LISTS = b'{"f":[' + b"[]," * 180_000 + b"[]]}"

CASES: dict[str, Callable[[], Hostile]] = {
    # Records that are costly to check.
    "alternatives": _alternatives,
    "wide items": _wide_items,
    "pattern": lambda: records(
        column(pattern=COSTLY), b'{"f":"' + b"a" * 20_000 + b'!"}', **_ASIDE
    ),
    "unique items": lambda: records(
        column(uniqueItems=True), b'{"f":[%b]}' % b",".join(b"%d" % n for n in range(MB)), **_ASIDE
    ),
    "unique lists": lambda: records(column(uniqueItems=True), _EMPTY_LISTS, **_ASIDE),
    "enum": lambda: records(
        column(items={"enum": [[n] for n in range(5_000)]}),
        b'{"f":[' + b"[5001]," * 9_000 + b"1]}",
        **_ASIDE,
    ),
    "long numbers": lambda: records(
        column(items={"multipleOf": 0.01}), b'{"f":[' + b"7" * MB + b",1]}", **_ASIDE
    ),
    "rounded numbers": lambda: records(
        column(items={"multipleOf": 0.01}),
        b'{"f":[%b]}' % b",".join([b"7" * 3_990 + b".555"] * 4_500),
        repairs=["round_decimals"],
        **_ASIDE,
    ),
    "deep values": lambda: records(
        column(items={"format": "date-time"}),
        b'{"f":[' + (b"[" * 900 + b"]" * 900 + b",") * 10_000 + b"1]}",
        **_ASIDE,
    ),
    # Lines that cannot be read.
    "not a number": lambda: records(
        column(), b'{"f":[' + b"1," * 11 * MB + b"NaN]}", **_ASIDE, max_buffer_bytes=10**9
    ),
    "not numbers deep inside": lambda: records(
        column(),
        b'{"f":' + b"[" * 900 + b"NaN," * 200_000 + b"1" + b"]" * 900 + b"}",
        repairs=["nan_to_null"],
        **_ASIDE,
    ),
    "half characters": lambda: records(
        column(), b'{"f":"' + rb"\ud800" * 2 * MB + b'"}', repairs=["replace_surrogates"], **_ASIDE
    ),
    "one member again": lambda: records(column(), b"{" + b'"a":1,' * 9 * MB + b'"a":1}', **_ASIDE),
    "line breaks": lambda: Hostile(described(column()), b"\n" * MB),
    "a state of 60 MB": lambda: Hostile(
        described(column()), b'{"type":"STATE","value":1,"x":[' + b"1," * 30 * MB + b"1]}\n"
    ),
    # Schemas.
    "lost references": _lost_references,
    "chained references": _long_chain,
    "patterns of Unicode": _unicode_patterns,
    # Files.
    "zipped records": lambda: zipped(b'{"f":1}\n' * 100_000, 100),
    "zipped line breaks": lambda: zipped(b"\n" * MB, 1_000),
    "zipped lines without end": lambda: zipped(b'{"f":"%b","g":NaN}\n' % (b"x" * 20 * MB), 20),
    "zipped nothing": lambda: _file(gzip.compress(b"") * 500_000),
    "row groups": lambda: _parquet([[0] * 5_000] * 50, row_group_size=1),
    "repeated rows": lambda: _parquet([[0] * 20 * MB]),
}
"""Inputs that once delayed the reaction to a signal, and similar ones."""
