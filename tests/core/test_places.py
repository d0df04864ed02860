"""Which date-times of a record are completed, and that nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from target_stitch_import.schema.checks import Passed, RecordCheck
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.places import places_of
from tests.support.record_checks import MAX_RECORD_BYTES, check, columns, verdict

NAIVE = [
    ("2024-01-31T10:00:00", "2024-01-31T10:00:00Z"),
    ("2024-01-31 10:00:00.5", "2024-01-31T10:00:00.5Z"),
    ("2024-01-31T10:00:00+02:00", "2024-01-31T10:00:00+02:00"),
]


@pytest.mark.parametrize(("given_text", "sent"), NAIVE)
@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        ({"type": "string", "format": "date-time"}, "%s"),
        ({"type": ["null", "string"], "format": "date-time"}, "%s"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "%s"),
        ({"items": {"format": "date-time"}, "type": "array"}, "[1.50,%s]"),
        (columns(g={"type": "string", "format": "date-time"}), '{"a": 1.50 ,"g":%s}'),
    ],
)
def test_naive_date_times_are_completed_and_nothing_else_changes(
    schema: Any, shape: str, given_text: str, sent: str
) -> None:
    if schema.get("type") == "array":
        schema = schema | {"items": {"anyOf": [{"type": "number"}, schema["items"]]}}
    before, after = (
        '{"f":' + shape % json.dumps(text) + ',"n":1.10}' for text in (given_text, sent)
    )
    passed = check(columns(f=schema)).examine(Raw(before.encode()))
    assert isinstance(passed, Passed)
    sent_text = bytes(passed.record).decode()
    unspaced = after.replace(" ,", ",").replace('": ', '":')
    assert sent_text.replace(" ,", ",").replace('": ', '":') == unspaced
    assert bool(passed.notes) == (given_text != sent)
    kept = check(columns(f=schema), naive="keep").examine(Raw(before.encode()))
    assert isinstance(kept, Passed)
    assert bytes(kept.record) == before.encode()
    failed = check(columns(f=schema), naive="fail").examine(Raw(before.encode()))
    assert isinstance(failed, Refused) == (given_text != sent)


@pytest.mark.parametrize("keep", ["keep", "utc"])
def test_an_invalid_date_time_is_refused_under_every_policy(keep: str) -> None:
    schema = columns(f={"type": "string", "format": "date-time"})
    assert "date-time" in verdict(check(schema, naive=keep), '{"f": "tomorrow"}')


@pytest.mark.parametrize(
    ("schema", "text", "completed"),
    [
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}, None, False),
        (
            {"oneOf": [{"format": "date-time"}, {"anyOf": [{"type": "string"}, {"minimum": 1}]}]},
            None,
            False,
        ),
        ({"allOf": [{"type": "string", "format": "date-time"}]}, None, True),
        ({"additionalProperties": {"format": "date-time"}}, '{"x":%s}', True),
        (
            {"patternProperties": {"^x": {}}, "additionalProperties": {"format": "date-time"}},
            '{"x":%s}',
            False,
        ),
        ({"$ref": "#/definitions/node"}, '{"next":{"next":{"at":%s}}}', True),
    ],
)
def test_a_naive_date_time_is_completed_only_where_the_schema_requires_one(
    schema: Any,
    text: str | None,
    completed: bool,  # noqa: FBT001
) -> None:
    """Wherever the schema requires a date-time, and only there."""
    naive = {"type": "string", "format": "date-time"}
    node = columns(at=naive, next={"$ref": "#/definitions/node"})
    value = (text or "%s") % '"2024-01-01T00:00:00"'
    whole = columns(f=schema, other=naive) | {"definitions": {"node": node}}
    for other in ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00"):
        passed = check(whole).examine(Raw(f'{{"f":{value},"other":"{other}"}}'.encode()))
        assert isinstance(passed, Passed)
        assert (b'00:00:00Z"' in bytes(passed.record).split(b'"other"')[0]) == completed


def test_notes_do_not_show_names_that_are_data() -> None:
    schema = {
        "properties": {
            "seen": {"additionalProperties": {"type": "string", "format": "date-time"}},
        }
    }
    check = RecordCheck(
        read_schema(json.dumps(schema).encode()).root, (), max_record_bytes=MAX_RECORD_BYTES
    )
    passed = check.examine(Raw(b'{"seen":{"somebody@example.com":"2024-01-01T00:00:00"}}'))
    assert isinstance(passed, Passed)
    assert list(passed.notes) == ["/seen/*"]
    assert bytes(passed.record) == b'{"seen":{"somebody@example.com":"2024-01-01T00:00:00Z"}}'


def test_the_size_limit_applies_to_completed_date_times() -> None:
    schema = {"properties": {"at": {"type": "string", "format": "date-time"}}}
    record = Raw(b'{"at":"2024-01-01T00:00:00","x":"%b"}' % (b"x" * 30_000))
    check = RecordCheck(
        read_schema(json.dumps(schema).encode()).root, (), max_record_bytes=len(record)
    )
    assert isinstance(check.examine(record), Refused)


MOMENT = {"type": "string", "format": "date-time"}
TEXT = {"type": "string"}


@pytest.mark.parametrize("kinds", [("t", "s"), ("s", "t")], ids="first {0[0]}".format)
def test_a_date_time_of_one_alternative_is_not_rewritten_in_another(kinds: tuple[str, ...]) -> None:
    """Also not if another value of the record is rewritten."""
    values = {"t": MOMENT, "s": TEXT}
    alternatives = [columns(k={"enum": [kind]}, v=values[kind]) for kind in kinds]
    subject = check(
        columns(d=MOMENT, m={"anyOf": alternatives}, l={"items": {"anyOf": alternatives}})
    )
    naive, completed = "2024-01-01 00:00:00", "2024-01-01T00:00:00Z"
    record = '{"d":"%s","m":{"k":"%s","v":"%s"},"l":[{"k":"%s","v":"%s"}]}'
    for kind, sent in (("s", naive), ("t", completed)):
        passed = subject.examine(Raw((record % (naive, kind, naive, kind, naive)).encode()))
        assert isinstance(passed, Passed)
        expected = record % (completed, kind, sent, kind, sent)
        assert json.loads(bytes(passed.record)) == json.loads(expected)


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("below", ["m", "l"])
def test_a_date_time_of_one_alternative_is_not_rewritten_where_another_has_no_rule(
    below: str,
    is_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    moment, other = columns(v=MOMENT) | {"required": ["x"]}, {"required": ["y"]}
    union = {"anyOf": [moment, other] if is_first else [other, moment]}
    subject = check(columns(d=MOMENT, m=union, l={"type": "array", "items": union}))
    naive, completed = "2024-01-01 00:00:00", "2024-01-01T00:00:00Z"
    for name, sent in (("y", naive), ("x", completed)):
        member = {name: 1, "v": naive}
        record = {"d": naive, below: [member] if below == "l" else member}
        passed = subject.examine(Raw(json.dumps(record).encode()))
        assert isinstance(passed, Passed)
        member = {name: 1, "v": sent}
        expected = {"d": completed, below: [member] if below == "l" else member}
        assert json.loads(bytes(passed.record)) == expected


def test_only_alternatives_that_need_not_apply_are_ambiguous() -> None:
    below, null = columns(v=MOMENT), {"type": "null"}
    array = {"type": "array", "items": MOMENT}
    for union, is_ambiguous in (
        ([below, null], False),
        ([below, array], False),
        ([below, {"allOf": [below]}], True),
        ([array, {"items": {}}], True),
        ([{"required": ["a"]}, {"required": ["b"]}], False),
    ):
        place = places_of(
            read_schema(json.dumps(columns(m={"anyOf": union}, d=MOMENT)).encode()).root
        )
        assert place is not None
        assert place.leads_to_ambiguous() == is_ambiguous, union
