"""Coverage-guided fuzzing of the reader: `make fuzz`, or `python -m tests.soak.fuzz SECONDS`.

Any bytes, cut at any position, must give the same events as when read at once and as the reference
reader, and no other error than `InputError` with its line number.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import atheris  # type: ignore[import-untyped] # has an environment of its own

with atheris.instrument_imports(include=["target_stitch_import.singer"]):
    from target_stitch_import.errors import InputError
    from target_stitch_import.singer.messages import (
        ActivateVersion,
        MalformedRecord,
        MessageLines,
        Records,
        State,
    )
    from target_stitch_import.singer.reader import Reader

from tests.soak import reference

SEEDS = [
    b'{"type":"RECORD","stream":"s","record":{"id":1, "n":1.10},"version":3}\n',
    b'{"type":"RECORD","stream":"s","record":{"x":NaN},"time_extracted":"2024-01-01T00:00:00Z"}\n',
    b'{"type":"STATE","value":{"n" :1.50, "e":[1E2,null,true]}}\r\n\n \n',
    b'{"type":"SCHEMA","stream":"s","schema":{"properties":{"a":{}}},"key_properties":["a"]}\n',
    b'{"type":"SCHEMA","stream":"s","schema":{"key_properties":["a"]}}\n',
    b'{"type":"ACTIVATE_VERSION","stream":"s","version":12}\n{"type":"STATE","value":{}}',
    b'{"type":"BATCH","stream":"s","encoding":{"format":"jsonl"},"manifest":["file://x"]}\n',
    b'\xef\xbb\xbf{"type":"RECORD","stream":"\xc3\xbc","record":{"a":"}\\n{"}}\n',
]
WORDS = [
    *("type", "RECORD", "SCHEMA", "STATE", "ACTIVATE_VERSION", "BATCH", "stream", "record"),
    *("value", "schema", "key_properties", "version", "time_extracted", "NaN", "Infinity"),
]


PARTS = [
    *(b"\n", b"\n", b"}\n", b"\r\n", b"}", b"{", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"1"),
    *(b"1e400", b"-0", b"NaN", b"true", b"null", b"\xc3\xbc", b"\xff", b"\x00", b"\xef\xbb\xbf"),
    *(b'{"type":"RECORD","stream":"s","record":', b'{"type":"RECORD","stream":"t","record":{}'),
    *(b'{"id":1}}\n', b'{"id":1},"version":2}\n', b'{"type":"STATE","value":', b'{"n": 1.50}'),
    *(b'{"type":"ACTIVATE_VERSION","stream":"s","version":3}\n', b'"type"', b'"RECORD"', b"{}"),
    *(b'{"type":"SCHEMA","stream":"s","schema":{},"key_properties":[]}\n', b',"more":[{}]}\n'),
]

RECORD, OTHER, STATE, VALUE = (
    PARTS.index(part)
    for part in (
        b'{"type":"RECORD","stream":"s","record":',
        b'{"type":"RECORD","stream":"t","record":{}',
        b'{"type":"STATE","value":',
        b'{"n": 1.50}',
    )
)
END, BREAK = PARTS.index(b"}\n"), 0
LINES = [
    [RECORD, PARTS.index(b'{"id":1}}\n')],
    [RECORD, PARTS.index(b'{"id":1},"version":2}\n')],
    [OTHER, END],
    [BREAK],
    [STATE, VALUE, END],
    [OTHER, PARTS.index(b',"more":[{}]}\n')],
]
"""Complete lines, as indices of parts."""


def main() -> None:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "300"
    with tempfile.TemporaryDirectory() as name:
        corpus, words = Path(name) / "corpus", Path(name) / "words"
        corpus.mkdir()
        for number, seed in enumerate(SEEDS):
            (corpus / str(number)).write_bytes(b"\x30" + seed)
        for number in range(len(LINES)):
            places = chain(*LINES[number:], *LINES[:number])
            (corpus / f"parts{number}").write_bytes(bytes([13, *places]))
        quotes = [f'"\\"{word}\\""' for word in WORDS]
        words.write_text("\n".join([*quotes, r'"}\x0a{"', r'"\x0d\x0a"', r'"\xef\xbb\xbf"']))
        options = [f"-max_total_time={seconds}", f"-dict={words}", "-max_len=600"]
        options += [f"-artifact_prefix={sys.prefix}/", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], try_one)
        atheris.Fuzz()


def try_one(given: bytes) -> None:
    """Read one input; its first byte selects how it is cut, and whether it consists of parts."""
    if not given:
        return
    size, text = given[0] // 2 + 1, given[1:]
    if given[0] % 2:
        text = b"".join(PARTS[each % len(PARTS)] for each in text)
    whole = events([text])
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    if events(pieces) != whole:
        raise AssertionError(f"different events when cut into pieces of {size}: {text!r}")
    try:
        expected, bad_line = reference.read(text)
    except reference.AmbiguousError:
        return
    found, error = whole
    named = re.match(r"Line (\d+)", error or "")
    if comparable(found) != expected or (int(named[1]) if named else None) != bad_line:
        raise AssertionError(f"{text!r} reads {whole}, not {expected} to line {bad_line}")


def events(pieces: list[bytes]) -> tuple[list[Any], str | None]:
    """Return all events, with a run's records one by one, and the error that ended them."""
    reader = Reader(MessageLines())
    found: list[Any] = []
    try:
        for piece in pieces:
            for event in reader.feed(piece):
                found += single(event)
        for event in reader.close():
            found += single(event)
    except InputError as error:
        return found, str(error)
    return found, None


def single(event: Any) -> list[Any]:
    """Return an event for each record of a run, and any other event itself."""
    if not isinstance(event, Records):
        return [event]
    return [
        Records(line, [message], event.file)
        for line, message in enumerate(event.messages, event.line)
    ]


def comparable(found: list[Any]) -> list[reference.Read]:
    """Return events in the form of the reference reader."""
    messages = []
    for event in found:
        match event:
            case Records():
                (message,) = event.messages
                value = [json.loads(bytes(message.record)), message.version]
                messages.append(reference.Read(event.line, "RECORD", message.stream, value))
            case State():
                messages.append(reference.Read(event.line, "STATE", "", json.loads(event.text)))
            case ActivateVersion():
                name = "ACTIVATE_VERSION"
                messages.append(reference.Read(event.line, name, event.stream, event.version))
            case MalformedRecord():
                messages.append(reference.Read(event.line, "RECORD", event.stream, None))
            case _:
                messages.append(reference.Read(event.line, type(event).__name__, "", None))
    return messages


if __name__ == "__main__":
    main()
