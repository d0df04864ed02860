"""Generates the workloads' records and schemas: plain, constrained and varied columns.

Generated from a seed, so that the same arguments give the same text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random

    from workloads import Workload

Json = dict[str, Any]

_EPOCH: Final = datetime(2024, 1, 1, tzinfo=timezone.utc)

# Long enough that no cache or parser profits from repeats.
_WORDS: Final = (
    "amber basin cedar delta ember fjord grove haven inlet jetty knoll ledge marsh north ocean "
    "prairie quarry ridge slope tundra upland valley willow zenith anchor bridge copper dynamo "
    "engine fabric garnet hammer ingot kettle ladder magnet needle oxygen piston quartz rivet"
)
WORDS: Final = _WORDS.split()
WORDS_OF_MANY_SCRIPTS: Final = [
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


# Plain records: the columns of an ordinary relational table.

_PLAIN_KINDS: Final = ("text", "integer", "number", "boolean", "date-time", "text", "integer")


def plain_schema(columns: int) -> Json:
    """Return the schema of `plain_record`: `id`, `updated_at`, then `_PLAIN_KINDS` in turn."""
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


def constrained_schema(columns: int) -> Json:
    """Return a schema of the same records with rules beyond types: it needs a validator."""
    schema = plain_schema(columns)
    for name, column in schema["properties"].items():
        kind = name.rpartition("_")[0]
        if kind == "text":
            column["maxLength"] = 4_000
        elif kind == "integer":
            column |= {"minimum": -(2**63), "maximum": 2**63 - 1}
        elif kind == "number":
            column["multipleOf"] = 0.01
        elif kind == "date_time":
            schema["properties"][name] = {
                "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]
            }
    return schema


def plain_record(number: int, workload: Workload, choose: random.Random) -> tuple[str, str]:
    """Return one record as JSON text, and its bookmark value."""
    offset = _moment(0)[19:] if workload.kind == "naive" else ""
    updated_at = _moment(number).removesuffix(offset)
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
            value = f'"{_moment(choose.getrandbits(24)).removesuffix(offset)}"'
        parts.append(f'"{kind.replace("-", "_")}_{index}": {value}')
    return "{" + ", ".join(parts) + "}", updated_at


# Varied records: what taps for document stores and for databases with many constraints send.


def varied_schema(_: int) -> Json:
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
    text = " ".join(choose.choices(WORDS_OF_MANY_SCRIPTS, k=words))
    pick = choose.random
    record: Json = {
        "id": number + 1,
        "updated_at": updated_at,
        "created_at": _moment(choose.getrandbits(24)) if pick() < 0.9 else None,
        "born_on": f"19{choose.randrange(40, 99)}-0{choose.randrange(1, 9)}-1{choose.randrange(9)}",
        "status": choose.choice(["new", "paid", "shipped", None]),
        "kind": choose.choice(["order", "return", 1, 2]),
        "name": " ".join(choose.choices(WORDS_OF_MANY_SCRIPTS, k=3)),
        "email": f"{choose.choice(WORDS)}@example.com" if pick() < 0.8 else None,
        "amount": Literal(f"{choose.randrange(100_000)}.{choose.randrange(100):02d}"),
        "tax": Literal(f"0.{choose.randrange(100):02d}"),
        "rate": Literal(f"0.{choose.randrange(1_000_000):06d}") if pick() < 0.7 else None,
        "quantity": choose.randrange(10_000),
        "is_gift": choose.choice([True, False, None]),
        "billing": _address(choose),
        "shipping": _address(choose) if pick() < 0.5 else None,
        "tags": choose.choices(WORDS_OF_MANY_SCRIPTS, k=choose.randrange(4)),
        "scores": [Literal(f"{pick():.3f}") for _ in range(choose.randrange(4))],
        "lines": [
            {
                "sku": f"{choose.choice(WORDS)}-{choose.getrandbits(16)}",
                "count": choose.randrange(1, 20),
                "price": Literal(f"{choose.randrange(1_000)}.{choose.randrange(100):02d}"),
            }
            for _ in range(choose.randrange(3))
        ],
        "custom": {word: word.upper() for word in choose.sample(WORDS, k=2)},
        "number_or_text": choose.choice([None, 12, Literal("3.5"), "twelve"]),
        "one_of": choose.choice([None, 7, "seven"]),
        "note": text,
    }
    if pick() < 0.1:
        record["legacy"] = None
    # Taps differ: most escape what is not ASCII, the SDK's faster ones do not.
    return encode(record, escaped=bool(number % 2)), updated_at


@dataclass(frozen=True, slots=True)
class Literal:
    """A number whose text is kept: `0.10` stays `0.10`, as databases' decimals do."""

    text: str


def encode(value: Any, *, escaped: bool, compact: bool = False) -> str:
    """Return a value as JSON text, with the digits of literals as they are."""
    comma, colon = (",", ":") if compact else (", ", ": ")
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        members = (
            encode(key, escaped=escaped) + colon + encode(item, escaped=escaped, compact=compact)
            for key, item in value.items()
        )
        return "{" + comma.join(members) + "}"
    if isinstance(value, list):
        items = (encode(item, escaped=escaped, compact=compact) for item in value)
        return "[" + comma.join(items) + "]"
    return json.dumps(value, ensure_ascii=escaped)


def _address(choose: random.Random) -> Json:
    return {
        "street": f"{choose.choice(WORDS_OF_MANY_SCRIPTS)} {choose.randrange(1, 200)}",
        "city": choose.choice(WORDS_OF_MANY_SCRIPTS),
        "zip": f"{choose.randrange(100_000):05d}",
        "position": {
            "latitude": Literal(f"{choose.uniform(-90, 90):.6f}"),
            "longitude": Literal(f"{choose.uniform(-180, 180):.6f}"),
        },
    }


def _moment(seconds: int) -> str:
    """Return a date-time some seconds after the start of 2024, as most taps write it."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()
