"""Reads the legacy push and validate requests: an array of records, each checked on its own.

A record's errors have the API's form: `{"reason": {field: [texts]}}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from target_stitch_import.local.api import answers
from target_stitch_import.local.api.batch import Load
from target_stitch_import.local.api.transit import read_transit
from target_stitch_import.local.api.values import (
    INT64,
    MAX_DATA_POINTS,
    MAX_RECORDS,
    MAX_SEQUENCE,
    MalformedError,
    data_points,
    longest_key,
    parse,
    pointer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.local.api.accounts import Source
    from target_stitch_import.local.api.answers import Answer
    from target_stitch_import.local.options import Strictness

MAX_ERRORS = 100
DIGITS_NOTE = "client_id is text; the reference has an integer"
_BLANK = "can't be blank"
UPSERT = "upsert"
SWITCH_VIEW = "switch_view"
"""The action that early clients sent instead of `activate_version`."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """The loads of an accepted push, and notes for the client's author."""

    loads: list[Load]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Loads:
    """The loads of a push: the records of one table with the same keys and version are one load.

    A `switch_view` takes effect between the records before and after it.
    """

    done: list[Load] = field(default_factory=list)
    open: dict[tuple[str, tuple[str, ...], int], Load] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Add one valid record."""
        table, version = record["table_name"], record.get("table_version") or 0
        if record["action"] == SWITCH_VIEW:
            self.close()
            self.done.append(Load(table, (), version, [], [], activate=True))
            return
        keys = tuple(record["key_names"])
        load = self.open.setdefault((table, keys, version), Load(table, keys, version, [], []))
        load.records.append(record["data"])
        load.sequences.append(record["sequence"])

    def close(self) -> list[Load]:
        """Close the open loads, and return all loads in order."""
        self.done += self.open.values()
        self.open = {}
        return self.done


def read_push(
    body: bytes, source: Source, strictness: Strictness, *, transit: bool, any_client: bool
) -> Pushed | Answer:
    """Check a push body in the API's order; return its loads, or the refusal."""
    try:
        records = read_transit(body) if transit else parse(body)
    except MalformedError as error:
        return answers.malformed(str(error))
    if not isinstance(records, list) or not records:
        return answers.NOT_AN_ARRAY
    if len(records) > MAX_RECORDS:
        text = f"A maximum of {MAX_RECORDS} records is allowed"
        return answers.as_json(400, {"status": "ERROR", "message": text})
    refused = _check_clients(records, source, any_client=any_client)
    if refused is not None:
        return refused
    errors: list[Any] = []
    places: list[str] = []
    loads = _Loads()
    for at, record in enumerate(records):
        reasons = _reasons(record, strictness)
        if reasons:
            errors.append({"reason": reasons})
            # A missing field has no place: without others, the record is marked.
            fields = [name for name in reasons if name in record] if type(reasons) is dict else []
            places += [_place(at, name) for name in fields] or [_place(at)]
            if len(errors) == MAX_ERRORS:
                break
            continue
        loads.add(record)
    if errors:
        return answers.unprocessable(errors, tuple(places))
    as_text = any(isinstance(record["client_id"], str) for record in records)
    return Pushed(loads.close(), (DIGITS_NOTE,) if as_text else ())


def _place(*path: str | int) -> str:
    return pointer(path).removeprefix("#")


def _check_clients(records: list[Any], source: Source, *, any_client: bool) -> Answer | None:
    clients = [
        _number(record.get("client_id")) if isinstance(record, dict) else source.client_id
        for record in records
    ]
    if any(client is None for client in clients):
        return answers.NOT_AUTHENTICATED
    first = clients[0]
    # A text that is not a number is an error of each record (422), not another client (403).
    if not any_client and first != source.client_id and not isinstance(first, str):
        return answers.CLIENT_MISMATCH
    if any(client != first for client in clients):
        text = (
            "The batch contains data points for multiple clients."
            f" Only client_id {first} is allowed"
        )
        return answers.unprocessable([{"reason": text}])
    return None


def _number(client_id: Any) -> Any:
    """Return a client ID of digits as a number; any other unchanged."""
    return int(client_id) if _is_digits(client_id) else client_id


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) is not None


def _reasons(record: Any, strictness: Strictness) -> str | dict[str, list[str]]:
    """Return the errors of a record by field, empty if it is valid; a text if it is no object."""
    if not isinstance(record, dict):
        return "record must be an object"
    found: dict[str, list[str]] = {}
    switches = record.get("action") == SWITCH_VIEW and not strictness.strict_push
    checks = _SWITCH_VIEW if switches else _STRICT if strictness.strict_push else _CHECKS
    for name, check in checks.items():
        texts = check(record.get(name))
        if texts:
            found[name] = texts
    if "data" in checks and not found:
        text = _data_reason(record["data"], record["key_names"], strictness)
        if text:
            found["data"] = [text]
    for name in record:
        if name not in checks:
            found[name] = ["unknown key"]
    return found


def _data_reason(data: dict[str, Any], key_names: list[str], strictness: Strictness) -> str:
    longest = longest_key(strictness)
    for name in key_names:
        if name not in data or isinstance(data[name], dict | list):
            return "data must include keys"
        value = data[name]
        if value is None:
            return "keys cannot not be null in data"
        if isinstance(value, str) and len(value) > longest:
            return f"String keys cannot be longer than {longest} characters"
    if strictness.count_data_points and data_points(data) > MAX_DATA_POINTS:
        return "data has too many data points"
    return ""


def _client_id(value: Any) -> list[str]:
    return [] if _is_digits(value) else _whole_number(value)


def _table_name(value: Any) -> list[str]:
    if value is None or value == "":
        return [_BLANK]
    return [] if isinstance(value, str) else ["should be a string"]


def _sequence(value: Any) -> list[str]:
    if value is None:
        return [_BLANK]
    wrong = _whole_number(value)
    if not wrong and value > MAX_SEQUENCE:
        return [f"can not be above {MAX_SEQUENCE}"]
    if not wrong and value < INT64.start:
        return [f"can not be below {INT64.start}"]
    return wrong


def _whole_number(value: Any) -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool):
        return []
    if isinstance(value, Decimal):
        return ["should be an integer"]
    return ["should be an integer", "should be a number"]


def _action(value: Any) -> list[str]:
    if value is None or value == "":
        return [_BLANK]
    return [] if value == UPSERT else ["is not a valid action"]


def _key_names(value: Any) -> list[str]:
    if value is None or value == []:
        return [_BLANK]
    if not isinstance(value, list):
        return ["should be an array"]
    return [] if all(isinstance(name, str) for name in value) else ["should be strings"]


def _data(value: Any) -> list[str]:
    if value is None:
        return [_BLANK]
    return [] if isinstance(value, dict) else ["data must be an object"]


def _table_version(value: Any) -> list[str]:
    if value is None:
        return []
    wrong = _whole_number(value)
    return wrong or ([] if value in INT64 else ["is out of range"])


def _namespace(value: Any) -> list[str]:
    return [] if value is None or isinstance(value, str) else ["should be a string"]


_STRICT = {
    "client_id": _whole_number,
    "table_name": _table_name,
    "sequence": _sequence,
    "action": _action,
    "key_names": _key_names,
    "data": _data,
    "table_version": _table_version,
}
# The Java and Clojure clients put a namespace into each message, which has no effect.
_CHECKS = {**_STRICT, "client_id": _client_id, "namespace": _namespace}
_SWITCH_VIEW: dict[str, Callable[[Any], list[str]]] = {
    **{name: check for name, check in _CHECKS.items() if name not in ("key_names", "data")},
    "action": lambda _value: [],
    "table_version": lambda value: [_BLANK] if value is None else _table_version(value),
}
