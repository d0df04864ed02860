"""Redaction of foreign texts: words of the vocabulary and declared names are shown, no values."""

from __future__ import annotations

import base64
import codecs
import html
import json
import tracemalloc
import urllib.parse
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.delivery.redaction import (
    ARGUMENTS,
    HIDDEN,
    MAX_CHARACTERS,
    names_in,
    shown,
    words_of,
)
from target_stitch_import.delivery.vocabulary import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = frozenset({"name", "people", "custom_fields", "Home Town"})
DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "trimmed": lambda text: text.strip()[2:-2],
    "cut short": lambda text: text[:7],
    "upper case": str.upper,
    "lower case": str.lower,
    "title case": str.title,
    "swapped case": str.swapcase,
    "URL-encoded": urllib.parse.quote,
    "URL-encoded, every character": lambda text: "".join(f"%{ord(c) % 256:02X}" for c in text),
    "plus for spaces": urllib.parse.quote_plus,
    "HTML-escaped": html.escape,
    "HTML character references": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "JSON": json.dumps,
    "JSON, escaped": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "JSON, slashes escaped": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"x": text})),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "reversed": lambda text: text[::-1],
    "ROT13": lambda text: codecs.encode(text, "rot13"),
    "white space folded": lambda text: " ".join(text.split()),
    "spaces between": " ".join,
    "dashes between": "-".join,
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "in quotation marks": lambda text: f"'{text}'",
    "in brackets": lambda text: f"[{text}]",
}
SECRETS = {
    "a token": "at_7f3K9q-Zx81/Vw55==",
    "a token in words": "at_a-token-that-must-show-up-nowhere",
    "a proxy's password": "hunter#2pass",
    "a name": "Wilhelmine Querschnitt",
    "a place": "Hauptbahnhof  Bad Ems",
    "an address": "w.querschnitt@example.org",
    "a number": "4929123412341234",
    "a date": "1987-06-05T12:13:14Z",
    "a date in words": "Fri, 05 Jun 1987 12:13:14 GMT",
    "a date as a number": "549893594000",
}


LARGE = 13_000_000
"""The size of a refused body, or of the response to it, in bytes."""


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Check that at no moment more than `size` bytes of additional memory are in use."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size


def leaked(secret: str, text: str) -> list[str]:
    """Return the parts of a secret, three characters or more, that `text` shows."""
    parts = {secret[at : at + 3].lower() for at in range(len(secret) - 2)}
    words = "".join(word for word in text.lower().split() if word.strip("'[](),.:") not in WORDS)
    return sorted(part for part in parts if sum(map(str.isalnum, part)) > 1 and part in words)


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_shown_in_any_disguise(secret: str, disguise: str) -> None:
    disguised = DISGUISES[disguise](SECRETS[secret])
    answer = f"Record 3 did not conform to schema: #/name: cannot load value {disguised} today"
    text = shown(answer, NAMES)
    assert text.startswith("Record 3 did not conform to schema: #/name: cannot load value ")
    assert HIDDEN in text
    assert leaked(disguised, text.partition("value ")[2]) == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("cannot load value 'Hauptbahnhof' today", "cannot load value '[…]' today"),
        (
            "Record 17 did not conform to schema: #/name: expected: String, found: Integer",
            "Record 17 did not conform to schema: #/name: expected: String, found: Integer",
        ),
        (
            (
                "Record 0 for table people did not conform to schema:\n"
                "#/custom_fields: #: no subschema matched out of the total 2 subschemas\n"
            ),
            (
                "Record 0 for table people did not conform to schema: "
                "#/custom_fields: #: no subschema matched out of the total 2 subschemas"
            ),
        ),
        (
            "#: 2 schema violations found #/Home Town/street: expected: null",
            "#: 2 schema violations found #/Home Town/[…]: expected: null",
        ),
        (
            "#: extraneous key [Anna Blume] is not permitted",
            "#: extraneous key […] is not permitted",
        ),
        (
            "Request rejected: request size (20000001s bytes) exceeds the maximum",
            "Request rejected: request size (20000001s bytes) exceeds the maximum",
        ),
        (
            "Invalid JSON schema: key null: expected type is one of JSONObject, found: Boolean",
            "Invalid JSON schema: key null: expected type is one of JSONObject, found: Boolean",
        ),
        ("Record is missing key property ssn", "Record is missing key property […]"),
        ("you can't load this", "you can't load this"),
        ("the limit is 12345678901", "the limit is […]"),
        ("", ""),
    ],
)
def test_helpful_words_are_shown(answer: str, text: str) -> None:
    assert shown(answer, NAMES) == text


@given(st.text())
def test_only_known_words_digits_and_punctuation_are_shown(text: str) -> None:
    parts = "".join(c if c.isalnum() else " " for c in shown(text).replace(HIDDEN, " ")).split()
    known = WORDS.union(*(name.split("_") for name in ARGUMENTS))
    assert [part for part in parts if part.lower() not in known and not part.isdigit()] == []


def test_the_records_of_a_large_refused_body_are_skipped() -> None:
    data = {"id": 1, "more": ["x" * 50, {"y": 1.5}] * 10}
    messages = [{"action": "upsert", "data": data}] * (LARGE // len(json.dumps(data)))
    body = {"table_name": "t", "schema": {"properties": {"id": {}}}, "messages": messages}
    written = json.dumps(body).encode()
    with at_most(100_000):
        assert names_in(written) == {"t", "id"}


@pytest.mark.parametrize("piece", ["value 'Anna' ", '"', "[", "<", "a'", "\\"])
def test_only_the_beginning_of_a_long_text_is_examined(piece: str) -> None:
    text = piece * (LARGE // len(piece))
    page = f"<p>{text}".encode()
    with at_most(1_000_000):
        assert shown(text) == shown(text[:MAX_CHARACTERS])
        assert len(words_of(page)) == 4 * MAX_CHARACTERS


def test_declared_names_are_read_from_a_request() -> None:
    body = {
        "table_name": "people",
        "key_names": ["id"],
        "schema": {
            "properties": {"id": {}, "home": {"properties": {"street": {"enum": ["Unter"]}}}},
            "definitions": {"x": {"items": {"properties": {"deep": {}}}}},
        },
        "messages": [{"data": {"of_the_record": 1}}],
    }
    assert names_in(json.dumps(body).encode()) == {"people", "id", "home", "street", "deep"}
    pushed = [{"table_name": "t", "key_names": ["k"], "data": {"column": {"hidden": 1}}}]
    assert names_in(json.dumps(pushed).encode()) == {"t", "k", "column"}
    assert names_in(b"not JSON") == frozenset()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"error":"Record 1 is bad"}', "Record 1 is bad"),
        (b'{"status":"ERROR","message":"Not Found"}', "Not Found"),
        (b'{"error":"InvalidName","data":{"message":"taken"}}', "InvalidName; taken"),
        (b"plain", "plain"),
        (b'{"status":"OK"}', '{"status":"OK"}'),
        (b"\xff\xfe", "��"),
    ],
)
def test_the_message_of_a_response_is_extracted(answer: bytes, words: str) -> None:
    assert words_of(answer) == words
