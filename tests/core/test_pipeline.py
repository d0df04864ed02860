"""The pipeline's invariants, under any order of input and of settling."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.batching.gathering import ENOUGH_RECORDS, GATHERED_DIVISOR
from target_stitch_import.errors import InputError
from target_stitch_import.singer.messages import (
    MessageLines,
)
from target_stitch_import.singer.reader import Reader
from tests.support.defaults import limits, pipeline
from tests.support.pipelines import feed, settle, take
from tests.support.singer import activate, lines, record, schema, state

if TYPE_CHECKING:
    from target_stitch_import.batching.payload import Batch


STREAMS = ("a", "b")
STREAMS_AND_VERSIONS = st.tuples(st.sampled_from(STREAMS), st.sampled_from([1, 2]))
READ_AT_ONCE = st.lists(STREAMS_AND_VERSIONS, min_size=1, max_size=3)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("records"), st.just(""), READ_AT_ONCE),
        st.tuples(st.just("bad"), st.sampled_from(STREAMS), st.just(1)),
        st.tuples(st.just("state"), st.just(""), st.just(0)),
        st.tuples(st.just("activate"), st.sampled_from(STREAMS), st.just(2)),
        st.tuples(st.just("schema"), st.sampled_from(STREAMS), st.sampled_from([0, 1])),
        st.tuples(st.just("expire"), st.just(""), st.integers(0, 90)),
        st.tuples(st.just("settle"), st.just(""), st.integers(0, 99)),
        st.tuples(st.just("settle half"), st.just(""), st.integers(0, 99)),
        st.tuples(st.just("set aside"), st.just(""), st.just(0)),
    ),
    max_size=50,
)


class Watcher:
    """Drives a pipeline and checks the invariants after every step."""

    def __init__(self) -> None:
        small = limits(max_bytes=400, max_rows=3, max_age_seconds=60)
        self.pipeline = pipeline(small, dead_letter=True, max_buffer_bytes=2_000)
        self.line = 0
        self.now = 0.0
        self.unsettled: dict[int, str] = {}
        self.activations: dict[int, str] = {}
        self.versions: dict[int, int] = {}
        self.states: dict[str, int] = {}
        self.written: list[int] = []
        self.in_flight: list[tuple[Batch, Batch]] = []
        """Each batch with its part that is still unsettled."""
        for stream in STREAMS:
            self.give(schema(stream))

    def give(self, *messages: Any) -> None:
        """Pass on what was read at once."""
        reader = Reader(MessageLines())
        reader.lines_read = self.line
        self.line += len(messages)
        for event in reader.feed(lines([*messages])):
            self.pipeline.receive(event, self.now, 10**18)

    def give_records(self, streams_and_versions: list[tuple[str, int]]) -> None:
        messages = []
        for line, (stream, version) in enumerate(streams_and_versions, self.line + 1):
            self.unsettled[line], self.versions[line] = stream, version
            messages.append(record(line, stream, message={"version": version}))
        self.give(*messages)

    def step(self, name: str, stream: str, number: Any) -> None:
        if name == "records":
            self.give_records(number)
        elif name == "bad":
            self.unsettled[self.line + 1] = stream
            self.give(record(0, stream, id="no integer", message={"version": 9}))
        elif name == "state":
            self.states[str(self.line + 1)] = self.line + 1
            self.give(state(self.line))
        elif name == "activate":
            self.unsettled[self.line + 1] = self.activations[self.line + 1] = stream
            self.versions[self.line + 1] = number
            self.give({"type": "ACTIVATE_VERSION", "stream": stream, "version": number})
        elif name == "schema":
            self.give(schema(stream, x={"maxLength": number}))
        elif name == "expire":
            self.now += number
            self.pipeline.expire(self.now)
            assert self.pipeline.next_deadline() > self.now
        elif name == "set aside":
            self.set_aside()
        elif self.in_flight:
            batch, part = self.in_flight.pop(number % len(self.in_flight))
            if name == "settle half" and part.count > 1:
                first, rest = part.split(part.count // 2)
                self.settle(first)
                self.in_flight.append((batch, rest))
            else:
                self.settle(part)
                self.pipeline.released(batch)

    def settle(self, part: Batch) -> None:
        for message in part.messages():
            del self.unsettled[message.span.line]
        self.pipeline.settled(part)

    def set_aside(self) -> None:
        while self.pipeline.to_set_aside:
            dead_letter = self.pipeline.to_set_aside.popleft()
            assert (
                dead_letter.record is None or json.loads(dead_letter.record)["id"] == "no integer"
            )
            del self.unsettled[dead_letter.line]
            self.pipeline.set_aside(dead_letter)

    def check(self) -> None:
        for batch in take(self.pipeline):
            self.check_barrier(batch)
            for message in batch.messages():
                line = message.span.line
                assert self.unsettled[line] == batch.stream, "a record is sent to another stream"
                assert self.versions[line] == batch.version, "a record is sent as another version"
            self.in_flight.append((batch, batch))
        earned = self.pipeline.earned_state()
        if earned is not None:
            line = int(earned) + 1
            assert not [each for each in self.unsettled if each < line], "a state came early"
            assert not self.written or line > self.written[-1], "a state came out of order"
            self.written.append(line)
        counts = self.pipeline.counts()
        for stream in STREAMS:
            open_messages = sum(each == stream for each in self.unsettled.values())
            own = counts[stream]
            assert own.read - own.acknowledged - own.set_aside == open_messages

    def check_barrier(self, batch: Batch) -> None:
        messages = [message.span.line for message in batch.messages()]
        assert messages == sorted(messages)
        first = messages[0]
        of_stream = [each for each, stream in self.unsettled.items() if stream == batch.stream]
        to_set_aside = {each.line for each in self.pipeline.to_set_aside}
        if batch.barrier:
            assert messages == [first]
            assert not [each for each in of_stream if each < first and each not in to_set_aside]
        for line, stream in self.activations.items():
            if stream == batch.stream and line in self.unsettled:
                assert max(messages) <= line, "a record overtook an activation"

    def finish(self) -> None:
        self.pipeline.end()
        self.check()
        while self.in_flight:
            batch, part = self.in_flight.pop()
            self.settle(part)
            self.pipeline.released(batch)
            self.check()
        self.set_aside()
        self.check()
        assert self.unsettled == {}
        assert self.pipeline.held_bytes == 0
        newest = max(self.states.values(), default=None)
        assert (self.written[-1] if self.written else None) == newest


@settings(max_examples=300)
@given(ACTIONS)
def test_the_invariants_hold_after_every_step(actions: list[tuple[str, str, Any]]) -> None:
    watcher = Watcher()
    for action in actions:
        watcher.step(*action)
        watcher.check()
    watcher.finish()


def test_memory_is_bounded_by_closing_the_largest_batch() -> None:
    """Only enough to keep the requests busy, so that the others can grow."""
    of = pipeline(max_buffer_bytes=100_000, max_in_flight_requests=1)
    feed(of, [schema(name) for name in "abc"])
    reader = Reader(MessageLines())
    number = 0

    def has_room() -> bool:
        of.make_room()
        return of.has_room

    def fill() -> None:
        nonlocal number
        while has_room():
            number += 1
            stream = "abbccc"[number % 6]
            for event in reader.feed(lines([record(number, stream, name="x" * 1_000)])):
                of.receive(event, 0.0, 0)

    fill()
    assert 55 < number < 100
    # What is checked is held twice, until the last record of its chunk is.
    assert of.held_bytes < 102_000 + 100_000 // GATHERED_DIVISOR
    first, second = take(of)
    assert (first.stream, second.stream) == ("c", "b")
    fill()
    assert not take(of), "two are enough for one request at a time"
    settle(of, first)
    fill()
    assert not take(of), "while one is sent, one is waiting"
    settle(of, second)
    assert of.has_room
    fill()
    assert len(take(of)) == 2


def test_a_gathered_record_counts_the_memory_of_its_chunk() -> None:
    """Its text is part of the same chunk, so a slow stream beside a busy one does not wait long."""
    of = pipeline(max_buffer_bytes=600_000)
    feed(of, [schema("busy"), schema("quiet")])
    reader = Reader(MessageLines())
    quiet = [record(1, "quiet")]
    busy = [record(number, "busy", name="x" * 1_000) for number in range(64)]
    held: list[int] = []
    for chunk in (quiet, busy, busy):
        for event in reader.feed(lines(chunk)):
            of.receive(event, 0.0, 0)
        held.append(of.held_bytes)
    assert held[0] < 1_000
    assert held[1] > 2 * 64_000, "the busy stream's records are through, and yet in the chunk"
    assert held[2] < 2.5 * 64_000, "more than a sixth of the buffer waited, so all was checked"


def test_open_batches_are_closed_one_by_one_at_the_end() -> None:
    """Closing everything at once would double the memory."""
    of = pipeline(max_buffer_bytes=1_000_000, max_in_flight_requests=1)
    streams = [f"s{number}" for number in range(9)]
    feed(of, [schema(name) for name in streams])
    feed(of, [record(1, name, name="x" * 40_000) for name in streams])
    of.close()
    ready = take(of)
    assert len(ready) == 2
    sent: list[str] = []
    while ready:
        batch = ready.pop(0)
        sent.append(batch.stream)
        settle(of, batch)
        ready += take(of)
        assert len(ready) <= 2
    assert sorted(sent) == streams


def test_settling_all_batches_releases_all_memory() -> None:
    of = pipeline()
    feed(of, [schema(), record(1), record(2)])
    of.close()
    assert of.held_bytes > 0
    settle(of, *take(of))
    assert of.held_bytes == 0


def test_only_the_newest_of_several_writable_states_is_written() -> None:
    of = pipeline()
    feed(of, [state(1), state({}), state(3)])
    assert of.earned_state() == b"3"
    feed(of, [schema(), record(1), state(4), state(5)])
    assert of.earned_state() is None
    of.close()
    settle(of, *take(of))
    assert of.earned_state() == b"5"


def test_an_invalid_time_is_reported_once() -> None:
    of = pipeline()
    bad = {"time_extracted": "2024-13-45T99:99:99.000000Z"}
    feed(
        of, [schema(), schema("b"), record(1, message=bad), record(2, "b"), record(3, message=bad)]
    )
    feed(of, [record(4, message=bad)])
    assert [(notice.stream, notice.text) for notice in of.notices] == [
        ("people", "`time_extracted` of some records is not a date-time and is omitted")
    ]
    of.close()
    assert b"time_extracted" not in b"".join(batch.body for batch in take(of))


def test_a_table_prefix_is_in_every_request_and_dead_letter() -> None:
    of = pipeline(dead_letter=True, table_prefix="raw_")
    feed(of, [schema(), record(1), record(2, id="x"), activate(1)])
    settle(of, *(batches := take(of)))
    batches += take(of)
    prefixes = [*(batch.prefix for batch in batches), of.to_set_aside[0].prefix]
    assert len(prefixes) == 3
    assert {json.loads(each.arguments)["table_name"] for each in prefixes} == {"raw_people"}
    assert {batch.stream for batch in batches} == {"people"}


def test_records_around_a_bad_record_are_kept() -> None:
    of = pipeline()
    good = [schema(), record(1), record(2)]
    with pytest.raises(InputError, match=r"^Line 4: invalid record in stream `people`"):
        feed(of, [*good, record(0, id=None), record(4)])
    of.close()
    assert [batch.count for batch in take(of)] == [3]


def test_the_first_bad_line_is_reported() -> None:
    """Whichever stream is checked first."""
    of = pipeline()
    streams = [schema("a"), schema("b")]
    bad = [record(1, "a"), record(0, "b", id=None), record(0, "a", id=None), record(2, "b")]
    with pytest.raises(InputError, match=r"^Line 4: invalid record in stream `b`"):
        feed(of, [*streams, *bad])
    of.close()
    assert [(batch.stream, batch.count) for batch in take(of)] == [("a", 1), ("b", 1)]


def test_a_bad_record_gathered_when_the_run_fails_is_dropped() -> None:
    """Records of another stream may still be gathered when the first bad line ends the run."""
    of = pipeline()
    enough = [record(number, "a") for number in range(1, ENOUGH_RECORDS)]
    feed(of, [schema("a"), schema("b")])
    with pytest.raises(InputError, match=r"^Line 2: invalid record in stream `a`"):
        feed(of, [record(1, "b"), record(0, "a", id=None), *enough, record(0, "b", id=None)])
    of.close()
    assert [(batch.stream, batch.count) for batch in take(of)] == [("a", 63), ("b", 1)]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (record(1, "other"), "Line 2: RECORD of stream `other` precedes its SCHEMA"),
        ('{"type":"RECORD","stream":"other","record":{"x":NaN}}', "precedes its SCHEMA"),
        (
            {"type": "SCHEMA", "stream": "s", "schema": {}, "key_properties": []},
            "neither `properties` nor a key",
        ),
        (schema("s", x={"type": "txt"}), "at `#/properties/x/type`: unknown type"),
        (schema(""), "empty stream name"),
        (
            {"type": "BATCH", "stream": "other", "encoding": {}, "manifest": []},
            "BATCH of stream `other` precedes its SCHEMA",
        ),
        (
            '{"type":"RECORD","stream":"people","record":{"id":NaN}}',
            "field `/id`: it is NaN, which is not a JSON number",
        ),
    ],
)
def test_an_unusable_message_is_an_input_error(message: Any, words: str) -> None:
    with pytest.raises(InputError, match=r"^Line 2") as caught:
        feed(pipeline(), [schema(), message])
    assert words in str(caught.value)


def test_records_before_one_of_an_unknown_stream_are_accepted() -> None:
    of = pipeline()
    lines = [schema(), schema("b"), record(1), record(2, "b"), record(3, "other"), record(4)]
    with pytest.raises(InputError, match=r"^Line 5: RECORD of stream `other` precedes"):
        feed(of, lines)
    of.close()
    assert [(batch.stream, batch.count) for batch in take(of)] == [("people", 1), ("b", 1)]
    counts = of.counts()
    assert [(each.read, each.ready_or_in_flight) for each in counts.values()] == [(1, 1), (1, 1)]


def test_a_notice_is_given_once() -> None:
    of = pipeline()
    naive = {"type": "string", "format": "date-time"}
    columns: dict[str, Any] = {"at": naive, "_rjm_x": {}, "m": {"exclusiveMinimum": 1}}
    messages = [record(n, at="2024-01-01T00:00:00") for n in range(3)]
    feed(of, [schema(keys=(), **columns), *messages, schema(**columns), *messages])
    texts = [f"{notice.stream}: {notice.text}" for notice in of.notices]
    assert len(texts) == len(set(texts))
    for words in ("`_rjm_x`", "no key properties", "Draft 6", "/at", "changed during the run"):
        assert sum(words in text for text in texts) == 1


def test_an_event_of_an_unknown_type_is_an_error() -> None:
    """It would be lost, although the state after it would be written."""
    of = pipeline()
    event: Any = Raw(b"")
    with pytest.raises(TypeError, match="there is no case for Raw"):
        of.receive(event, 0.0, 0)
