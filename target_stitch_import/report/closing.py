"""The report at the end of a run: a table on a terminal, or else sentences in the log.

Invariant: what requires action, records set aside and rows rejected, is logged as a warning, so
that `--quiet` does not hide it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from target_stitch_import.errors import quoted
from target_stitch_import.report.summary import StreamSummary
from target_stitch_import.report.terminal import fitting, width
from target_stitch_import.report.words import (
    ACKNOWLEDGED,
    WOULD_BE_SENT,
    counted,
    duration,
    elapsed,
    rate,
    size,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from target_stitch_import.report.summary import Summary
    from target_stitch_import.report.terminal import Terminal

MAX_STREAMS_SHOWN = 20
MAX_REASONS_SHOWN = 20
_MIN_NAME_COLUMNS = 12
_GAP = "  "


class ClosingContext(Struct, frozen=True):
    """What the report needs besides the summary; `database` is that of `region: local`."""

    dead_letter_path: str | None = None
    database: str | None = None
    dry_run: bool = False
    config_paths: tuple[str, ...] = ("CONFIG",)

    @property
    def configuration(self) -> str:
        """The `--config` options that repeat the configuration, each after a space."""
        return "".join(f" --config {shlex.quote(path)}" for path in self.config_paths)

    @property
    def done(self) -> str:
        """The word for delivered records: acknowledged, or in a dry run, would be sent."""
        return WOULD_BE_SENT if self.dry_run else ACKNOWLEDGED


class NextCommand(Struct, frozen=True):
    """A command that the user may want to run next, and its purpose."""

    purpose: str
    command: str


def report(
    summary: Summary, context: ClosingContext, logger: logging.Logger, terminal: Terminal | None
) -> None:
    """Report what the run did: warnings to the log, the rest to the terminal if there is one."""
    for text in warnings(summary, context):
        logger.warning("%s", text)
    if terminal:
        terminal.show(["", *screen(summary, context, terminal.columns)])
        return
    for text in [*_sentences(summary, context.done), *_overview(summary, context)]:
        logger.info("%s", text)
    for step in next_commands(summary, context):
        logger.info("%s: %s", step.purpose, step.command)


def screen(summary: Summary, context: ClosingContext, columns: int) -> list[str]:
    """Return the lines for a terminal: a table if it fits, an overview, and next commands."""
    rows = table(summary, context.done, columns) if summary.streams else []
    if any(width(row) > columns for row in rows):
        rows = _wrapped(_sentences(summary, context.done), columns)
    lines = [*rows, "", *_wrapped(_overview(summary, context), columns)]
    for step in next_commands(summary, context):
        # A command stays on one line, so that it can be copied.
        lines += ["", *_wrapped([f"{step.purpose}:"], columns), f"  {step.command}"]
    return lines


def _wrapped(texts: Iterable[str], columns: int) -> list[str]:
    """Wrap each text at word boundaries, with its continuation lines indented."""
    lines: list[str] = []
    for text in texts:
        first, *words = text.split(" ")
        lines.append(first)
        for word in words:
            if width(lines[-1]) + 1 + width(word) > columns:
                lines.append(f"  {word}")
            else:
                lines[-1] += f" {word}"
    return lines


def warnings(summary: Summary, context: ClosingContext) -> Iterator[str]:
    """Yield warnings about messages that were set aside, and rows that were rejected."""
    aside = {name: each.set_aside_reasons for name, each in summary.streams.items()}
    verb = "would be set aside" if context.dry_run else "set aside"
    for stream, reason, count in _most_frequent(aside):
        yield f"Stream {stream}: {count:,} {verb}: {reason}"
    if summary.set_aside and context.dead_letter_path and not context.dry_run:
        counts = {"record": summary.records.set_aside, "activation": summary.activations.set_aside}
        messages = " and ".join(counted(count, noun) for noun, count in counts.items() if count)
        are = "is" if summary.set_aside == 1 else "are"
        yield (
            f"{messages} {are} set aside in {context.dead_letter_path} and not delivered. Repair "
            "the file, then send it with `stitch-import replay`"
        )
    for table_name, reason, count in _most_frequent(summary.rejected):
        yield f"Table {table_name}: {counted(count, 'row')} rejected while loading: {reason}"
    if summary.rejected:
        yield (
            f"{counted(summary.rejected_rows, 'row')} rejected while loading: acknowledged, but "
            "not in their tables. `_sdc_rejected` lists them with reasons: stitch-import tables "
            f"--database {shlex.quote(context.database or '')}"
        )


def next_commands(summary: Summary, context: ClosingContext) -> Iterator[NextCommand]:
    """Yield the commands that the user may want to run next."""
    if context.dry_run:
        return
    if context.database:
        database = shlex.quote(context.database)
        yield NextCommand("To see the tables", f"stitch-import tables --database {database}")
    path = context.dead_letter_path
    if summary.set_aside and path:
        replay = f"stitch-import replay{context.configuration} {shlex.quote(path)}"
        yield NextCommand("To send the repaired dead letters", replay)


def table(summary: Summary, done: str, columns: int) -> list[str]:
    """Return the streams as aligned rows, in the order of `_streams`.

    Rows are at most `columns` wide, unless the numbers alone are wider.
    """
    named, rest = _streams(summary)
    rows = [(quoted(name, mark=""), each) for name, each in named]
    if rest:
        rows.append((counted(len(rest), "smaller stream"), StreamSummary.together(rest)))
    if len(rows) > 1:
        rows.append(("all", StreamSummary.together(summary.streams.values())))
    titles = ["stream", "read", done, "set aside", "repaired", "bytes"]
    cells = [titles, *([name, *_cells(each)] for name, each in rows)]
    if _numbers_width(cells) > columns - _MIN_NAME_COLUMNS:
        # Columns that are zero for all streams are dropped.
        kept = [
            at
            for at, title in enumerate(titles)
            if title not in {"set aside", "repaired"} or any(row[at] != "0" for row in cells[1:])
        ]
        cells = [[row[at] for at in kept] for row in cells]
    room = max(columns - _numbers_width(cells), _MIN_NAME_COLUMNS)
    cells = [[fitting(name, room), *numbers] for name, *numbers in cells]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    return [_aligned(row, widths) for row in cells]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row as text, with the name left-aligned and the numbers right-aligned."""
    padding = [" " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
    name = row[0] + padding[0]
    numbers = [before + cell for before, cell in zip(padding[1:], row[1:], strict=True)]
    return _GAP.join([name, *numbers]).rstrip()


def _numbers_width(cells: list[list[str]]) -> int:
    """Return the width of the numbers with the gaps before them, in characters."""
    numbers = zip(*(row[1:] for row in cells), strict=True)
    return sum(len(_GAP) + max(map(len, column)) for column in numbers)


def _cells(stream: StreamSummary) -> list[str]:
    records = stream.records
    return [
        f"{records.read:,}",
        f"{records.acknowledged:,}",
        f"{records.set_aside:,}",
        f"{stream.repaired_values:,}",
        size(stream.bytes),
    ]


def _sentences(summary: Summary, done: str) -> Iterator[str]:
    """Yield a sentence for each stream, in the order of `_streams`."""
    named, rest = _streams(summary)
    for name, each in named:
        yield f"Stream {quoted(name)}: {_counts(each, done)}"
    if rest:
        counts = _counts(StreamSummary.together(rest), done)
        yield f"And {counted(len(rest), 'smaller stream')}: {counts}"


def _counts(stream: StreamSummary, done: str) -> str:
    read, acknowledged, set_aside, repaired, size_of_all = _cells(stream)
    counts = f"{read} read, {acknowledged} {done}, {set_aside} set aside"
    if stream.repaired_values:
        counts += f", {repaired} repaired"
    if stream.activations.read:
        counts += f"; {counted(stream.activations.read, 'version')} to activate"
    if stream.activations.set_aside:
        counts += f", {stream.activations.set_aside:,} set aside"
    counts += f"; {size_of_all} in {counted(stream.batches, 'batch')}"
    return counts + (f", {counted(stream.retries, 'request')} retried" if stream.retries else "")


def _overview(summary: Summary, context: ClosingContext) -> Iterator[str]:
    """Yield sentences about the run as a whole."""
    if context.dry_run:  # nothing was sent, so there are no times and no rates
        yield (
            f"{counted(summary.records.acknowledged, 'record')} would be sent, "
            f"{size(summary.bytes)} in {counted(summary.batches, 'batch')}. Nothing was sent: this "
            "was a dry run"
        )
        return
    records, seconds = summary.records.acknowledged, summary.seconds
    rates = ""
    if records and seconds:
        rates = f", {rate(records / seconds)} records and {size(summary.bytes / seconds)} a second"
    took = f"{seconds:.1f} s" if seconds < 60 else elapsed(seconds)
    yield f"{counted(records, 'record')} acknowledged{_activated(summary)} in {took}{rates}"
    latency = summary.latency_seconds
    if summary.requests == 1:
        yield f"1 request, answered in {duration(latency.slowest)}"
    elif summary.requests:
        retried = f", {summary.retries:,} of them retried" if summary.retries else ""
        yield (
            f"{counted(summary.requests, 'request')}{retried}; half were answered within "
            f"{duration(latency.median)}, 99 of 100 within {duration(latency.p99)}, the slowest in "
            f"{duration(latency.slowest)}"
        )
    if summary.possible_duplicates:
        yield (
            f"{counted(summary.possible_duplicates, 'request')} with an unclear outcome: "
            "in streams without keys, their rows can be duplicated"
        )
    if summary.unavailable_seconds >= 1:
        yield f"Import API unavailable for {duration(summary.unavailable_seconds)}"
    if summary.seconds_without_room >= 1:
        yield (
            f"Reading paused for {duration(summary.seconds_without_room)} because the buffer "
            "was full"
        )


def _activated(summary: Summary) -> str:
    activations = summary.activations.acknowledged
    return f" and {counted(activations, 'version')} activated" if activations else ""


def _streams(
    summary: Summary,
) -> tuple[Sequence[tuple[str, StreamSummary]], Sequence[StreamSummary]]:
    """Return the streams that are shown by name, and the others.

    Those with most records set aside come first, then those with most messages.
    """
    streams = sorted(
        summary.streams.items(), key=lambda each: (-each[1].set_aside, -each[1].read, each[0])
    )
    rest = [each for _, each in streams[MAX_STREAMS_SHOWN:]]
    return streams[:MAX_STREAMS_SHOWN], rest


def _most_frequent(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str, int]]:
    """Yield names with each reason and its count, the highest first; the rest as one entry."""
    every = Counter(
        {
            (name, reason): count
            for name, reasons in counts.items()
            for reason, count in reasons.items()
        }
    )
    shown = every.most_common(MAX_REASONS_SHOWN)
    for (name, reason), count in shown:
        yield quoted(name), quoted(reason, mark="", limit=1_000), count
    if rest := every.total() - sum(count for _, count in shown):
        yield "`...`", f"{len(every) - len(shown):,} more reasons or streams", rest
