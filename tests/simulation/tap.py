"""A simulated tap: random messages, and how it continues from a state.

Every record has its place in the tap's output as `u`, and every state as `at`, so that the referee
recognises each message wherever it appears.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Kind(Enum):
    """The kind of a line, as far as the invariants distinguish them."""

    SCHEMA = "schema"
    RECORD = "record"
    REFUSED = "a record that the local check refuses"
    POISON = "a record that the service alone refuses"
    ACTIVATE = "activation"
    STATE = "state"
    BLANK = "blank line"
    JUNK = "no message"

    @property
    def counts(self) -> bool:
        """Return whether it counts as a message that has to settle."""
        return self in {Kind.RECORD, Kind.REFUSED, Kind.POISON, Kind.ACTIVATE}

    @property
    def is_record(self) -> bool:
        return self.counts and self is not Kind.ACTIVATE

    @property
    def is_bad(self) -> bool:
        """Return whether the user repairs it after a run has ended with 65."""
        return self in {Kind.REFUSED, Kind.POISON, Kind.JUNK}


@dataclass(frozen=True, slots=True)
class Table:
    """A stream as one SCHEMA describes it; `schema` is the tap's own text."""

    stream: str
    schema: bytes
    keys: tuple[str, ...]

    def message(self) -> bytes:
        return b'{"type":"SCHEMA","stream":"%b","schema":%b,"key_properties":%b}' % (
            self.stream.encode(),
            self.schema,
            json.dumps(list(self.keys)).encode(),
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the tap's output; `place` identifies it, `text` is without its line break."""

    place: int
    kind: Kind
    text: bytes
    stream: str = ""
    version: int | None = None
    data: bytes = b""
    key: int | None = None
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A message in the input of one run; `end` is where its bytes end, with their line break."""

    number: int
    message: Message
    end: int


@dataclass(frozen=True, slots=True)
class Input:
    """The input of one run."""

    text: bytes
    lines: tuple[Line, ...]


class Tap:
    """A source whose content never changes, read from the start or from a state.

    Args:
        bad: The probability that a record is one that will be refused.
    """

    def __init__(self, random: Random, size: int, bad: float) -> None:
        self._random = random
        self._bad = bad
        self._tables: dict[str, Table] = {}
        self._versions: dict[str, int | None] = {}
        self.messages: list[Message] = []
        for number in range(random.randint(1, 4)):
            stream = f"s{number}"
            self._versions[stream] = 1 if random.random() < 0.5 else None
            if self._versions[stream] and random.random() < 0.3:
                self._add_activation(stream, 1)
                if random.random() < 0.5:
                    self._add_state()
            self._declare(stream, keyed=random.random() < 0.7)
        if random.random() < 0.1:
            self._add_activation("never", 1)
        while len(self.messages) < size:
            self._add_something()
        if random.random() < 0.9:
            self._add_state()

    def input(self, after: bytes | None, random: Random) -> Input:
        """Return the output of the tap when it continues after the state `after`."""
        start = 0
        tables: dict[str, Message] = {}
        if after is not None:
            start = json.loads(after)["at"] + 1
            for message in self.messages[:start]:
                if message.kind is Kind.SCHEMA:
                    tables[message.stream] = message
        text = bytearray(b"\xef\xbb\xbf" if random.random() < 0.1 else b"")
        lines: list[Line] = []
        endings = random.choice([(b"\n",), (b"\n", b"\r\n")])
        for message in [*tables.values(), *self.messages[start:]]:
            text += message.text + random.choice(endings)
            lines.append(Line(len(lines) + 1, message, len(text)))
        if lines and lines[-1].message.kind is not Kind.BLANK and random.random() < 0.3:
            del text[-1:]
        return Input(bytes(text), tuple(lines))

    def remove_bad(self) -> None:
        """Do what a user does after a run that ended with 65: remove the bad messages."""
        self.messages = [
            replace(each, kind=Kind.BLANK, text=b"") if each.kind.is_bad else each
            for each in self.messages
        ]

    def _add(self, kind: Kind, text: bytes, **members: object) -> None:
        self.messages.append(Message(len(self.messages), kind, text, **members))  # type: ignore[arg-type]

    def _declare(self, stream: str, *, keyed: bool) -> None:
        column = self._random.choice(["a", "b", "ü"])
        schema = '{"type": "object", "properties": {"id":{"type":"integer"}, "u": {}, "%s":{}}}'
        keys = ("id",) if keyed else ()
        table = Table(stream, (schema % column).encode(), keys)
        self._tables[stream] = table
        self._add(Kind.SCHEMA, table.message(), stream=stream, table=table)

    def _add_something(self) -> None:
        random = self._random
        stream = random.choice(list(self._tables))
        chance = random.random()
        if chance < 0.72:
            for _ in range(random.choice([1, 1, 2, 5])):
                self._add_record(stream)
        elif chance < 0.86:
            self._add_state()
        elif chance < 0.92:
            self._add(Kind.BLANK, random.choice([b"", b"  ", b"\t"]))
        elif chance < 0.95:
            self._declare(stream, keyed=bool(self._tables[stream].keys))
        elif chance < 0.955 and self._bad:
            self._add(Kind.JUNK, random.choice([b"oops", b"[1]", b'{"type":"RECORD"', b"\xff"]))
        elif (version := self._versions[stream]) is not None:
            self._add_activation(stream, version)
            self._versions[stream] = version + random.randint(0, 1)

    def _add_activation(self, stream: str, version: int) -> None:
        text = b'{"type":"ACTIVATE_VERSION","stream":"%b","version":%d}'
        text %= (stream.encode(), version)
        self._add(Kind.ACTIVATE, text, stream=stream, version=version)

    def _add_state(self) -> None:
        spacing = " " * self._random.randint(0, 2)
        value = b'{"at":%b%d, "n": 1.50}' % (spacing.encode(), len(self.messages))
        self._add(Kind.STATE, b'{"type": "STATE", "value": %b}' % value, data=value)

    def _add_record(self, stream: str) -> None:
        random = self._random
        kind = Kind.RECORD
        if random.random() < self._bad:
            kind = random.choice([Kind.REFUSED, Kind.POISON])
        key = random.randint(1, 8)
        rest = random.choice(["", ',"a":1.10', ',"a": 1e400', ',"ü":"\\u00e9 ü"'])
        if kind is Kind.POISON:
            rest += ',"poison":true'
        if random.random() < 0.2:
            rest += ',"x":"%s"' % ("x" * random.choice([50, 400, 2000]))
        shown: object = key
        if kind is Kind.REFUSED:
            shown = random.choice(["NaN", '"text"', "1.5"])
        data = f'{{"u":{len(self.messages)},"id":{shown}{rest}}}'.encode()
        version = self._versions[stream]
        members = b"" if version is None else b',"version":%d' % version
        text = b'{"type":"RECORD","stream":"%b","record":%b%b}'
        self._add(
            kind,
            text % (stream.encode(), data, members),
            stream=stream,
            version=version,
            data=data,
            key=key if self._tables[stream].keys else None,
            table=self._tables[stream],
        )
