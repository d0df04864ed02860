"""Date-times rewritten in all records at once: the same result as one by one."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.schema.checks import Passed, RecordCheck
from target_stitch_import.schema.date_times import SHAPE, respelled, respelling
from target_stitch_import.schema.draft4 import read_schema

MOMENT = {"type": ["null", "string"], "format": "date-time"}
SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "at": MOMENT,
        "sealed": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
        "a t": {"type": "string", "format": "date-time"},
        "é": MOMENT,
        "a/b": MOMENT,
        "nested": {"type": "object"},
        "note": {"type": ["null", "string"]},
    },
}
SPELLINGS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["2024-02-29", "2023-12-31", "2023-02-29", "0000-00-00", "0001-01-01"]),
    st.sampled_from(["T", "T", "T", " ", "t"]),
    st.sampled_from(["00:00:00", "23:59:59", "12:30", "24:00:00"]),
    st.sampled_from(["", "", ".1", ".123456", ",5", ".1234567891", "."]),
    st.sampled_from(["", "", "", "Z", "z", " UTC", "+00", "+0530", "-08:00", "+00:53:28", "+1"]),
).map(lambda text: f'"{text}"')
VALUES = st.one_of(
    SPELLINGS,
    st.sampled_from(["null", '"2024-01-01T00:00:00"', '"2024-01-01T00:00:00Z"', '"tomorrow"']),
    st.sampled_from(['"2024\\u002d01-01T00:00:00"', "5", "[]", '"at"', '"\\"at\\":"']),
)
NAMES = st.sampled_from(
    [
        *('"at"', '"at"', '"at"', '"sealed"', '"a t"', '"note"', '"other"', '"é"', '"a/b"'),
        *('"a\\u0074"', '"\\"at"', '"\\u00E9"', '"a\\/b"'),
    ]
)
COLONS = st.sampled_from([":", ": ", " : ", ":  ", ":\t"])


@st.composite
def records(draw: st.DrawFn) -> list[str]:
    """Return similar records, like those of a tap."""
    colon, comma = draw(COLONS), draw(st.sampled_from([",", ", "]))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=json.loads))
    many = draw(st.integers(1, 4))
    spellings = {name: draw(VALUES) for name in names}
    found = []
    for number in range(many):
        if draw(st.integers(0, 9)) == 0:
            names = draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=json.loads))
            colon = draw(COLONS)
        members = [f'"id"{colon}{number}']
        nests_at = draw(st.integers(0, 8))
        for place, name in enumerate(names):
            value = draw(VALUES) if draw(st.booleans()) else spellings.get(name, "null")
            if place == nests_at:
                inner, apart = draw(NAMES), draw(COLONS)
                members.append(f'"nested"{colon}{{{inner}{apart}{value}}}')
            members.append(f"{name}{colon}{value}")
        found.append(f"{{{comma.join(members)}}}")
    return found


def tokens(text: bytes) -> Any:
    """Return the tokens without spaces and escapes, which can differ when records are encoded."""
    return json.loads(text, object_pairs_hook=list, parse_float=str, parse_int=str)


def check(naive: str = "utc", repairs: tuple[str, ...] = ()) -> RecordCheck:
    root = read_schema(json.dumps(SCHEMA).encode()).root
    return RecordCheck(
        root, ("id",), naive_datetimes=naive, repairs=repairs, max_record_bytes=10_000
    )


def message(record: bytes) -> bytes:
    return b'{"action":"upsert","sequence":1,"data":%b,"time_extracted":"x"}' % record


@settings(max_examples=1_000)
@given(
    records(),
    st.sampled_from(["utc", "keep", "fail"]),
    st.sampled_from([(), ("invalid_dates_to_null", "clamp_dates")]),
    st.sampled_from(
        ['{"id":0}', '{"id":0,"at":"2024-01-01T00:00:00"}', '{"id":0,"at":"2024-01-01 00:00:00"}']
    ),
)
def test_rewriting_records_together_gives_the_same_as_one_by_one(
    texts: list[str],
    naive: str,
    repairs: tuple[str, ...],
    before: str,
) -> None:
    """Whatever the group before them needed, which is tried first."""
    one_by_one = [check(naive, repairs).examine(Raw(text.encode())) for text in texts]
    together = check(naive, repairs)
    together.accepted(b"[%b]" % message(before.encode()), len(before))
    messages = b"[%b]" % b",".join(message(text.encode()) for text in texts)
    passed = together.accepted(messages, max(map(len, texts)))
    if passed is None:
        return
    notes: dict[str, str] = {}
    repaired: Counter[tuple[str, str]] = Counter()
    expected = []
    for each in one_by_one:
        assert isinstance(each, Passed), str(each)
        notes |= each.notes
        repaired.update(each.repaired)
        expected.append(message(bytes(each.record)))
    assert tokens(passed.messages) == tokens(b"[%b]" % b",".join(expected))
    assert passed.notes == notes
    assert passed.repaired == repaired


TOGETHER = [
    # what a tap writes, what is sent, the repair that is counted
    ("2024-01-01T00:00:00", "2024-01-01T00:00:00Z", None),
    ("2024-01-01T00:00:00.123456", "2024-01-01T00:00:00.123456Z", None),
    ("2024-01-01 00:00:00", "2024-01-01T00:00:00Z", None),
    ("2024-01-01 00:00:00.5+00", "2024-01-01T00:00:00.5+00:00", "date_time_spelling"),
    ("2024-01-01T00:00:00.000000+0530", "2024-01-01T00:00:00.000000+05:30", "date_time_spelling"),
    ("0000-00-00 00:00:00", None, "invalid_dates_to_null"),
]


@pytest.mark.parametrize(("spelling", "sent", "repair"), TOGETHER)
@pytest.mark.parametrize("template", ['{"id": %d, "at": %s, "n": 1.10}', '{"id":%d,"at":%s}'])
@pytest.mark.parametrize("repairs", [(), ("invalid_dates_to_null",)])
def test_common_date_time_formats_are_rewritten_together(
    spelling: str, sent: str | None, repair: str | None, template: str, repairs: tuple[str, ...]
) -> None:
    spellings = [spelling, "2024-01-01T00:00:00Z", spelling, None]
    texts = [template % (at, json.dumps(each)) for at, each in enumerate(spellings)]
    expected = [
        template % (at, json.dumps(sent if each == spelling else each))
        for at, each in enumerate(spellings)
    ]
    messages, new = (
        b"[%b]" % b",".join(message(text.encode()) for text in each) for each in (texts, expected)
    )
    passed = check(repairs=repairs).accepted(messages, max(map(len, texts)))
    if sent is None and not repairs:
        assert passed is None
        return
    assert passed is not None
    assert passed.messages == new
    assert passed.repaired == ({("/at", repair): 2} if repair else {})
    assert list(passed.notes) == ([] if repair else ["/at"])


UNCLEAR = [
    '{"id":1,"a\\u0074":"2024-01-01T00:00:00","nested":{"at":"2024-01-01T00:00:00"}}',
    '{"id":1,"nested":{"at":"2024-01-01T00:00:00"},"at":"2024-01-01T00:00:00"}',
    '{"id":1,"nested":{"at":"2024-01-01T00:00:00z"},"at":"2024-01-01T00:00:00z"}',
    '{"id":1,"at":"2024-01-01T00:00:00","nested":{"at":"2024-01-01T00:00:00"}}',
    '{"id":1,"at":"2024-01-01T00:00:00Z","at":"2024-01-01T00:00:00z"}',
    '{"id":1,"at":"yesterday","nested":{"at":null}}',
]


@pytest.mark.parametrize("record", UNCLEAR)
@pytest.mark.parametrize("naive", ["utc", "keep"])
def test_ambiguous_names_are_not_rewritten_together(record: str, naive: str) -> None:
    messages = b"[%b]" % message(record.encode())
    passed = check(naive).accepted(messages, len(record))
    assert passed is None or (naive == "keep" and passed.messages == messages)


@pytest.mark.parametrize(
    ("name", "apart"),
    [
        ("at", '"a\\u0074":'),
        ("é", '"\\u00e9":'),
        ("é", '"\\u00E9":'),
        ("a/b", '"a\\/b":'),
        ("at", '"at" :'),
        ("at", '"at":  '),
        ("at", '"at":\t'),
        ("at", '"at"\t: '),
    ],
)
def test_a_differently_written_name_does_not_hide_a_nested_one(name: str, apart: str) -> None:
    texts = [
        f'{{"id":1,"{name}":"2024-01-01T00:00:00"}}'.encode(),
        f'{{"id":2,{apart}"2024-01-01T00:00:00Z","nested":{{"{name}":"2024-01-01T00:00:00"}}}}'
        .encode(),
    ]  # fmt: skip
    messages = b"[%b]" % b",".join(map(message, texts))
    assert check().accepted(messages, max(map(len, texts))) is None


@pytest.mark.parametrize("name", ["a/b", "é", "a t"])
@pytest.mark.parametrize("colon", [":", ": ", " : ", ":\t"])
def test_a_name_is_found_with_any_white_space(name: str, colon: str) -> None:
    text = f'{{"id":1,"{name}"{colon}"2024-01-01T00:00:00"}}'.encode()
    passed = check().accepted(b"[%b]" % message(text), len(text))
    assert passed is not None
    assert passed.messages == b"[%b]" % message(text.replace(b'00"', b'00Z"'))


@pytest.mark.parametrize(
    "record",
    [
        '{"id":1,"note":"\\"at\\":\\"2024-01-01T00:00:00\\"","at":"2024-01-01T00:00:00%s"}',
        '{"id":1,"note":"2024-01-01T00:00:00","at":"2024-01-01T00:00:00%s"}',
    ],
)
def test_text_that_looks_like_a_column_is_unchanged(record: str) -> None:
    text = (record % "").encode()
    passed = check().accepted(b"[%b]" % message(text), len(text))
    assert passed is not None
    assert passed.messages == b"[%b]" % message((record % "Z").encode())


@pytest.mark.parametrize("space", ["", " ", "\t", "\n", "\r"])
def test_the_text_between_two_strings_is_not_a_string(space: str) -> None:
    """It is between quotation marks, too, and the text before it looks like the column's name."""
    schema = {"properties": {":": MOMENT}}
    root = read_schema(json.dumps(schema).encode()).root
    text = f'{{"n":":",{space}":":"2024-01-01T00:00:00"}}'.encode()
    passed = RecordCheck(root, (), max_record_bytes=10_000).accepted(
        b"[%b]" % message(text), len(text)
    )
    assert passed is None or passed.messages == b"[%b]" % message(text.replace(b'00"', b'00Z"'))


@settings(max_examples=500)
@given(SPELLINGS)
def test_rewriting_by_shape_gives_the_same_as_rewriting_each_text(text: str) -> None:
    """If the date exists, which is checked afterwards."""
    how = respelling(text.encode().translate(SHAPE))
    expected = respelled(text.strip('"'), "Z")
    if how is not None and expected is not None:
        assert how.applied([text.encode()]) == [f'"{expected}"'.encode()]
        assert how.has_offset == (respelled(text.strip('"')) is not None)
