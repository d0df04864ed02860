"""Rows of columnar files: checked and buffered at once, in their place among records."""

from __future__ import annotations

import json

import pytest

from target_stitch_import.singer.messages import MalformedRecord, Rows
from target_stitch_import.singer.origin import BatchFile
from tests.support.defaults import pipeline
from tests.support.pipelines import feed, take
from tests.support.singer import record, schema


def rows(line: int, texts: list[bytes], sequences: list[int] | None = None) -> Rows:
    """Return rows like those of a columnar file."""

    def messages(first: int) -> tuple[bytes, int]:
        numbers = sequences or range(first, first + len(texts))
        found = [
            b'{"action":"upsert","sequence":%d,"data":%b}' % each
            for each in zip(numbers, texts, strict=True)
        ]
        return b"[%b]" % b",".join(found), max(map(len, found))

    return Rows(line, "a", None, len(texts), messages, {}, BatchFile("f", 1, "Row"), sequences)


@pytest.mark.parametrize("sequences", [None, [7, 3, 3, 10**18]])
def test_rows_are_sent_in_their_place(sequences: list[int] | None) -> None:
    """After the records before them; each bad row is set aside with its number and sequence."""
    of = pipeline(dead_letter=True)
    feed(of, [schema("a"), record(0, "a")])
    texts = [b'{"id":1}', b'{"id":2}', b'{"id":"x"}', b'{"id":4}']
    of.receive(rows(11, texts, sequences), 0.0, 10**18)
    feed(of, [record(5, "a")])
    of.close()
    sent = [message for batch in take(of) for message in batch.messages()]
    assert [json.loads(message.data)["id"] for message in sent] == [0, 1, 2, 4, 5]
    numbers = sequences or [sent[1].span.sequence + at for at in range(4)]
    places = [(message.span.line, message.span.sequence) for message in sent[1:4]]
    assert places == [(11, numbers[0]), (12, numbers[1]), (14, numbers[3])]
    assert [(each.line, each.sequence) for each in of.to_set_aside] == [(13, numbers[2])]
    assert of.counts()["a"].read == 6


def test_given_sequences_are_kept() -> None:
    """In any order, after a split, and in dead letters; line numbers stay right."""
    of = pipeline(dead_letter=True)
    feed(of, [schema("a")])
    texts = [b'{"id":1}', b'{"id":2}', b'{"id":"x"}', b'{"id":4}']
    of.receive(rows(11, texts, [7, 3, 3, 10**18]), 0.0, 10**18)
    of.receive(MalformedRecord(15, "a", None, b"{NaN}", "no", sequence=5), 0.0, 10**18)
    of.close()
    parts = [part for each in take(of) for part in (each.split(1) if each.count > 1 else [each])]
    sent = [message.span for part in parts for message in part.messages()]
    assert [(place.line, place.sequence) for place in sent] == [(11, 7), (12, 3), (14, 10**18)]
    assert [(each.line, each.sequence) for each in of.to_set_aside] == [(13, 3), (15, 5)]
