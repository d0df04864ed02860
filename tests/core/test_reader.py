"""The reader: the same events with the same line numbers, whatever the chunks are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.errors import InputError
from target_stitch_import.singer.messages import (
    ActivateVersion,
    MessageLines,
    Records,
    Schema,
    State,
)
from target_stitch_import.singer.reader import Reader
from tests.support.events import JSON_VALUES, RECORD, STATE, cut, read

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
def test_events_agree_with_a_simple_reader(tap_lines: list[str]) -> None:
    """Compared with `json.loads`, line by line, up to the first line that is not a message."""
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


def test_consecutive_records_are_one_event() -> None:
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
def test_line_numbers_count_blank_lines_and_crlf(text: bytes) -> None:
    assert read([text]) == ([("record", 3, "s", None, b'{"id":1}', None)], None)


def test_an_invalid_line_after_a_byte_order_mark_is_not_called_incomplete() -> None:
    _, error = read([b'\xef\xbb\xbf{"type":"RECROD"}'])
    assert error is not None
    assert "unknown type `RECROD`" in error


def test_a_last_line_cut_off_is_reported_as_incomplete() -> None:
    _, error = read([STATE + b"\n", RECORD[:20]])
    assert error is not None
    assert error.startswith("Line 2 is incomplete")


@pytest.mark.parametrize("text", [b"done", b"[1", b" \xff", b"Traceback (most recent call last):"])
def test_a_last_line_that_is_no_message_is_not_called_cut_off(text: bytes) -> None:
    """It is explained like the same line with a line break."""
    _, error = read([STATE + b"\n", text])
    assert error is not None
    assert "is incomplete" not in error
    assert error == read([STATE + b"\n", text + b"\n"])[1]


def test_records_around_a_malformed_one_stay_together() -> None:
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
