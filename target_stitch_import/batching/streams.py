"""The streams of a run by name, as their latest SCHEMA messages describe them, and their notices.

Invariant: a SCHEMA that repeats the current one changes nothing. The last few schemas of a stream
are kept, because a tap may alternate between them, as those of PostgreSQL and MongoDB do.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct

from target_stitch_import.batching.buffers import (
    MAX_SCHEMA_BYTES_PER_STREAM,
    MAX_SCHEMAS_PER_STREAM,
)
from target_stitch_import.batching.stream import RecentSchemas, Stream, StreamRules
from target_stitch_import.errors import StreamUnknownError, quoted
from target_stitch_import.schema.advice import Advice

if TYPE_CHECKING:
    from collections.abc import Callable, KeysView
    from typing import TypeAlias

    from target_stitch_import.singer.messages import Schema

    _SchemaKey: TypeAlias = tuple[bytes, tuple[str, ...], tuple[str, ...]]


class Notice(Struct, frozen=True):
    """Something the user should know about a stream; it is shown only once."""

    stream: str
    text: str


class Streams:
    """The streams by name; `notices` has the notices that the caller has not shown yet."""

    def __init__(self, rules: StreamRules, check_interrupt: Callable[[], None]) -> None:
        self.notices: deque[Notice] = deque()
        self._rules = rules
        self._schemas = RecentSchemas()
        self._check_interrupt = check_interrupt
        self._current: dict[str, Stream] = {}
        self._recent: dict[str, dict[_SchemaKey, Stream]] = {}
        self._name_by_lower_case: dict[str, str] = {}
        self._noticed: set[tuple[str, str, str]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._current

    def __getitem__(self, name: str) -> Stream:
        return self._current[name]

    def require(self, name: str, kind: str, line: int) -> Stream:
        """Return the stream of a message; `kind` and `line` are for the error.

        Raises:
            StreamUnknownError: There was no SCHEMA for it.
        """
        if name not in self._current:
            raise StreamUnknownError(
                f"Line {line}: {kind} of stream {quoted(name)} precedes its SCHEMA. Check that the "
                "tap writes a SCHEMA first."
            )
        return self._current[name]

    def names(self) -> KeysView[str]:
        """Return the names of all streams that have had a SCHEMA."""
        return self._current.keys()

    def described(self, message: Schema) -> Stream:
        """Return the stream that `message` describes; `change` makes it the current one.

        Raises:
            InputError: The Import API would refuse the schema or the keys.
            InterruptedRunError: Raised by `check_interrupt`.
        """
        current = self._current.get(message.stream)
        if current and current.is_described_by(message):
            return current
        recent = self._recent.setdefault(message.stream, {})
        key = (message.schema, message.key_properties, message.bookmark_properties)
        stream = recent.pop(key, None) or Stream(
            message, self._rules, self._schemas, self._check_interrupt
        )
        while recent and (
            len(recent) >= MAX_SCHEMAS_PER_STREAM
            or sum(len(schema) for schema, _, _ in recent) > MAX_SCHEMA_BYTES_PER_STREAM
        ):
            del recent[next(iter(recent))]
        recent[key] = stream
        return stream

    def change(self, stream: Stream) -> None:
        """Make `stream` the current one of its name, and queue notices about it."""
        name, former = stream.name, self._current.get(stream.name)
        self._current[name] = stream
        for each in stream.advice:
            self.notice(name, each)
        if former and former.key_names != stream.key_names:
            self.notice(name, Advice("the key properties changed during the run"))
        first_name = self._name_by_lower_case.setdefault(name.lower(), name)
        if first_name != name:
            self.notice(
                name,
                Advice(
                    f"its name differs from that of stream {quoted(first_name)} only by case, and "
                    "most destinations cannot tell two such tables apart"
                ),
            )

    def notice(self, stream: str, advice: Advice) -> None:
        """Queue a notice about the stream, or about those of the fields that have had none yet."""
        new = {(stream, advice.text, field) for field in advice.fields or ("",)} - self._noticed
        if new:
            self._noticed |= new
            fields = tuple(each for each in advice.fields if (stream, advice.text, each) in new)
            self.notices.append(Notice(stream, str(Advice(advice.text, fields))))
