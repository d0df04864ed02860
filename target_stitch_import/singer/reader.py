"""Turns chunks of bytes into events with line numbers, for messages and for files of records.

Invariant: however the same bytes are split into chunks, they give the same events with the same
line numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from target_stitch_import.errors import InputError
from target_stitch_import.singer.lines import (
    Line,
    WholeLines,
    are_utf8,
    decoded,
    is_utf8,
)
from target_stitch_import.singer.outline import outline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.singer.messages import Event

_Decoded = TypeVar("_Decoded")


class LineDecoder(Protocol[_Decoded]):
    """Decodes the lines of one kind of input; lines are counted from 1."""

    def decode(self, text: Line, /) -> _Decoded:
        """Return the decoded line.

        Raises:
            msgspec.MsgspecError: The line is not of this kind.
            RecursionError: The line is nested too deeply.
        """

    def events(self, line: int, found: list[_Decoded], chunk_bytes: int) -> Iterator[Event]:
        """Yield the events of consecutive lines, of which `line` is the first.

        `chunk_bytes` is the size of the chunk that they are views of and so keep in memory, or 0.
        """

    def explain(self, line: int, text: bytes, error: Exception | None) -> Event:
        """Return the event of a line that `decode` fails on; no `error` means it is not UTF-8.

        Raises:
            InputError: The line cannot be read as any event.
        """

    def too_long(self, line: int) -> str:
        """Return the error message for a line of more than `MAX_LINE_BYTES`."""

    def cut_off(self, line: int, text: bytes) -> str:
        """Return the error message for an incomplete last line."""


class Reader(Generic[_Decoded]):
    """Turns chunks of bytes into events.

    Call `feed` for each chunk, then `close` once at the end of the input. Both yield events, and
    raise `InputError` for an invalid line after every event before it.
    """

    def __init__(self, decoder: LineDecoder[_Decoded]) -> None:
        self.lines_read = 0
        self._decoder = decoder
        self._lines = WholeLines()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events of every line that `chunk` completes."""
        if chunk.isspace() and self._lines.is_blank:
            self.lines_read += self._lines.skip(chunk)
        elif lines := self._lines.feed(chunk):
            yield from self._events(lines, chunk)
        if self._lines.is_too_long:
            raise InputError(self._decoder.too_long(self.lines_read + 1))

    def close(self) -> Iterator[Event]:
        """Yield the events of a last line without a line break.

        Raises:
            InputError: The line is invalid or incomplete.
        """
        last = self._lines.close()
        is_whole = not last or last.isspace() or decoded([last], self._decoder.decode)
        # Messages and records are objects, so text that does not begin like one was not cut off.
        if not is_whole and last.lstrip().startswith(b"{") and outline(last) is None:
            self.lines_read += 1
            raise InputError(self._decoder.cut_off(self.lines_read, last))
        if last:
            yield from self._events([last], last)

    def _events(self, lines: list[Line], chunk: bytes) -> Iterator[Event]:
        """Yield the events of the `lines` that `chunk` completed."""
        found = decoded(lines, self._decoder.decode) if are_utf8(lines, chunk) else None
        if found is None:
            yield from self._events_one_by_one(lines)
            return
        first = self.lines_read + 1
        self.lines_read += len(found)
        chunk_bytes = len(chunk) if isinstance(lines[-1], memoryview) else 0
        yield from self._decoder.events(first, found, chunk_bytes)

    def _events_one_by_one(self, lines: list[Line]) -> Iterator[Event]:
        """Yield the events of lines some of which are invalid; consecutive valid ones together."""
        run: list[_Decoded] = []
        for text in map(bytes, lines):
            is_blank = not text or text.isspace()
            error: Exception | None = None
            if not is_blank and is_utf8(text):
                try:
                    run.append(self._decoder.decode(text))
                    self.lines_read += 1
                    continue
                except (msgspec.MsgspecError, RecursionError) as failed:
                    error = failed
            if run:
                yield from self._decoder.events(self.lines_read + 1 - len(run), run, 0)
                run = []
            self.lines_read += 1
            if not is_blank:
                yield self._decoder.explain(self.lines_read, text, error)
        if run:
            yield from self._decoder.events(self.lines_read + 1 - len(run), run, 0)
