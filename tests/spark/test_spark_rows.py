"""Rows are read one batch ahead, while the previous batch is delivered."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.spark.rows import read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_next_batch_is_read_while_one_is_delivered() -> None:
    second_is_read = threading.Event()

    def batches() -> Iterator[Any]:
        yield 1
        second_is_read.set()
        yield 2

    found = []
    for each in read_ahead(batches()):
        found.append(each)
        assert second_is_read.wait(30)
    assert found == [1, 2]


def test_no_more_than_one_batch_is_read_ahead() -> None:
    pulled = count()
    with closing(read_ahead(iter(lambda: next(pulled), None))) as ahead:
        assert [next(ahead) for _ in range(5)] == list(range(5))
    assert_threads_have_ended()
    assert next(pulled) == 6, "five taken, and one ahead"


def test_an_error_of_spark_is_raised_in_order() -> None:
    def batches() -> Iterator[Any]:
        yield 1
        raise OSError("the socket is closed")

    ahead = read_ahead(batches())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the socket is closed"):
        next(ahead)


def test_an_error_does_not_wait_for_the_next_batch_of_spark() -> None:
    is_closed, was_closed_in_time = threading.Event(), []

    def batches() -> Iterator[Any]:
        yield 1
        was_closed_in_time.append(is_closed.wait(5))
        yield 2

    ahead = read_ahead(batches())
    assert next(ahead) == 1
    ahead.close()  # as after an error that ends the task
    is_closed.set()
    assert_threads_have_ended()
    assert was_closed_in_time == [True]


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_no_thread_is_left_behind(taken: int) -> None:
    with closing(read_ahead(iter([1, 2, 3]))) as ahead:
        assert [next(ahead) for _ in range(taken)] == [1, 2, 3][:taken]
    assert_threads_have_ended()


def assert_threads_have_ended() -> None:
    for each in threading.enumerate():
        if each.name.startswith("read-ahead"):
            each.join(30)
            assert not each.is_alive()
