"""The pipeline's laws, under any order of input and of settling."""

from __future__ import annotations

import gc
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.batching.buffers import Limits
from target_stitch_import.batching.gathering import GATHER_SECONDS, GATHERED_SHARE
from target_stitch_import.batching.payload import BodyPrefix
from target_stitch_import.batching.pipeline import Pipeline, PipelineRules
from target_stitch_import.errors import InputError
from target_stitch_import.singer.messages import (
    MalformedRecord,
    MessageReader,
    RecordMessage,
    Records,
)
from tests.conftest import lines, record, schema, state

if TYPE_CHECKING:
    from target_stitch_import.batching.payload import Batch


def pipeline(limits: Limits | None = None, **rules: Any) -> Pipeline:
    return Pipeline(PipelineRules(**rules), limits or Limits())


def feed(to: Pipeline, messages: list[Any], now: float = 0.0, clock_ns: int = 10**18) -> None:
    reader = MessageReader()
    for event in [*reader.feed(lines(messages)), *reader.close()]:
        to.receive(event, now, clock_ns)
    to.expire(now + GATHER_SECONDS)


def take(of: Pipeline) -> list[Batch]:
    ready = list(of.ready)
    of.ready.clear()
    return ready


def settle(of: Pipeline, *batches: Batch) -> None:
    for batch in batches:
        of.settled(batch)
        of.released(batch)


STREAMS = ("a", "b")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.sampled_from(STREAMS), st.sampled_from([1, 2])),
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
    """Drives a pipeline and checks the laws after every step."""

    def __init__(self) -> None:
        limits = Limits(max_bytes=400, max_rows=3, max_age_seconds=60)
        self.pipeline = pipeline(limits, dead_letter=True, max_buffer_bytes=2_000)
        self.line = 0
        self.now = 0.0
        self.unsettled: dict[int, str] = {}
        self.activations: dict[int, str] = {}
        self.states: dict[str, int] = {}
        self.written: list[int] = []
        self.in_flight: list[tuple[Batch, Batch]] = []
        """Each batch with what of it is still to be settled."""
        for stream in STREAMS:
            self.give(schema(stream))

    def give(self, message: Any) -> None:
        self.line += 1
        reader = MessageReader()
        reader.lines_read = self.line - 1
        for event in reader.feed(lines([message])):
            self.pipeline.receive(event, self.now, 10**18)

    def step(self, name: str, stream: str, number: int) -> None:
        if name == "record":
            self.unsettled[self.line + 1] = stream
            self.give(record(self.line, stream, message={"version": number}))
        elif name == "bad":
            self.unsettled[self.line + 1] = stream
            self.give(record(0, stream, id="no integer", message={"version": 9}))
        elif name == "state":
            self.states[str(self.line + 1)] = self.line + 1
            self.give(state(self.line))
        elif name == "activate":
            self.unsettled[self.line + 1] = self.activations[self.line + 1] = stream
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
            del self.unsettled[message.place.line]
        self.pipeline.settled(part)

    def set_aside(self) -> None:
        while self.pipeline.to_set_aside:
            letter = self.pipeline.to_set_aside.popleft()
            assert json.loads(letter.record)["id"] == "no integer"
            del self.unsettled[letter.line]
            self.pipeline.set_aside(letter)

    def check(self) -> None:
        for batch in take(self.pipeline):
            self.check_barrier(batch)
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
        assert self.pipeline.unsettled == len(self.unsettled)

    def check_barrier(self, batch: Batch) -> None:
        messages = [message.place.line for message in batch.messages()]
        assert messages == sorted(messages)
        first = messages[0]
        of_stream = [each for each, stream in self.unsettled.items() if stream == batch.stream]
        letters = {each.line for each in self.pipeline.to_set_aside}
        if batch.barrier:
            assert messages == [first]
            assert not [each for each in of_stream if each < first and each not in letters]
        for line, stream in self.activations.items():
            if stream == batch.stream and line in self.unsettled:
                assert max(messages) <= line, "a record overtook an activation"

    def finish(self) -> None:
        self.pipeline.close()
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
def test_the_laws_hold_after_every_step(actions: list[tuple[str, str, int]]) -> None:
    watcher = Watcher()
    for action in actions:
        watcher.step(*action)
        watcher.check()
    watcher.finish()


def test_identical_schemas_are_no_event() -> None:
    of = pipeline()
    reordered = {"key_properties": ["id"], **schema()}
    respaced = json.dumps(schema(), indent=None, separators=(" , ", " : "))
    feed(of, [schema(), record(1), reordered, record(2), respaced, record(3)])
    of.close()
    assert [batch.count for batch in take(of)] == [3]


@pytest.mark.parametrize(
    "other",
    [
        schema(keys=("id", "name")),
        schema(name={"type": "string"}),
        schema() | {"bookmark_properties": ["id"]},
    ],
)
def test_a_changed_schema_closes_the_batch(other: Any) -> None:
    of = pipeline()
    feed(of, [schema(), record(1, name="x"), other, record(2, name="x")])
    assert [batch.count for batch in take(of)] == [1]
    of.close()
    assert [batch.count for batch in take(of)] == [1]


def test_another_version_closes_the_batch() -> None:
    of = pipeline()
    versions = [1, 1, 2, None]
    feed(of, [schema(), *(record(v or 0, message={"version": v} if v else {}) for v in versions)])
    of.close()
    assert [(batch.version, batch.count) for batch in take(of)] == [(1, 2), (2, 1), (None, 1)]


def test_memory_is_bounded_by_closing_the_largest() -> None:
    """As many as keep the requests busy, so that the others can grow."""
    of = pipeline(max_buffer_bytes=100_000, max_in_flight_requests=1)
    feed(of, [schema(name) for name in "abc"])
    reader = MessageReader()
    number = 0

    def fill() -> None:
        nonlocal number
        while of.has_room():
            number += 1
            stream = "abbccc"[number % 6]
            for event in reader.feed(lines([record(number, stream, name="x" * 1_000)])):
                of.receive(event, 0.0, 0)

    fill()
    assert 55 < number < 100
    # What is checked is held twice, until the last record of its chunk is.
    assert of.held_bytes < 102_000 + 100_000 // GATHERED_SHARE
    first, second = take(of)
    assert (first.stream, second.stream) == ("c", "b")
    fill()
    assert not take(of), "two are enough for one request at a time"
    settle(of, first)
    fill()
    assert not take(of), "while one is sent, one is waiting"
    settle(of, second)
    assert of.has_room()
    fill()
    assert len(take(of)) == 2


def test_a_record_that_waits_takes_the_room_of_what_was_read_with_it() -> None:
    """Its text lies in the same chunk; so a quiet stream beside a busy one does not wait long."""
    of = pipeline(max_buffer_bytes=600_000)
    feed(of, [schema("busy"), schema("quiet")])
    reader = MessageReader()
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


def test_what_is_open_at_the_end_is_closed_as_it_can_be_sent() -> None:
    """Closed all at once, it would take as much memory again."""
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


def test_all_that_is_held_is_released() -> None:
    of = pipeline()
    feed(of, [schema(), record(1), record(2)])
    of.close()
    assert of.held_bytes > 0
    settle(of, *take(of))
    assert of.held_bytes == 0


def test_versions_that_are_gone_leave_nothing_behind() -> None:
    of = pipeline()
    feed(of, [schema()])
    feed(of, [record(n, message={"version": n + 1}) for n in range(50)])
    of.close()
    settle(of, *take(of))
    prefixes = [each for each in gc.get_objects() if isinstance(each, BodyPrefix)]
    assert len([each for each in prefixes if b'"people"' in each.encoded]) <= 1


def test_without_records_a_state_is_earned_at_once_and_the_newest_wins() -> None:
    of = pipeline()
    feed(of, [state(1), state({}), state(3)])
    assert of.earned_state() == b"3"
    feed(of, [schema(), record(1), state(4), state(5)])
    assert of.earned_state() is None
    of.close()
    settle(of, *take(of))
    assert of.earned_state() == b"5"


def test_activation_is_refused_where_a_record_of_its_version_was_set_aside() -> None:
    of = pipeline(dead_letter=True)
    activate = {"type": "ACTIVATE_VERSION", "stream": "people", "version": 7}
    feed(of, [schema(), record(1, message={"version": 7})])
    feed(of, [schema(), {"type": "RECORD", "stream": "people", "record": {}, "version": 7}])
    feed(of, [activate])
    (batch,) = take(of)
    of.set_aside(of.to_set_aside.popleft())
    of.settled(batch)
    with pytest.raises(InputError, match=r"version 7 of stream `people` is not activated"):
        of.expire(0.0)


def test_activation_can_be_switched_off() -> None:
    of = pipeline(process_activate_version_messages=False)
    feed(of, [schema(), {"type": "ACTIVATE_VERSION", "stream": "people", "version": 7}, state(1)])
    assert take(of) == []
    assert of.earned_state() == b"1"


def test_what_is_around_a_bad_record_is_kept() -> None:
    of = pipeline()
    good = [schema(), record(1), record(2)]
    with pytest.raises(InputError, match=r"^Line 4: a record of stream `people` cannot be sent"):
        feed(of, [*good, record(0, id=None), record(4)])
    of.close()
    assert [batch.count for batch in take(of)] == [3]


def test_the_first_line_at_fault_is_the_one_to_tell() -> None:
    """Whichever stream is looked at first."""
    of = pipeline()
    streams = [schema("a"), schema("b")]
    bad = [record(1, "a"), record(0, "b", id=None), record(0, "a", id=None), record(2, "b")]
    with pytest.raises(InputError, match=r"^Line 4: a record of stream `b`"):
        feed(of, [*streams, *bad])
    of.close()
    assert [(batch.stream, batch.count) for batch in take(of)] == [("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (record(1, "other"), "Line 2: RECORD of stream `other` came before its SCHEMA"),
        (
            {"type": "ACTIVATE_VERSION", "stream": "other", "version": 1},
            "Line 2: ACTIVATE_VERSION of stream `other` came before its SCHEMA",
        ),
        ('{"type":"RECORD","stream":"other","record":{"x":NaN}}', "came before its SCHEMA"),
        (schema("s", ("nope",)), "the key property `nope`, which is not among its `properties`"),
        ({"type": "SCHEMA", "stream": "s", "schema": {}, "key_properties": []}, "no `properties`"),
        (schema("s", x={"type": "txt"}), "at `#/properties/x/type`: unknown type"),
        (schema(""), "empty stream name"),
        (
            {"type": "BATCH", "stream": "other", "encoding": {}, "manifest": []},
            "BATCH of stream `other` came before its SCHEMA",
        ),
        ('{"type":"RECORD","stream":"people","record":{"id":NaN}}', "holds NaN or Infinity"),
    ],
)
def test_messages_that_make_no_sense(message: Any, words: str) -> None:
    with pytest.raises(InputError, match=r"^Line 2") as caught:
        feed(pipeline(), [schema(), message])
    assert words in str(caught.value)


def test_what_stands_before_a_record_of_an_unknown_stream_is_taken() -> None:
    of = pipeline()
    lines = [schema(), schema("b"), record(1), record(2, "b"), record(3, "other"), record(4)]
    with pytest.raises(InputError, match=r"^Line 5: RECORD of stream `other` came before"):
        feed(of, lines)
    of.close()
    assert [(batch.stream, batch.count) for batch in take(of)] == [("people", 1), ("b", 1)]
    assert of.unsettled == 2


def test_records_bring_their_own_sequences() -> None:
    """They keep them in any order, through a split and set aside; lines are told all the same."""
    numbers = [7, 3, 3, 10**18]
    of = pipeline(dead_letter=True)
    feed(of, [schema("a")])
    texts = [b'{"id":1}', b'{"id":2}', b'{"id":"x"}', b'{"id":4}']
    messages = [RecordMessage("a", Raw(text)) for text in texts]
    of.receive(Records(11, messages, sequences=numbers), 0.0, 10**18)
    of.receive(MalformedRecord(15, "a", None, b"{NaN}", "no", sequence=5), 0.0, 10**18)
    of.close()
    batches = take(of)
    parts = [part for each in batches for part in (each.split(1) if each.count > 1 else [each])]
    sent = [message.place for part in parts for message in part.messages()]
    assert [(place.line, place.sequence) for place in sent] == [(11, 7), (12, 3), (14, 10**18)]
    aside = [(each.line, each.sequence) for each in of.to_set_aside]
    assert aside == [(13, 3), (15, 5)]


def test_notices_are_told_once() -> None:
    of = pipeline()
    naive = {"type": "string", "format": "date-time"}
    columns: dict[str, Any] = {"at": naive, "_sdc_x": {}, "m": {"exclusiveMinimum": 1}}
    messages = [record(n, at="2024-01-01T00:00:00") for n in range(3)]
    feed(of, [schema(keys=(), **columns), *messages, schema(**columns), *messages])
    texts = [f"{notice.stream}: {notice.text}" for notice in of.notices]
    assert len(texts) == len(set(texts))
    for words in ("`_sdc_x`", "there is no key", "Draft 6", "/at", "changed in mid-stream"):
        assert sum(words in text for text in texts) == 1
