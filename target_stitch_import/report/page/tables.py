"""The tables of the report page: streams, and what was set aside, repaired or rejected.

Each cell has its column's title, because a phone shows a row as a card, and each number has its
value as an attribute, by which rows are sorted.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from msgspec import Struct

from target_stitch_import.errors import quoted
from target_stitch_import.report.words import size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_stitch_import.report.summary import StreamSummary, Summary

_NAME_CHARACTERS = 300
_REASON_CHARACTERS = 1_000
_NARROW_COLUMNS = 4
"""A table with more columns is shown as a table only on a wide screen."""


def safe(text: str, limit: int = _NAME_CHARACTERS) -> str:
    """Return text of the summary as HTML, with non-printing and bidi characters as escapes."""
    return escape(quoted(text, mark="", limit=limit))


class _Column(Struct, frozen=True):
    """A column of numbers; without `always` it is omitted if it is 0 for all streams."""

    title: str
    value: Callable[[StreamSummary], int]
    always: bool = False
    text: Callable[[int], str] = "{:,}".format


_STREAM_COLUMNS = (
    _Column("Read", lambda each: each.records.read, always=True),
    _Column("Acknowledged", lambda each: each.records.acknowledged, always=True),
    _Column("Set aside", lambda each: each.records.set_aside, always=True),
    _Column("Repaired values", lambda each: each.repaired_values),
    _Column("Versions activated", lambda each: each.activations.acknowledged),
    _Column("Activations set aside", lambda each: each.activations.set_aside),
    _Column("Size", lambda each: each.bytes, text=size),
    _Column("Batches", lambda each: each.batches),
    _Column("Requests retried", lambda each: each.retries),
)


class _Row(Struct, frozen=True):
    """A row: its names, of which the first is the row header, and its numbers with their texts."""

    names: Sequence[str]
    numbers: Sequence[tuple[int, str]]


def streams(summary: Summary) -> str:
    """Return a table of streams; empty if there are none."""
    every = sorted(summary.streams.items(), key=lambda each: (-each[1].read, each[0]))
    columns = [
        column
        for column in _STREAM_COLUMNS
        if column.always or any(column.value(each) for _, each in every)
    ]
    rows = [
        _Row([name], [(column.value(each), column.text(column.value(each))) for column in columns])
        for name, each in every
    ]
    return _table("Streams", ["Stream"], [column.title for column in columns], rows)


def set_aside(summary: Summary) -> str:
    """Return a table of the reasons why messages were set aside, by stream."""
    reasons = {name: each.set_aside_reasons for name, each in summary.streams.items()}
    return _counts("Set aside", ["Stream", "Reason"], "Messages", _flat(reasons))


def repaired(summary: Summary) -> str:
    """Return a table of repaired values, by stream, field and repair."""
    rows = [
        ((stream, field, repair), count)
        for stream, each in summary.streams.items()
        for field, repairs in each.repaired.items()
        for repair, count in repairs.items()
    ]
    return _counts("Repaired", ["Stream", "Field", "Repair"], "Values", rows)


def rejected(summary: Summary) -> str:
    """Return a table of the reasons why rows were rejected while loading, by table."""
    return _counts("Rejected while loading", ["Table", "Reason"], "Rows", _flat(summary.rejected))


def _flat(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[tuple[str, ...], int]]:
    return [
        ((name, reason), count)
        for name, reasons in counts.items()
        for reason, count in reasons.items()
    ]


def _counts(
    title: str,
    name_titles: Sequence[str],
    number_title: str,
    counts: Sequence[tuple[tuple[str, ...], int]],
) -> str:
    """Return a table of counts, the highest first."""
    ordered = sorted(counts, key=lambda each: (-each[1], each[0]))
    rows = [_Row(names, [(count, f"{count:,}")]) for names, count in ordered]
    return _table(title, name_titles, [number_title], rows)


def _table(
    title: str, name_titles: Sequence[str], number_titles: Sequence[str], rows: Sequence[_Row]
) -> str:
    """Return a table with its title and column headers; empty if there are no rows."""
    if not rows:
        return ""
    wide = " wide" * (len(name_titles) + len(number_titles) > _NARROW_COLUMNS)
    identity = title.lower().replace(" ", "-")
    heads = [f'<th role="columnheader" scope="col">{each}</th>' for each in name_titles]
    heads += [
        f'<th role="columnheader" scope="col" class="n">{each}</th>' for each in number_titles
    ]
    body = "".join(_row(row, name_titles, number_titles) for row in rows)
    return (
        f'<section class="card" aria-labelledby="{identity}"><h2 id="{identity}">{title}</h2>'
        f'<div class="table{wide}"><table role="table" aria-labelledby="{identity}">'
        f'<thead role="rowgroup"><tr role="row">{"".join(heads)}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div></section>'
    )


def _row(row: _Row, name_titles: Sequence[str], number_titles: Sequence[str]) -> str:
    head, *others = row.names
    cells = [f'<th role="rowheader" scope="row">{safe(head)}</th>']
    cells += [
        f'<td role="cell" data-title="{title}"><span>{safe(text, _REASON_CHARACTERS)}</span></td>'
        for title, text in zip(name_titles[1:], others, strict=True)
    ]
    cells += [
        f'<td role="cell" class="n{" zero" * (not value)}" data-title="{title}" '
        f'data-value="{value}">{text}</td>'
        for title, (value, text) in zip(number_titles, row.numbers, strict=True)
    ]
    return f'<tr role="row">{"".join(cells)}</tr>'
