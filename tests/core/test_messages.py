"""The reader: whatever the chunks, the same events; whatever the line, a clear word."""

from __future__ import annotations

import json
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.errors import InputError
from target_stitch_import.singer.lines import WholeLines
from target_stitch_import.singer.messages import (
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_MARKS,
    ActivateVersion,
    Event,
    MalformedRecord,
    MessageLines,
    RecordFiles,
    Records,
    Schema,
    State,
)
from target_stitch_import.singer.outline import (
    MAX_BYTES,
    MAX_MARKS,
    MAX_MEMBERS,
    MAX_STEPS,
    Defect,
    outline,
    record_defect,
)
from target_stitch_import.singer.reader import Reader

RECORD = b'{"type":"RECORD","stream":"s","record":{"id":1}}'
STATE = b'{"type":"STATE","value":{"n": 1.50}}'


def read(chunks: list[bytes]) -> tuple[list[Any], str | None]:
    """Return every event as plain values, runs of records one by one, and the error's text."""
    reader = Reader(MessageLines())
    events: list[Any] = []
    try:
        for chunk in chunks:
            events.extend(flat for event in reader.feed(chunk) for flat in flatten(event))
        events.extend(flat for event in reader.close() for flat in flatten(event))
    except InputError as error:
        return events, str(error)
    return events, None


def flatten(event: Event) -> list[Any]:
    """Return an event as comparable values: a run's records each by itself."""
    if isinstance(event, Records):
        return [
            ("record", line, each.stream, each.version, bytes(each.record), each.time_extracted)
            for line, each in enumerate(event.messages, event.line)
        ]
    return [event]


def cut(text: bytes, places: list[int]) -> list[bytes]:
    """Cut `text` at `places`, wherever they fall."""
    edges = sorted(place % (len(text) + 1) for place in places)
    return [text[a:b] for a, b in zip([0, *edges], [*edges, len(text)], strict=True)]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
TAP_LINES = st.one_of(
    st.builds(
        lambda stream, data, version: json.dumps(
            {"type": "RECORD", "stream": stream, "record": data}
            | ({"version": version} if version else {}),
            ensure_ascii=False,
        ),
        st.sampled_from(["a", "b", "ü"]),
        st.dictionaries(st.text(max_size=3), JSON_VALUES, max_size=3),
        st.sampled_from([None, 1, 2]),
    ),
    st.builds(lambda value: json.dumps({"type": "STATE", "value": value}), JSON_VALUES),
    st.sampled_from(
        [
            "",
            "  ",
            "\r",
            '{"type":"SCHEMA","stream":"a","schema":{"properties":{}},"key_properties":["id"]}',
            '{"type":"ACTIVATE_VERSION","stream":"a","version":3}',
            '{"type":"RECORD","stream":"a","record":{"x":NaN}}',
            '{"type":"RECORD","stream":"a","record":{"u":"\u2028\u0085"}}\r',
            "not json",
            '{"type":"RECORD"}',
            '{"type":"STATE",',
        ]
    ),
)


@given(st.lists(TAP_LINES, max_size=8), st.lists(st.integers(0, 2000), max_size=6), st.booleans())
def test_any_cut_of_the_same_bytes_gives_the_same_events(
    tap_lines: list[str],
    places: list[int],
    ends_with_break: bool,  # noqa: FBT001
) -> None:
    text = "\n".join(tap_lines).encode() + (b"\n" if ends_with_break else b"")
    whole = read([text])
    assert read(cut(text, places)) == whole
    assert read([text[at : at + 1] for at in range(len(text))]) == whole


@given(st.lists(TAP_LINES, max_size=8))
def test_events_are_those_of_an_obvious_reader(tap_lines: list[str]) -> None:
    """Held against `json.loads`, line by line, as far as the first line that is no message."""
    expected: list[tuple[int, str]] = []
    for number, line in enumerate(tap_lines, 1):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
            if message["type"] == "RECORD":
                _ = message["record"]
        except (ValueError, KeyError):
            break
        expected.append((number, message["type"]))
    events, _ = read([f"{line}\n".encode() for line in tap_lines])
    kinds: dict[type, str] = {State: "STATE", Schema: "SCHEMA", ActivateVersion: "ACTIVATE_VERSION"}
    found = [
        (each[1], "RECORD")
        if isinstance(each, tuple)
        else (each.line, kinds.get(type(each), "RECORD"))
        for each in events
    ]
    assert found == expected


def test_records_and_states_keep_their_text() -> None:
    events, error = read(
        [b'{"type":"RECORD","stream":"s","record":{"a": 1.10 , "b":1e400}}\n', STATE]
    )
    assert error is None
    assert events[0][4] == b'{"a": 1.10 , "b":1e400}'
    assert events[1] == State(2, b'{"n": 1.50}')


@given(
    st.lists(st.sampled_from([b"", b"\r", b"{}", b"x" * 30, b"y" * 600]), max_size=30),
    st.lists(st.integers(0, 10_000), max_size=3),
)
def test_lines_are_found_however_long_they_are(texts: list[bytes], places: list[int]) -> None:
    found = WholeLines()
    whole = b"\n".join([*texts, b""])
    lines = [bytes(line) for chunk in cut(whole, places) for line in found.feed(chunk)]
    assert [*lines, found.close()] == [*texts, b""]


@pytest.mark.parametrize(
    ("text", "keeps"), [(b"x" * 100_000, True), (b"x" * 1_000, False)], ids=["large", "small"]
)
def test_a_small_record_does_not_keep_a_large_chunk(text: bytes, keeps: bool) -> None:  # noqa: FBT001
    """As one that waits among long states would; a large one is not worth a copy."""
    record = b'{"type":"RECORD","stream":"s","record":{"x":"%b"}}' % text
    chunk = b"\n".join(
        [STATE.strip(), record, b'{"type":"STATE","value":"%b"}' % (b"y" * 100_000), b""]
    )
    before = sys.getrefcount(chunk)
    events = list(Reader(MessageLines()).feed(chunk))
    assert len(events) == 3
    assert (sys.getrefcount(chunk) > before) == keeps


def test_consecutive_records_come_as_one_run() -> None:
    other = RECORD.replace(b'"s"', b'"t"')
    lines = [RECORD, other, STATE.strip(), RECORD, STATE.strip(), STATE.strip(), other, other, b""]
    events = list(Reader(MessageLines()).feed(b"\n".join(lines)))
    assert [
        (event.line, [each.stream for each in event.messages])
        if isinstance(event, Records)
        else type(event)
        for event in events
    ] == [(1, ["s", "t"]), State, (4, ["s"]), State, State, (7, ["t", "t"])]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\n \n" + RECORD + b"\n", id="blank lines"),
        pytest.param(b"\r\n\r\n" + RECORD + b"\r\n", id="CRLF"),
        pytest.param(b"\n\n" + RECORD, id="no line break at the end"),
        pytest.param(b"\n\n" + RECORD[:-1] + b',"more":{"a":[1]}}\n', id="extra members"),
        pytest.param(b"\xef\xbb\xbf\n\n" + RECORD, id="byte-order mark"),
    ],
)
def test_harmless_forms_are_read_with_the_right_line_number(text: bytes) -> None:
    assert read([text]) == ([("record", 3, "s", None, b'{"id":1}', None)], None)


DEEP = b"[" * 10**6 + b"]" * 10**6
"""From Python 3.14 on, 25,000 levels can be read."""


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"not json", "Line 2 is not JSON"),
        (b'{"type":"RECORD"', "Line 2 is not JSON"),
        (b'{"type":"STATE","value":1} {"type":"STATE","value":2}', "Line 2 is not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'"RECORD"', "not a JSON object"),
        (b"5", "not a JSON object"),
        (b"{}", "has no `type`"),
        (b'{"type":null}', "unknown type"),
        (b'{"type":"RECROD","stream":"s"}', "unknown type `RECROD`"),
        (b'{"type":"RECORD","record":{}}', "RECORD has no `stream`"),
        (b'{"type":"RECORD","stream":"s"}', "RECORD of stream `s` has no `record`"),
        (b'{"type":"RECORD","stream":5,"record":{}}', "cannot be read: Expected `str`, got `int`"),
        (b'{"type":"RECORD","stream":"s","record":{},"version":"x"}', "`$.version`"),
        (b'{"type":"STATE"}', "STATE has no `value`"),
        (b'{"type":"STATE","value":NaN}', "cannot be read"),
        (b'{"type":"SCHEMA","stream":"s","key_properties":[]}', "has no `schema`"),
        (b'{"type":"SCHEMA","stream":"s","schema":{}}', "has no `key_properties`"),
        (b'{"type":"SCHEMA","stream":"s","schema":{},"key_properties":"id"}', "cannot be read"),
        (
            b'{"type":"SCHEMA","stream":"s","schema":{"key_properties":[]},"bookmark_properties":5}',
            "cannot be read: Expected `array | null`, got `int` - at `$.bookmark_properties`",
        ),
        (b'{"type":"ACTIVATE_VERSION","stream":"s"}', "has no `version`"),
        (b'{"type":"BATCH","stream":"s","encoding":{}}', "has no `manifest`"),
        (b'{"type":"STATE","value":"\xff"}', "Line 2 is not UTF-8"),
        (b'{"type":"RECORD","stream":"s\x1b[31m","record":{}}', "it is not JSON"),
        (b'{"type":"RECORD","stream":"s\\u001b[31m"}', "stream `s\\x1b[31m`"),
        ('{"type":"STATE","value":1}'.encode("utf-16"), "UTF-16"),
        (b'{"type":' + DEEP + b"}", "unknown type"),
        (b'{"type":"STATE","value":' + DEEP + b"}", "cannot be read"),
    ],
)
def test_a_bad_line_is_named(line: bytes, word: str) -> None:
    events, error = read([b'{"type":"STATE","value":0}\n' + line + b"\n" + STATE + b"\n"])
    assert error is not None
    assert word in error
    assert error.startswith("Line 2")
    assert "\x1b" not in error
    assert events == [State(1, b"0")], "what is before the bad line is read, what is behind is not"


def test_a_byte_order_mark_is_no_reason_to_call_a_line_cut_off() -> None:
    _, error = read([b'\xef\xbb\xbf{"type":"RECROD"}'])
    assert error is not None
    assert "unknown type `RECROD`" in error


def test_a_last_line_cut_off_says_so() -> None:
    _, error = read([STATE + b"\n", RECORD[:20]])
    assert error is not None
    assert error.startswith("Line 2 is incomplete")


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (b'{"a":NaN}', "NaN"),
        (b'{"a":[1,-Infinity]}', "-Infinity, which is not a JSON number"),
        (b'{"a":' + DEEP + b"}", "too deeply"),
        (b'{"a":01}', "not JSON"),
    ],
)
def test_a_record_that_is_no_json_is_kept_with_its_stream(record: bytes, word: str) -> None:
    line = b'{"type":"RECORD","stream":"s","record":' + record + b',"version":7}'
    events, error = read([line + b"\n"])
    assert error is None
    (event,) = events
    assert isinstance(event, MalformedRecord)
    assert (event.line, event.stream, event.version, event.text) == (1, "s", 7, record)
    assert word in event.reason


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
def test_a_number_that_json_does_not_have_is_named_by_its_field(record: bytes, field: str) -> None:
    """Or by what it is in, where finding it would take too long."""
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


def test_a_bad_record_costs_those_around_it_little() -> None:
    bad = RECORD.replace(b'{"id":1}', b'{"id":NaN}')
    texts = [RECORD, RECORD, b"", RECORD, bad, bad, RECORD, RECORD, b""]
    events = list(Reader(MessageLines()).feed(b"\n".join(texts)))
    assert [
        (event.line, len(event.messages)) if isinstance(event, Records) else event.line
        for event in events
    ] == [(1, 2), (4, 1), 5, 6, (7, 2)]


def test_gigabytes_of_line_breaks_are_counted() -> None:
    """As white space, not as lines."""
    reader = Reader(MessageLines())
    chunk = b" \r\n" * 1_000
    for _ in range(1_000):
        for piece in (chunk[:1_001], chunk[1_001:]):
            assert not list(reader.feed(piece))
    (event,) = reader.feed(RECORD + b"\n")
    assert event.line == 1_000_001


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (b',"key_properties":null', ()),
        (b',"key_properties":[]', ()),
        (b',"key_properties":["b"]', ("b",)),
        (b"", None),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_key_properties(
    keys: bytes,
    found: tuple[str, ...] | None,
    inside: bool,  # noqa: FBT001
) -> None:
    """Null is as good as none; only where there are none in the message, those inside count."""
    schema = b'{"key_properties":["a"]}' if inside else b"{}"
    events, error = read([b'{"type":"SCHEMA","stream":"s","schema":%b%b}' % (schema, keys)])
    if inside and (found is None or keys.endswith(b"null")):
        found = ("a",)
    assert (found is None) == (error is not None)
    assert [event.key_properties for event in events] == ([] if found is None else [found])


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (b'"schema":{"x":"%b"},"key_properties":[]' % (b"x" * MAX_SCHEMA_BYTES), "4,000,000 bytes"),
        (b'"schema":{"x":[%b1]},"key_properties":[]' % (b"1," * MAX_SCHEMA_MARKS), "100,000 names"),
        (b'"schema":{},"key_properties":["a"%b]' % (b',"a"' * 10_000), "10,000 key properties"),
        (
            b'"schema":{},"key_properties":[],"bookmark_properties":["a"%b]' % (b',"a"' * 10_000),
            "10,000 key properties",
        ),
    ],
    ids=["bytes", "values", "keys", "bookmarks"],
)
def test_a_schema_beyond_all_destinations_is_refused(member: bytes, words: str) -> None:
    """It would take many seconds to read."""
    events, error = read([b'{"type":"SCHEMA","stream":"s",%b}' % member])
    assert events == []
    assert words in (error or "")
    assert "Line 1: SCHEMA of stream `s`" in (error or "")


def test_a_schema_of_as_many_columns_as_a_spreadsheet_has_is_read() -> None:
    columns = b",".join(
        b'"c%d":{"type":["null","string"],"format":"date-time"}' % n for n in range(16_384)
    )
    text = b'{"type":"SCHEMA","stream":"s","schema":{"properties":{%b}},"key_properties":[]}'
    events, error = read([text % columns])
    assert (len(events), error) == (1, None)


def test_what_is_no_message_is_looked_at_within_bounds() -> None:
    """Of members without end the first are enough; of a maze without end, nothing is said."""
    found = outline(b"{" + b'"a":1,' * (2 * MAX_MEMBERS) + b'"type":"STATE"}')
    assert found == {"a": b"1"}
    maze = b'{"a":' + b"[1" * MAX_MARKS + b"]" * MAX_MARKS + b"}"
    assert outline(maze) is None
    assert outline(maze.replace(b"[1", b"[", MAX_MARKS // 2)) is not None


def test_a_bad_line_too_long_to_be_sent_is_not_looked_at() -> None:
    """It would keep signals waiting for seconds."""
    line = b'{"type":"RECORD","stream":"s","record":{"a":"%b","b":NaN}}\n' % (b"x" * MAX_BYTES)
    _, error = read([line])
    assert error == "Line 1 of stream `s` is not JSON, and is too long for a detailed error."
    assert record_defect(line.partition(b'"record":')[2]) == Defect("", "it is not JSON")


def test_an_endless_line_ends_the_run() -> None:
    reader = Reader(MessageLines())
    for _ in range(64):
        assert not list(reader.feed(b"x" * 1_000_000))
    with pytest.raises(InputError, match="Line 1 is longer than"):
        list(reader.feed(b"x"))


def test_a_large_state_passes() -> None:
    value = b'"' + b"x" * 20_000_000 + b'"'
    chunk = b'{"type":"STATE","value":' + value + b"}\n"
    events, error = read([chunk[at : at + 65_536] for at in range(0, len(chunk), 65_536)])
    assert (error, events) == (None, [State(1, value)])


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
def test_the_outline_of_any_object_is_that_of_a_parser(
    members: dict[str, Any], indent: int | None
) -> None:
    found = outline(json.dumps(members, indent=indent).encode())
    assert found is not None
    assert {name: json.loads(text) for name, text in found.items()} == members


@given(PIECES)
def test_whatever_stands_in_brackets_is_passed_over(pieces: list[str]) -> None:
    """Held against an obvious reader, character by character."""
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


def test_a_stream_is_looked_for_in_the_beginning_of_a_line_alone() -> None:
    """The name of a stream is short; what is very long is not taken for one."""
    reader = Reader(MessageLines())
    line = b'{"type":"RECORD","stream":"' + b"x" * 3_000_000 + b'\xff"}\n'
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="Line 1 is not UTF-8"):
            list(reader.feed(line))
        assert tracemalloc.get_traced_memory()[1] < 10 * len(line)
    finally:
        tracemalloc.stop()
    _, error = read([b'{"type":"RECORD","stream":"s","record":{"a":"\xff"}}\n'])
    assert error is not None
    assert error.startswith("Line 1 of stream `s` is not UTF-8")


def test_an_encoding_may_say_more() -> None:
    more = b'{"format":"jsonl","compression":null,"level":6,"more":{}}'
    line = b'{"type":"BATCH","stream":"s","encoding":' + more + b',"manifest":[]}'
    encoding: dict[str, str | None] = {"format": "jsonl", "compression": None}
    assert read([line]) == ([RecordFiles(1, "s", encoding, ())], None)


def test_all_kinds_of_messages() -> None:
    text = b"""\
{"type":"SCHEMA","stream":"s","schema":{"properties":{"a":{}}},"key_properties":["a"],"bookmark_properties":["a"]}
{"type":"SCHEMA","stream":"t","schema":{"properties":{"b":{}},"key_properties":["b"]}}
{"type":"ACTIVATE_VERSION","stream":"s","version":12}
{"type":"BATCH","stream":"s","encoding":{"format":"jsonl","compression":"gzip"},"manifest":["file://x"]}
{"type":"RECORD","stream":"s","record":{},"version":12,"time_extracted":"2024-01-01T00:00:00Z"}
"""
    events, error = read([text])
    assert error is None
    assert events == [
        Schema(1, "s", b'{"properties":{"a":{}}}', ("a",), ("a",)),
        Schema(2, "t", b'{"properties":{"b":{}},"key_properties":["b"]}', ("b",)),
        ActivateVersion(3, "s", 12),
        RecordFiles(4, "s", {"format": "jsonl", "compression": "gzip"}, ("file://x",)),
        ("record", 5, "s", 12, b"{}", "2024-01-01T00:00:00Z"),
    ]


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
def test_outline(text: bytes, members: dict[str, bytes] | None) -> None:
    assert outline(text) == members
