"""Bodies and sequences: full up to the limit and never over it, every message once, in order."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from target_stitch_import.batching.buffers import MAX_SCHEMAS_PER_STREAM, Buffers, Limits
from target_stitch_import.batching.gathering import GATHER_SECONDS
from target_stitch_import.batching.payload import (
    Batch,
    BodyPrefix,
    Fragment,
    Sequencer,
    Span,
    Upsert,
    UpsertEncoder,
    upserts,
)
from target_stitch_import.batching.times import api_times
from target_stitch_import.limits import MAX_SEQUENCE
from target_stitch_import.singer.messages import MessageLines
from target_stitch_import.singer.reader import Reader
from tests.support.defaults import limits, pipeline
from tests.support.pipelines import feed, take
from tests.support.singer import lines, record, schema

PREFIX = BodyPrefix.of("t", b'{"properties":{}}', ["id"])


def fragment(texts: list[str], sequence: int, line: int = 1) -> Fragment:
    """Return records with these texts as one fragment."""
    records = [Raw(json.dumps({"v": text}).encode()) for text in texts]
    encoded = UpsertEncoder().encode(list(upserts(sequence, records, [UNSET] * len(texts))))
    spans = [Span(line, sequence, epoch=0)] * len(texts)
    return Fragment(encoded, spans, sequence, sequence + len(texts) - 1)


def packed(runs: list[list[str]], most: Limits) -> list[Batch]:
    """Return the batches that `runs` make."""
    buffers = Buffers(most)
    batches: list[Batch] = []
    sequence = 1000
    for run in runs:
        batches += buffers.add("t", PREFIX, None, fragment(run, sequence, sequence), 0.0)
        sequence += len(run)
    for stream in buffers.sizes():
        batches += buffers.close(stream)
    assert buffers.held_bytes == 0
    return batches


RUNS = st.lists(st.lists(st.text(max_size=60), min_size=1, max_size=8), max_size=12)


@given(RUNS, st.integers(100, 700), st.integers(1, 9))
def test_batches_keep_their_limits_and_every_message(
    runs: list[list[str]], max_bytes: int, max_rows: int
) -> None:
    batches = packed(runs, limits(max_bytes=max_bytes, max_rows=max_rows))
    sent: list[Any] = []
    followers: list[Batch | None] = [*batches[1:], None]
    for batch, following in zip(batches, followers, strict=bool(batches)):
        body = batch.body
        messages = json.loads(body)["messages"]
        assert len(body) == batch.size
        assert len(messages) == batch.count
        assert batch.count <= max_rows
        assert batch.size <= max_bytes or batch.count == 1
        if following and batch.count < max_rows and batch.size < max_bytes:
            first = following.split(1)[0] if following.count > 1 else following
            joined = batch.size + 1 + first.size - PREFIX.body_bytes
            assert joined > max_bytes, "a batch closes only where the next message cannot join"
        sent += messages
    expected = [text for run in runs for text in run]
    assert [each["data"]["v"] for each in sent] == expected
    assert [each["sequence"] for each in sent] == list(range(1000, 1000 + len(expected)))


@given(RUNS, st.data())
def test_splitting_keeps_every_message_with_its_line_and_sequence(
    runs: list[list[str]], data: st.DataObject
) -> None:
    for batch in packed(runs, limits(max_bytes=400, max_rows=9)):
        if batch.count < 2:
            continue
        at = data.draw(st.integers(1, batch.count - 1))
        first, rest = batch.split(at)
        assert first.count == at
        whole = list(batch.messages())
        assert [*first.messages(), *rest.messages()] == whole
        assert [each.span.line for each in whole] == [each.span.sequence for each in whole]
        for part, messages in ((first, whole[:at]), (rest, whole[at:]), (batch, whole)):
            assert part.first_sequence == messages[0].span.sequence
            assert part.last_sequence == messages[-1].span.sequence
        assert Counter(first.epochs) + Counter(rest.epochs) == batch.epochs
        both = json.loads(first.body)["messages"] + json.loads(rest.body)["messages"]
        assert both == json.loads(batch.body)["messages"]


def test_a_body_fills_up_to_its_limit_exactly() -> None:
    records = ["x" * 20] * 3
    exact = PREFIX.body_bytes + fragment(records, 10**18).joined_bytes
    buffers = Buffers(limits(max_bytes=exact))
    assert [b.count for b in buffers.add("t", PREFIX, None, fragment(records, 10**18), 0.0)] == [3]
    buffers = Buffers(limits(max_bytes=exact - 1))
    assert [b.count for b in buffers.add("t", PREFIX, None, fragment(records, 10**18), 0.0)] == [2]


def test_a_message_larger_than_the_limit_is_sent_alone() -> None:
    batches = packed([["a", "b" * 500, "c"]], limits(max_bytes=200))
    assert [batch.count for batch in batches] == [1, 1, 1]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(-(10**10), 10**10)), max_size=30))
def test_sequences_strictly_increase_whatever_the_clock_does(
    takes: list[tuple[int, int]],
) -> None:
    sequencer = Sequencer()
    clock = 1_700_000_000_000_000_000
    given_out: list[int] = []
    for count, step in takes:
        clock += step
        first = sequencer.take(count, clock)
        assert first >= clock
        given_out += range(first, first + count)
    assert given_out == sorted(set(given_out))
    assert all(len(str(each)) == 19 for each in given_out)


def test_a_sequence_never_exceeds_the_service_s_integers() -> None:
    assert Sequencer(MAX_SEQUENCE - 1).take(1, 0) == MAX_SEQUENCE
    with pytest.raises(OverflowError):
        Sequencer(MAX_SEQUENCE - 1).take(2, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-11-02T22:57:04.841020Z", "2018-11-02T22:57:04.841020Z"),
        ("2018-11-02T22:57:04.841020+00:00", "2018-11-02T22:57:04.841020Z"),
        ("2018-11-02T22:57:04Z", "2018-11-02T22:57:04.000000Z"),
        ("2018-11-02T23:57:04+01:00", "2018-11-02T22:57:04.000000Z"),
        ("2018-11-02T23:57:04.841020+01:00", "2018-11-02T22:57:04.841020Z"),
        ("2018-11-02T22:57:04", "2018-11-02T22:57:04.000000Z"),
        ("2018-11-02 23:57:04.1+0100", "2018-11-02T22:57:04.100000Z"),
        ("2018-11-02T22:57:04.123456789Z", "2018-11-02T22:57:04.123456Z"),
        ("0999-01-01T00:00:00+01:00", "0998-12-31T23:00:00.000000Z"),
        ("2018-13-02T22:57:04Z", UNSET),
        ("2024-13-45T99:99:99.000000Z", UNSET),
        ("2024-02-30T00:00:00.000000+00:00", UNSET),
        ("2018-11-02T22:57:04.8+01:00", "2018-11-02T21:57:04.800000Z"),
        ('2018-11-02T22:57:0"."41020Z', UNSET),
        ("yesterday", UNSET),
        ("", UNSET),
        (None, UNSET),
    ],
)
def test_time_extracted_is_sent_in_the_service_s_format(text: str, expected: object) -> None:
    """Alone, and among other times of the same length, which do not change."""
    sound = "2018-11-02T22:57:04.841020"
    other = f"{sound}+00:00" if len(text or "") == 32 else f"{sound}Z"
    is_bad = bool(text) and expected is UNSET
    times, bad = api_times([text])
    assert (list(times), list(bad)) == ([expected], [0] * is_bad)
    times, bad = api_times([other, text, other])
    assert (list(times), list(bad)) == ([f"{sound}Z", expected, f"{sound}Z"], [1] * is_bad)


def test_a_body_has_the_documented_members_and_no_others() -> None:
    schema = b'{"properties":{"id":{"type":"integer","multipleOf":1.0}}}'
    data = Raw(b'{"id":1.10,"b": 1e400}')
    sequence = 1_700_000_000_000_000_000
    encoded = UpsertEncoder().encode([Upsert(sequence, data, "2024-01-01T00:00:00.000000Z")])
    part = Fragment(encoded, [Span(7, sequence, epoch=0)], sequence, sequence)
    prefix = BodyPrefix.of("täble", schema, ["id"], 3, ["updated_at"])
    assert Batch.of("täble", prefix, [part], 3).body.decode() == (
        '{"table_name":"täble","schema":{"properties":{"id":{"type":"integer","multipleOf":1.0}}},'
        '"key_names":["id"],"table_version":3,"bookmark_names":["updated_at"],"messages":['
        '{"action":"upsert","sequence":1700000000000000000,"data":{"id":1.10,"b": 1e400},'
        '"time_extracted":"2024-01-01T00:00:00.000000Z"}]}'
    )
    assert BodyPrefix.of("t", b"{}", []).encoded == (
        b'{"table_name":"t","schema":{},"key_names":[],"messages":['
    )


def test_batches_expire_in_order_of_age() -> None:
    buffers = Buffers(limits(max_age_seconds=60))
    assert buffers.next_deadline() == float("inf")
    for number, stream in enumerate("abc"):
        prefix = BodyPrefix.of(stream, b"{}", [])
        list(buffers.add(stream, prefix, None, fragment(["x"], number), float(number)))
    assert buffers.next_deadline() == 60.0
    assert [batch.stream for batch in buffers.expired(61.0)] == ["a", "b"]
    assert buffers.next_deadline() == 62.0


def test_batches_of_a_few_schemas_stay_open_side_by_side() -> None:
    """Of one version, up to a limit; the oldest closes first."""
    buffers = Buffers(limits(max_age_seconds=60))
    flipping = [BodyPrefix.of("t", b"{}" + b" " * n, []) for n in range(MAX_SCHEMAS_PER_STREAM)]
    sequence = 0
    for _ in range(3):
        for prefix in flipping:
            sequence += 1
            now = float(sequence)
            assert not buffers.add("t", prefix, None, fragment(["a"], sequence), now)
    one_more = BodyPrefix.of("t", b"{ }" + b" " * 99, [])
    (closed,) = buffers.add("t", one_more, None, fragment(["b"], 100), 100.0)
    assert (closed.prefix, closed.count) == (flipping[0], 3)
    assert [message.span.sequence for message in closed.messages()] == [1, 9, 17]
    assert buffers.next_deadline() == 62.0
    (expired,) = buffers.expired(62.0)
    assert expired.prefix == flipping[1]
    assert {batch.prefix for batch in buffers.close("t")} == {*flipping[2:], one_more}
    assert (buffers.held_bytes, buffers.sizes()) == (0, {})


def test_large_schemas_are_not_open_side_by_side() -> None:
    buffers = Buffers(limits())
    large, other = (BodyPrefix.of("t", each * 600_000, []) for each in (b"1", b"2"))
    assert not buffers.add("t", large, None, fragment(["a"], 1), 0.0)
    (closed,) = buffers.add("t", other, None, fragment(["a"], 2), 0.0)
    assert closed.prefix == large


def test_another_version_closes_the_batches() -> None:
    buffers = Buffers(limits())
    other = BodyPrefix.of("t", b"{}", [], 2)
    assert not list(buffers.add("t", PREFIX, None, fragment(["a"], 1), 0.0))
    assert [b.version for b in buffers.add("t", other, 2, fragment(["b"], 2), 0.0)] == [None]


def test_interleaved_pipelines_do_not_mix_their_records() -> None:
    """As with two threads, which can switch wherever one calls a C function."""
    one, other = pipeline(), pipeline()
    feed(one, [schema("one")])
    feed(other, [schema("other")])
    their_events = [*Reader(MessageLines()).feed(lines([record(2, "other")]))]
    turns = 0

    def let_the_other_go_on(_: Any, event: str, __: Any) -> None:
        nonlocal turns
        if event == "c_return":
            turns += 1
            for each in their_events:
                other.receive(each, 0.0, 10**18)
            other.expire(GATHER_SECONDS)

    sys.setprofile(let_the_other_go_on)
    try:
        feed(one, [record(1, "one")])
    finally:
        sys.setprofile(None)
    one.close()
    [batch] = take(one)
    assert turns > 10
    assert [json.loads(each.data) for each in batch.messages()] == [{"id": 1}]
