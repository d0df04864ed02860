"""Formatting of numbers for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_stitch_import.report.words import counted, duration, elapsed, rate, size

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("formatted", "number", "words"),
    [
        (size, 0, "0 B"),
        (size, 148, "148 B"),
        (size, 999.4, "999 B"),
        (size, 999.96, "1.0 kB"),
        (size, 1_234, "1.2 kB"),
        (size, 999_949, "999.9 kB"),
        (size, 999_951, "1.0 MB"),
        (size, 3_400_000_000, "3.4 GB"),
        (size, 123_456_789_012_345, "123.5 TB"),
        (size, 9.9e15, "9,900.0 TB"),
        (rate, 0, "0"),
        (rate, 0.0001, "0.01"),
        (rate, 0.04, "0.04"),
        (rate, 0.3, "0.3"),
        (rate, 9.94, "9.9"),
        (rate, 9.96, "10"),
        (rate, 15_012.4, "15,012"),
        (elapsed, 0.0, "0:00"),
        (elapsed, 59.9, "0:59"),
        (elapsed, 61, "1:01"),
        (elapsed, 3_599, "59:59"),
        (elapsed, 36_061, "10:01:01"),
        (duration, 0, "0 ms"),
        (duration, 0.0004, "under 1 ms"),
        (duration, 0.0204, "20 ms"),
        (duration, 0.9996, "1.0 s"),
        (duration, 3.44, "3.4 s"),
        (duration, 9.96, "10 s"),
        (duration, 59.4, "59 s"),
        (duration, 59.6, "1:00"),
        (duration, 3_725, "1:02:05"),
    ],
)
def test_numbers_are_formatted_with_their_unit(
    formatted: Callable[[float], str], number: float, words: str
) -> None:
    assert formatted(number) == words


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [
        (0, "record", "0 records"),
        (1, "record", "1 record"),
        (2_000, "record", "2,000 records"),
        (1, "batch", "1 batch"),
        (2, "batch", "2 batches"),
    ],
)
def test_a_count_has_the_singular_or_plural_noun(number: int, name: str, words: str) -> None:
    assert counted(number, name) == words
