"""Generates records as taps write them: SQL tables of the SDK's taps, tap-postgres, documents.

Generated from a seed, like those in `records.py`, with the schemas that such taps declare.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from records import WORDS, WORDS_OF_MANY_SCRIPTS, Literal, encode

if TYPE_CHECKING:
    import random

    from workloads import Workload

Json = dict[str, Any]

_START: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - as databases have them
_INT32: Final = 2**31 - 1


def _moment(choose: random.Random, *, fraction: bool) -> str:
    """Return a date-time without offset; Python leaves out a fraction that is zero."""
    seconds = timedelta(seconds=choose.getrandbits(24), milliseconds=choose.getrandbits(9))
    return (_START + (seconds if fraction else timedelta(seconds=seconds.seconds))).isoformat()


def _decimal(choose: random.Random, scale: int) -> Literal:
    return Literal(f"{choose.randrange(-(10**6), 10**7)}.{choose.randrange(10**scale):0{scale}d}")


def _text(choose: random.Random, words: int) -> str:
    return " ".join(choose.choices(WORDS, k=words))


def _or_null(value: Any, choose: random.Random) -> Any:
    return None if choose.random() < 0.05 else value


# A table as the SDK's taps for SQL databases describe it: tap-mssql, tap-mysql and others.


def sql_schema(_: int) -> Json:
    """Return a schema of 20 columns."""
    whole = {"type": ["integer", "null"], "minimum": -_INT32 - 1, "maximum": _INT32}
    money = {
        "type": ["number", "null"],
        "minimum": -9999999999.99,
        "maximum": 9999999999.99,
        "multipleOf": 0.01,
    }
    rate = money | {"minimum": -99999999.9999, "maximum": 99999999.9999, "multipleOf": 0.0001}
    text = {"type": ["string", "null"], "maxLength": 255}
    moment = {"type": ["string", "null"], "format": "date-time"}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            "updated_at": {"type": "string", "format": "date-time"},
            **{f"text_{at}": text for at in range(6)},
            **{f"whole_{at}": whole for at in range(3)},
            **{f"money_{at}": money for at in range(3)},
            "rate_0": rate,
            "rate_1": rate,
            "moment_0": moment,
            "moment_1": moment,
            "day": {"type": ["string", "null"], "format": "date"},
            "is_open": {"type": ["boolean", "null"]},
        },
        "required": ["id", "updated_at"],
    }


def sql_record(number: int, workload: Workload, choose: random.Random) -> tuple[str, str]:
    """Return one record as compact JSON text, and its bookmark value."""
    updated_at = (_START + timedelta(seconds=number)).isoformat()
    words = max(1, workload.text_bytes // (7 * 6))
    record: Json = {
        "id": number + 1,
        "updated_at": updated_at,
        **{f"text_{at}": _or_null(_text(choose, words), choose) for at in range(6)},
        **{f"whole_{at}": _or_null(choose.getrandbits(30), choose) for at in range(3)},
        **{f"money_{at}": _or_null(_decimal(choose, 2), choose) for at in range(3)},
        "rate_0": _or_null(_decimal(choose, 4), choose),
        "rate_1": _or_null(_decimal(choose, 4), choose),
        "moment_0": _or_null(_moment(choose, fraction=False), choose),
        "moment_1": _or_null(_moment(choose, fraction=True), choose),
        "day": updated_at[:10],
        "is_open": choose.random() < 0.5,
    }
    return encode(record, escaped=True, compact=True), updated_at


# A table as tap-postgres describes it, in the variant that most installations have.


def _numeric(precision: int, scale: int) -> Json:
    return {
        "type": ["null", "number"],
        "exclusiveMaximum": True,
        "maximum": 10 ** (precision - scale),
        "multipleOf": 10**-scale,
        "exclusiveMinimum": True,
        "minimum": -(10 ** (precision - scale)),
    }


def postgres_schema(_: int) -> Json:
    """Return a schema of 23 columns."""
    whole = {"type": ["null", "integer"], "minimum": -_INT32 - 1, "maximum": _INT32}
    moment = {"type": ["null", "string"], "format": "date-time"}
    return {
        "type": "object",
        "properties": {
            "id": {"type": ["integer"], "minimum": -(2**63), "maximum": 2**63 - 1},
            "updated_at": moment,
            **{f"text_{at}": {"type": ["null", "string"], "maxLength": 200} for at in range(4)},
            **{f"free_{at}": {"type": ["null", "string"]} for at in range(2)},
            **{f"whole_{at}": whole for at in range(4)},
            **{f"money_{at}": _numeric(12, 2) for at in range(4)},
            **{f"exact_{at}": _numeric(100, 38) for at in range(2)},
            **{f"moment_{at}": moment for at in range(3)},
            **{f"is_{at}": {"type": ["null", "boolean"]} for at in range(2)},
        },
    }


def postgres_record(number: int, workload: Workload, choose: random.Random) -> tuple[str, str]:
    """Return one record as JSON text, and its bookmark value."""
    updated_at = f"{(_START + timedelta(seconds=number)).isoformat()}+00:00"
    words = max(1, workload.text_bytes // (7 * 6))
    record: Json = {
        "id": number + 1,
        "updated_at": updated_at,
        **{f"text_{at}": _or_null(_text(choose, words), choose) for at in range(4)},
        **{f"free_{at}": _or_null(_text(choose, words), choose) for at in range(2)},
        **{f"whole_{at}": _or_null(choose.getrandbits(30), choose) for at in range(4)},
        **{f"money_{at}": _or_null(_decimal(choose, 2), choose) for at in range(4)},
        **{f"exact_{at}": _or_null(_decimal(choose, 9), choose) for at in range(2)},
        **{f"moment_{at}": f"{_moment(choose, fraction=at > 0)}+00:00" for at in range(3)},
        **{f"is_{at}": choose.random() < 0.5 for at in range(2)},
    }
    return encode(record, escaped=True), updated_at


# Documents: orders with lines, as taps for shops and document databases write them.


def documents_schema(_: int) -> Json:
    """Return a schema with money in arrays of objects, enumerations, alternatives and `$ref`."""
    moment = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
    text = {"type": ["null", "string"]}
    line = {
        "type": "object",
        "properties": {
            "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
            "title": text,
            "count": {"type": "integer", "minimum": 0},
            "price": {"$ref": "#/definitions/money"},
            "discount": {"$ref": "#/definitions/money"},
            "shipped_at": moment,
        },
        "required": ["sku", "price"],
    }
    return {
        "type": "object",
        "definitions": {
            "money": {"type": ["null", "number"], "multipleOf": 0.01, "minimum": 0},
            "person": {
                "type": ["null", "object"],
                "properties": {
                    "name": text,
                    "email": {"anyOf": [{"type": "string", "maxLength": 254}, {"type": "null"}]},
                    "born_at": moment,
                    "balance": {"$ref": "#/definitions/money"},
                },
            },
        },
        "properties": {
            "id": {"type": "integer"},
            "updated_at": {"type": "string", "format": "date-time"},
            "closed_at": {
                "anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]
            },
            "status": {"type": ["null", "string"], "enum": ["new", "paid", "shipped", None]},
            "channel": {"enum": ["web", "shop", None]},
            "customer": {"$ref": "#/definitions/person"},
            "payer": {"$ref": "#/definitions/person"},
            "total": {"$ref": "#/definitions/money"},
            "lines": {"type": ["null", "array"], "items": line},
            "tags": {"type": "array", "items": {"type": "string"}},
            "note": text,
        },
        "required": ["id", "updated_at"],
    }


def documents_record(number: int, workload: Workload, choose: random.Random) -> tuple[str, str]:
    """Return one record as JSON text, and its bookmark value."""
    updated_at = f"{(_START + timedelta(seconds=number)).isoformat()}Z"
    words = max(1, workload.text_bytes // 25)

    def moment() -> Any:
        return _or_null(f"{_moment(choose, fraction=True)}Z", choose)

    def money() -> Literal:
        return Literal(f"{choose.randrange(1_000)}.{choose.randrange(100):02d}")

    def person() -> Json:
        return {
            "name": " ".join(choose.choices(WORDS_OF_MANY_SCRIPTS, k=2)),
            "email": f"{choose.choice(WORDS)}@example.com",
            "born_at": moment(),
            "balance": money(),
        }

    record: Json = {
        "id": number + 1,
        "updated_at": updated_at,
        "closed_at": moment(),
        "status": choose.choice(["new", "paid", "shipped", None]),
        "channel": choose.choice(["web", "shop", None]),
        "customer": person(),
        "payer": _or_null(person(), choose),
        "total": money(),
        "lines": [
            {
                "sku": f"ABC-{choose.getrandbits(16)}",
                "title": " ".join(choose.choices(WORDS_OF_MANY_SCRIPTS, k=3)),
                "count": choose.randrange(1, 20),
                "price": money(),
                "discount": _or_null(money(), choose),
                "shipped_at": moment(),
            }
            for _ in range(choose.randrange(1, 4))
        ],
        "tags": choose.choices(WORDS_OF_MANY_SCRIPTS, k=choose.randrange(4)),
        "note": " ".join(choose.choices(WORDS_OF_MANY_SCRIPTS, k=words)),
    }
    # Taps differ: most escape what is not ASCII, the SDK's faster ones do not.
    return encode(record, escaped=bool(number % 2)), updated_at
