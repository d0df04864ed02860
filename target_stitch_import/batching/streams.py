"""The streams of a run as their SCHEMA messages describe them, and what is told of them.

Law: a SCHEMA that says nothing new is not an event. A tap may go back and forth between a few
schemas of a stream, as those of PostgreSQL and MongoDB do; what was made of the last few is kept.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct

from target_stitch_import.batching.buffers import MAX_SIDE_BY_SIDE, MAX_SIDE_BY_SIDE_BYTES
from target_stitch_import.batching.stream import RecentSchemas, Stream, StreamRules
from target_stitch_import.errors import StreamUnknownError, quoted
from target_stitch_import.schema.advice import Advice

if TYPE_CHECKING:
    from collections.abc import Callable, KeysView
    from typing import TypeAlias

    from target_stitch_import.singer.messages import Schema

    _SchemaKey: TypeAlias = tuple[bytes, tuple[str, ...], tuple[str, ...]]


class Notice(Struct, frozen=True):
    """Something the user should know about a stream; told once."""

    stream: str
    text: str


class Streams:
    """Knows each stream by its latest SCHEMA; `notices` has what is to be told."""

    def __init__(self, rules: StreamRules, look_around: Callable[[], None]) -> None:
        self.notices: deque[Notice] = deque()
        self._rules = rules
        self._schemas = RecentSchemas()
        self._look_around = look_around
        self._current: dict[str, Stream] = {}
        self._recent: dict[str, dict[_SchemaKey, Stream]] = {}
        self._names: dict[str, str] = {}
        self._noticed: set[tuple[str, str, str]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._current

    def __getitem__(self, name: str) -> Stream:
        return self._current[name]

    def known(self, name: str, kind: str, line: int) -> Stream:
        """Return the stream that a message is of; `kind` is the message's type.

        Raises:
            StreamUnknownError: It has had no SCHEMA.
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
        """Return the stream that `message` describes, which is not the current one yet.

        Raises:
            InputError: The Import API would refuse the schema or the keys.
            InterruptedRunError: `look_around` raised it.
        """
        current = self._current.get(message.stream)
        if current and current.is_described_by(message):
            return current
        recent = self._recent.setdefault(message.stream, {})
        key = (message.schema, message.key_properties, message.bookmark_properties)
        stream = recent.pop(key, None) or Stream(
            message, self._rules, self._schemas, self._look_around
        )
        while recent and (
            len(recent) >= MAX_SIDE_BY_SIDE
            or sum(len(schema) for schema, _, _ in recent) > MAX_SIDE_BY_SIDE_BYTES
        ):
            del recent[next(iter(recent))]
        recent[key] = stream
        return stream

    def change(self, stream: Stream) -> None:
        """Let `stream` be what is meant by its name from here on."""
        name, former = stream.name, self._current.get(stream.name)
        self._current[name] = stream
        for each in stream.advice:
            self.notice(name, each)
        if former and former.key_names != stream.key_names:
            self.notice(name, Advice("the key properties changed during the run"))
        like = self._names.setdefault(name.lower(), name)
        if like != name:
            self.notice(
                name,
                Advice(
                    f"its name differs from that of stream {quoted(like)} only by case, and most "
                    "destinations cannot tell two such tables apart"
                ),
            )

    def notice(self, stream: str, advice: Advice) -> None:
        """Tell what was not told before of the stream, or of each of the fields."""
        untold = {(stream, advice.text, field) for field in advice.fields or ("",)} - self._noticed
        if untold:
            self._noticed |= untold
            fields = tuple(each for each in advice.fields if (stream, advice.text, each) in untold)
            self.notices.append(Notice(stream, str(Advice(advice.text, fields))))
