"""Singer messages become events with unchanged text; every bad line has a clear error."""

from __future__ import annotations

import sys
import tracemalloc

import pytest

from target_stitch_import.errors import InputError
from target_stitch_import.singer.messages import (
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_MARKS,
    ActivateVersion,
    MalformedRecord,
    MessageLines,
    RecordFiles,
    Schema,
    State,
)
from target_stitch_import.singer.outline import MAX_BYTES, Defect, record_defect
from target_stitch_import.singer.reader import Reader
from tests.support.events import STATE, read


def test_records_and_states_keep_their_text() -> None:
    events, error = read(
        [b'{"type":"RECORD","stream":"s","record":{"a": 1.10 , "b":1e400}}\n', STATE]
    )
    assert error is None
    assert events[0][4] == b'{"a": 1.10 , "b":1e400}'
    assert events[1] == State(2, b'{"n": 1.50}')


@pytest.mark.parametrize(
    ("text", "keeps"), [(b"x" * 100_000, True), (b"x" * 1_000, False)], ids=["large", "small"]
)
def test_a_small_record_does_not_keep_a_large_chunk(text: bytes, keeps: bool) -> None:  # noqa: FBT001
    """For example, among long states; a large record is not copied."""
    record = b'{"type":"RECORD","stream":"s","record":{"x":"%b"}}' % text
    chunk = b"\n".join(
        [STATE.strip(), record, b'{"type":"STATE","value":"%b"}' % (b"y" * 100_000), b""]
    )
    before = sys.getrefcount(chunk)
    events = list(Reader(MessageLines()).feed(chunk))
    assert len(events) == 3
    assert (sys.getrefcount(chunk) > before) == keeps


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
        (b'{"type":"RECORD","stream":"s","record":NaN,"version":"x"}', "`$.version`"),
        (b'{"type":"RECORD","stream":5,"record":NaN}', "cannot be read: Expected `str`, got `int`"),
        (b'{"type":"RECORD","stream":"s","record":NaN,"version":' + DEEP + b"}", "`$.version`"),
        (b'{"type":"RECORD","stream":"\\ud83d","record":NaN}', "it is not JSON"),
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
def test_an_invalid_line_is_reported_with_its_number(line: bytes, word: str) -> None:
    events, error = read([b'{"type":"STATE","value":0}\n' + line + b"\n" + STATE + b"\n"])
    assert error is not None
    assert word in error
    assert error.startswith("Line 2")
    assert "\x1b" not in error
    assert events == [State(1, b"0")], "what is before the bad line is read, what is behind is not"


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (b'{"a":NaN}', "NaN"),
        (b'{"a":[1,-Infinity]}', "-Infinity, which is not a JSON number"),
        (b'{"a":' + DEEP + b"}", "too deeply"),
        (b'{"a":01}', "not JSON"),
    ],
)
def test_a_record_that_is_not_json_is_kept_with_its_stream(record: bytes, word: str) -> None:
    line = b'{"type":"RECORD","stream":"s","record":' + record + b',"version":7}'
    events, error = read([line + b"\n"])
    assert error is None
    (event,) = events
    assert isinstance(event, MalformedRecord)
    assert (event.line, event.stream, event.version, event.text) == (1, "s", 7, record)
    assert word in event.reason


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
def test_key_properties_are_read_from_the_message_or_its_schema(
    keys: bytes,
    found: tuple[str, ...] | None,
    inside: bool,  # noqa: FBT001
) -> None:
    """Null means none; key properties inside the schema count only if the message has none."""
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
def test_a_schema_too_large_for_any_destination_is_refused(member: bytes, words: str) -> None:
    """It would take many seconds to read."""
    events, error = read([b'{"type":"SCHEMA","stream":"s",%b}' % member])
    assert events == []
    assert words in (error or "")
    assert "Line 1: SCHEMA of stream `s`" in (error or "")


def test_a_schema_of_16384_columns_is_read() -> None:
    columns = b",".join(
        b'"c%d":{"type":["null","string"],"format":"date-time"}' % n for n in range(16_384)
    )
    text = b'{"type":"SCHEMA","stream":"s","schema":{"properties":{%b}},"key_properties":[]}'
    events, error = read([text % columns])
    assert (len(events), error) == (1, None)


def test_a_bad_line_too_long_to_be_sent_is_not_examined() -> None:
    """It would keep signals waiting for seconds."""
    line = b'{"type":"RECORD","stream":"s","record":{"a":"%b","b":NaN}}\n' % (b"x" * MAX_BYTES)
    _, error = read([line])
    assert error == "Line 1 of stream `s` is not JSON, and is too long for a detailed error."
    assert record_defect(line.partition(b'"record":')[2]) == Defect("", "it is not JSON")


def test_a_stream_name_is_searched_only_at_the_beginning_of_a_line() -> None:
    """The name of a stream is short; a very long one is not searched for."""
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


def test_unknown_members_of_a_batch_encoding_are_ignored() -> None:
    more = b'{"format":"jsonl","compression":null,"level":6,"more":{}}'
    line = b'{"type":"BATCH","stream":"s","encoding":' + more + b',"manifest":[]}'
    encoding: dict[str, str | None] = {"format": "jsonl", "compression": None}
    assert read([line]) == ([RecordFiles(1, "s", encoding, ())], None)


def test_each_type_of_message_becomes_its_event() -> None:
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
