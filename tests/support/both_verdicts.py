"""Compares the target's check with that of the local Import API, on a schema and a record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Raw

from target_stitch_import.errors import InputError
from target_stitch_import.local.api.batch import RefusedError, read_batch
from target_stitch_import.local.options import Strictness
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.quick_checks import ExamineAll
from tests.support.defaults import pipeline
from tests.support.pipelines import feed, take
from tests.support.record_checks import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from tests.support.schemas_and_records import Pair

DOCUMENTED = {
    "+0000": "an offset without a colon, which the service takes unless it is strict",
    r"\u0000": "U+0000, which databases do not accept",
    '"0000-': "the year 0, which most destinations do not take",
}
"""Parts of a record on which the two are known to disagree, and why."""


class Verdicts(NamedTuple):
    """The reasons of target and service; empty if they accept schema and record.

    `kind` is what the target refuses: `schema` or `record`; `record` if it refuses nothing.
    """

    kind: str
    target: str
    service: str

    @property
    def agree(self) -> bool:
        """Return whether both accept schema and record, or both refuse the same one."""
        of_schema = self.service.startswith("Invalid JSON schema")
        is_defect = self.kind == "schema" and "no record fits it" not in self.target
        return bool(self.target) == bool(self.service) and is_defect == of_schema


def verdicts(pair: Pair) -> Verdicts:
    """Return both verdicts: the service checks what the target sends, or what it refuses.

    Raises:
        AssertionError: The target's quick checks and its exact check disagree.
    """
    described = f'"schema":{pair.schema},"key_properties":{json.dumps(pair.keys)}'
    target = pipeline(dead_letter=True)
    try:
        feed(target, [f'{{"type":"SCHEMA","stream":"t",{described}}}'])
    except InputError as error:
        schema = Raw(pair.schema.encode())
        request = {"table_name": "t", "schema": schema, "key_names": pair.keys}
        reason = _service_reason(msgspec.json.encode(request), pair.record.encode())
        return Verdicts("schema", str(error), reason)
    feed(target, [f'{{"type":"RECORD","stream":"t","record":{pair.record}}}'])
    target.close()
    is_refused = bool(target.to_set_aside)
    assert _is_refused_exactly(pair) == is_refused, pair
    if is_refused:
        (refused,) = target.to_set_aside
        reason = _service_reason(refused.prefix.arguments, pair.record.encode())
        return Verdicts("record", refused.reason, reason)
    (batch,) = take(target)
    return Verdicts("record", "", _reason(batch.body))


def _is_refused_exactly(pair: Pair) -> bool:
    exact = RecordCheck(
        read_schema(pair.schema.encode()).root,
        pair.keys,
        max_record_bytes=MAX_RECORD_BYTES,
        quick=ExamineAll(),
    )
    return isinstance(exact.examine(Raw(pair.record.encode())), Refused)


def _service_reason(request: bytes, record: bytes) -> str:
    """Return why the local Import API refuses a record; empty if it accepts it."""
    message = {"action": "upsert", "sequence": 1, "data": Raw(record)}
    arguments = msgspec.json.decode(request, type=dict[str, Raw])
    return _reason(msgspec.json.encode({**arguments, "messages": [message]}))


def _reason(body: bytes) -> str:
    try:
        read_batch(body, Strictness())
    except RefusedError as error:
        return str(error)
    return ""


def is_documented(pair: Pair) -> bool:
    """Return whether a pair has a part on which the two are known to disagree."""
    return any(part in pair.record for part in DOCUMENTED)
