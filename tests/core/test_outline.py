"""Lines that are not JSON: their explanation, within bounds."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.singer.outline import (
    MAX_MARKS,
    MAX_MEMBERS,
    MAX_STEPS,
    outline,
    record_defect,
)
from tests.support.events import JSON_VALUES


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (b'{"a":1,"b":NaN}', "/b"),
        (b' { "a" : [ 1 , { "b" : -Infinity } ] }', "/a/1/b"),
        (b'{"a":"NaN","b":[[],[Infinity]]}', "/b/1/0"),
        (b'{"a~/\\u00fc\\"":NaN}', '/a~0~1\xfc"'),
        (b"NaN", ""),
        (b'{"a":[' + b"1," * MAX_STEPS + b"NaN]}", "/a"),
    ],
)
def test_nan_or_infinity_is_reported_by_its_field(record: bytes, field: str) -> None:
    """Or by a container of it, if finding it would take too long."""
    defect = record_defect(record)
    assert defect is not None
    assert "which is not a JSON number" in defect.reason
    assert defect.field == field


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (b'{"a":{"b":["\\ud800"]}}', "/a/b/0"),
        (b'{"a":"\\ud83d\\ude00 \\\\ud800","b":"\\uDC00 and more"}', "/b"),
        (b'{"a":"\\ud83d\\u0041"}', "/a"),
        (b'{"\\ud800":1}', ""),
        (b'{"a":"\\\\ud800","b":01}', None),
    ],
)
def test_half_a_surrogate_pair_is_named_by_its_field(record: bytes, field: str | None) -> None:
    defect = record_defect(record)
    assert defect is not None
    if field is None:
        assert defect.reason == "it is not JSON"
    else:
        assert (defect.field, defect.reason) == (
            field,
            "it contains an unpaired surrogate",
        )


@given(JSON_VALUES.filter(lambda value: isinstance(value, dict | list)), st.data())
def test_the_pointer_to_any_value_leads_to_it(value: Any, data: st.DataObject) -> None:
    parts: list[str] = []
    inner = value
    while inner and isinstance(inner, dict | list):
        key = data.draw(
            st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner)))
        )
        parts.append(str(key).replace("~", "~0").replace("/", "~1"))
        around, inner = inner, inner[key]
    if not parts:
        return
    around[key] = float("nan")
    defect = record_defect(json.dumps(value).encode())
    assert defect is not None
    assert defect.field == "".join(f"/{part}" for part in parts)


def test_examining_invalid_messages_is_bounded() -> None:
    """Of endless members only the first are read; endless nesting is not explained."""
    found = outline(b"{" + b'"a":1,' * (2 * MAX_MEMBERS) + b'"type":"STATE"}')
    assert found == {"a": b"1"}
    maze = b'{"a":' + b"[1" * MAX_MARKS + b"]" * MAX_MARKS + b"}"
    assert outline(maze) is None
    assert outline(maze.replace(b"[1", b"[", MAX_MARKS // 2)) is not None


PIECES = st.lists(
    st.sampled_from(
        [
            '"a"',
            '"b\\"\\\\"',
            '"]}"',
            '"',
            "\\",
            "{",
            "}",
            "[",
            "]",
            "[]",
            "{}",
            ":",
            ",",
            "1",
            " ",
            "NaN",
        ]
    ),
    max_size=10,
)


@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4), st.sampled_from([None, 1]))
def test_an_outline_agrees_with_a_parser(members: dict[str, Any], indent: int | None) -> None:
    found = outline(json.dumps(members, indent=indent).encode())
    assert found is not None
    assert {name: json.loads(text) for name, text in found.items()} == members


@given(PIECES)
def test_the_content_of_brackets_is_skipped(pieces: list[str]) -> None:
    """Compared with a simple reader that works character by character."""
    value = "".join(pieces)
    depth, end, inside, at = 0, None, False, 0
    text = f"[{value}"
    while at < len(text) and end is None:
        character = text[at]
        if character == '"':
            inside = not inside
        elif inside:
            at += character == "\\"
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
            end = at + 1 if depth == 0 else None
        at += 1
    if end is not None:
        assert outline(b'{"v":%b,"w":NaN}' % text[:end].encode()) == {
            "v": text[:end].encode(),
            "w": b"NaN",
        }
    else:
        assert outline(b'{"v":%b' % text.encode()) is None


ESCAPES = b'"' + b"\\n" * 1_000_000 + b'"'


@pytest.mark.parametrize(
    "value",
    [ESCAPES, b"[" + ESCAPES + b"]", b"[" + b'"x",' * 500_000 + b"1]", b"[" * 10**6 + b"]" * 10**6],
    ids=["escapes", "escapes in brackets", "strings", "brackets"],
)
def test_a_bad_line_is_explained_within_a_few_times_its_size(value: bytes) -> None:
    line = b'{"type":"RECORD","stream":"s","record":{"a":' + value + b',"b":NaN}}'
    tracemalloc.start()
    try:
        assert outline(line) is not None
        assert tracemalloc.get_traced_memory()[1] < 3 * len(line)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "members"),
    [
        (b"{}", {}),
        (b' {"a" : 1 , "b":{"c":[2,{"d":3}]}} ', {"a": b"1", "b": b'{"c":[2,{"d":3}]}'}),
        (b'{"a\\u0062":"x\\"}{,:"}', {"ab": b'"x\\"}{,:"'}),
        (b'{"a":1', None),
        (b'{"a":1}}', None),
        (b'{"a":1} x', None),
        (b'{"a" 1}', None),
        (b'{"a":1,}', None),
        (b'{"a":1,"b"}', None),
        (b'{"a":1]', None),
        (b"{1:1}", None),
        (b"{ }", {}),
        (b'{"a":[}}', {"a": b"[}"}),
        (b'{"a":[[1,{"b":"]"}],2],"c":3}', {"a": b'[[1,{"b":"]"}],2]', "c": b"3"}),
        (b'{"a":"\\', None),
        (b"[1]", None),
        (b"", None),
        (b'{"a":"', None),
    ],
)
def test_an_outline_has_the_members_of_a_complete_object(
    text: bytes, members: dict[str, bytes] | None
) -> None:
    assert outline(text) == members
