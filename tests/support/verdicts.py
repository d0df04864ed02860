"""The verdicts of the target's check and of the local Import API on a schema and a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Raw

from target_stitch_import.app import pipeline_rules
from target_stitch_import.batching.stream import Stream
from target_stitch_import.errors import InputError
from target_stitch_import.local.api.batch import RefusedError, read_batch
from target_stitch_import.local.options import Strictness
from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.singer.messages import Schema
from tests.support.checks import Never
from tests.support.rules import DEFAULTS

if TYPE_CHECKING:
    from tests.support.pairs import Pair

RULES = pipeline_rules(DEFAULTS).stream
DOCUMENTED = {
    "+0000": "an offset without a colon, which the service takes unless it is strict",
    r"\u0000": "U+0000, which databases do not take",
    '"0000-': "the year 0, which most destinations do not take",
}
"""Parts of a record of which the two say different things, and why."""


class Verdicts(NamedTuple):
    """What the target and the service say; empty where they take it.

    `kind` is what the target says it of, or `record` where it says nothing.
    """

    kind: str
    target: str
    service: str

    @property
    def agree(self) -> bool:
        """Tell whether both take it, or both refuse the same."""
        of_schema = self.service.startswith("Invalid JSON schema")
        return bool(self.target) == bool(self.service) and (self.kind == "schema") == of_schema


def verdicts(pair: Pair) -> Verdicts:
    """Return what both say: the service of what the target sends, or of what it refused.

    Raises:
        AssertionError: A quick check of the target lets pass what its exact one refuses.
    """
    message = Schema(1, "t", pair.schema.encode(), pair.keys, ())
    try:
        stream = Stream(message, RULES)
    except InputError as error:
        return Verdicts("schema", str(error), said_of(pair.schema.encode(), (), b"{}"))
    record = Raw(pair.record.encode())
    found = stream.check.examine(record)
    refused = isinstance(found, Refused)
    all_at_once = stream.check.accepts_all(b'[{"data":%b}]' % bytes(record), [record])
    assert not (refused and all_at_once), found
    exact = RecordCheck(
        read_schema(message.schema).root, pair.keys, max_record_bytes=10**7, quick=Never()
    )
    exactly = exact.examine(record)
    assert isinstance(exactly, Refused) == refused, (found, exactly)
    sent = record if isinstance(found, Refused) else found.record
    schema = msgspec.json.decode(stream.prefix(None).arguments, type=_Arguments).schema
    words = str(found) if isinstance(found, Refused) else ""
    return Verdicts("record", words, said_of(bytes(schema), pair.keys, bytes(sent)))


class _Arguments(msgspec.Struct):
    schema: Raw


def said_of(schema: bytes, keys: tuple[str, ...], record: bytes) -> str:
    """Return why the local Import API refuses a record, or nothing."""
    message = {"action": "upsert", "sequence": 1, "data": Raw(record)}
    body = {"table_name": "t", "schema": Raw(schema), "key_names": keys, "messages": [message]}
    try:
        read_batch(msgspec.json.encode(body), Strictness())
    except RefusedError as error:
        return str(error)
    return ""


def is_documented(pair: Pair) -> bool:
    """Tell whether a pair has what the two are known to differ in."""
    return any(part in pair.record for part in DOCUMENTED)
