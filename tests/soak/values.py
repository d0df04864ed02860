"""Fuzzes text that is parsed as a number, date, path or URL; half of `make fuzz`.

`python -m tests.soak.values SECONDS [SEED]` tries random values.

Settings, response headers, and numbers in records have hostile and random values: the run must
always end with a message of its own, never with status 70 or a traceback.
`tests/program/test_settings_values.py` tries each hostile value once.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from target_stitch_import.cli import command
from target_stitch_import.config.table import setting_names
from target_stitch_import.delivery.verdict import judge
from target_stitch_import.endpoints import Endpoint
from target_stitch_import.errors import InputError
from target_stitch_import.names import ENVIRONMENT_PREFIX
from target_stitch_import.run.http import ImportApiClient
from tests.support.defaults import pipeline
from tests.support.pipelines import feed
from tests.support.servers import server
from tests.support.singer import lines, record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGITS = ("٣", "\uff11\uff12", "۴۵", "²", "৩")
"""Characters of other scripts that Python treats as digits, and some that only look like one."""
NUMBERS = (
    *("0", "-0", "-0.0", "-1", "0.1", "1", "1.0", "1E3", "3e0", "1e-400", "1e400", "-1e400"),
    *("1e99999999999999999999", "1e-99999999999999999999", "1e4300", "9" * 30, "9" * 5_000),
    *("-" + "9" * 5_000, "0." + "3" * 5_000, "9223372036854775808", "NaN", "Infinity", "-Infinity"),
)
TEXTS = (
    *("", " ", "\n", "\0", "a\0b", "\ud800", "/\udcff", "x\udfff/y", "[", "{", "{}", "%s%n", "-"),
    *(".", "..", "/", "//", "no/where", "x" * 300, "x" * 100_000, "é\u202e", "\x1b[2J"),
    *("true", "nan", "inf", "-inf", "1e400", "0x10", "1_000", " 7 ", "7\n", *DIGITS),
    *("http://[", "https://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:٣", "https://\0"),
    *("https://user:hunter#2@x", "https://é.example", f"https://{'x' * 300}.example", "https://"),
    *("file:///etc/passwd", "https://x/\ud800", "HTTPS://X", "http:/x", "://"),
)
NESTED = (
    *("null", "true", "false", "[]", "{}", "[[]]", "[null]", '[""]', '{"":""}', '["\\ud800"]'),
    *("[" * 3_000 + "]" * 3_000, '{"a":' * 3_000 + "1" + "}" * 3_000, '{"\\ud800":1}', "[1e400]"),
    *('["strip_nul","strip_nul"]', '["no such repair"]', '{"full_table_streams":5}'),
    *('{"full_table_streams":["\\ud800"]}', '{"full_table_streams":[[]]}', '{"people":5}'),
    *('{"people":null}', '{"people":{}}', '{"people":{"x":5}}', '{"people":{"x":"1/0"}}'),
    *('{"people":{"x":"("}}', '{"people":{"x":null}}', '{"people":{"__alias__":5}}'),
    *('{"people":{"__key_properties__":"x"}}', '{"people":{"__filter__":"x +"}}'),
    *('{"people":{"__filter__":7}}', '{"__else__":null}', '{"__else__":5}', '{"*":{"x":"y"}}'),
    *('{"people":{"__source__":5}}', '{"people":{"x":"9**9**9"}}', '{"people":{"__else__":5}}'),
    *('{"people":{"x":"\\u0000"}}', '{"seed":"x"}', '{"locale":5}', '{"locale":"xx"}'),
)
SPELLINGS = (*NUMBERS, *map(json.dumps, TEXTS), *NESTED)
"""Hostile values of settings, as JSON."""
MESSAGES = lines([schema(), record(1), record(2, name="x"), state(1)])

HEADERS: dict[str, tuple[str, ...]] = {
    "Retry-After": (
        *(
            "",
            "-1",
            "+1",
            "1.5",
            "1e400",
            "nan",
            "inf",
            "9" * 30,
            "9" * 5_000,
            "5,5",
            " 5 ",
            "0x10",
        ),
        *("Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", "Mon, 00 Jan 0000"),
        *(
            "Wed, 21 Oct 2015 07:28:00 +999999",
            "Wed, 21 Oct 2015 25:61:61 GMT",
            "Wed",
            ",,,",
            "12:",
        ),
        *("Wed, 21 Oct 0001 00:00:00 +2359", "Wed, 21 Oct 9999 23:59:59 -2359", "1 Jan 1"),
    ),
    "Content-Length": (
        "",
        "-1",
        "+2",
        "2,2",
        "2, 3",
        "1e3",
        "9" * 30,
        "9" * 5_000,
        "0x2",
        "2 ",
        "x",
    ),
    "Content-Encoding": (
        "",
        "gzip",
        "gzip, gzip",
        "identity",
        "br",
        "zstd",
        "deflate",
        "x",
        "gzip;q=0",
    ),
    "Transfer-Encoding": ("", "chunked", "chunked, chunked", "gzip", "identity", "x"),
    "Connection": ("", "close", "keep-alive", "upgrade", "x", "close, keep-alive"),
    "Date": ("", "x", "Fri, 31 Dec 99999 23:59:59 GMT", "Wed, 21 Oct 2015 07:28:00 +999999"),
    "Content-Type": (
        "",
        "text/html",
        "application/json; charset=x",
        "application/json; charset=\0",
    ),
    "Location": ("", "http://[", "//", "\0", "x" * 60_000),
    "Set-Cookie": ("", "a=b; expires=x", "a=b; max-age=1e400", "=", "a=b; domain=[", "\0"),
    "Keep-Alive": ("timeout=x", "timeout=1e400", "max=-1"),
    "X" * 300: ("x" * 70_000,),
    "": ("", ":"),
    "a b": ("x",),
    " folded": ("x",),
}
OF_ANY = ("\0", "\xff", "\xb2", "\x1b[2J", "\t", "x" * 9_000, "\x85", "\r")
STATUSES = ("200 OK", "201", "429 Slow", "503 \xff", "400 Bad", "302 x", "099 x", "999 x", "2000 x")
BODIES = (
    b"",
    b"{}",
    b'{"status":"OK"}',
    b"{",
    b"\xff",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"ffffffffff\r\n{}",
)

RULES: tuple[dict[str, Any], ...] = (
    *({}, {"type": "integer"}, {"type": "number"}, {"type": "string"}, {"enum": [1, 0.1]}),
    *({"multipleOf": 0.01}, {"multipleOf": 3}, {"minimum": 0}, {"maximum": 1, "type": "integer"}),
    *({"minimum": -1.5, "exclusiveMinimum": True}, {"uniqueItems": True}, {"not": {"enum": [1]}}),
    *({"type": "string", "format": "date-time"}, {"anyOf": [{"type": "integer"}, {"maximum": 2}]}),
)
REPAIRS = ((), ("nan_to_null", "round_decimals"))


class FaultError(AssertionError):
    """Something failed in an unexpected way; the text has the input."""


@contextmanager
def empty_folder() -> Iterator[None]:
    """Change to an empty temporary folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def try_setting(name: str, spelling: str, *, by_environment: bool = False) -> int:
    """Run with a setting that has one value, in an empty folder; return the exit status."""
    given = spelling
    if by_environment and spelling.startswith('"'):
        with suppress(ValueError):
            given = str(json.loads(spelling))
    variables: dict[str, str | None] = {}
    if by_environment:
        if not _is_for_variables(given):
            return 78
        variables[f"{ENVIRONMENT_PREFIX}{name.upper()}"] = given
    with empty_folder():
        config = Path("config.json")
        config.write_text(
            "{}" if by_environment else f'{{"{name}":{spelling}}}', "utf-8", "replace"
        )
        arguments = ["-n", "-c", "config.json", *(["-c", "ENV"] if by_environment else [])]
        done = CliRunner().invoke(command, arguments, input=MESSAGES, env=variables)
    ended = done.exception is None or isinstance(done.exception, SystemExit)
    if not ended or done.exit_code not in {0, 65, 74, 78}:
        where = f"{name} = {spelling[:200]!r}{' by the environment' * by_environment}"
        raise FaultError(f"{where}: {done.exit_code}, {done.exception!r}\n{done.stderr[-500:]}")
    return done.exit_code


def _is_for_variables(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeError:
        return False


def try_answers(answers: list[bytes]) -> None:
    """Send a request for each of these responses."""
    with server(answers) as (url, _):
        client = ImportApiClient(Endpoint(url, url, "token", request_timeout_seconds=2))
        for each in answers:
            try:
                judge(client.send_batch(b'{"schema":{}}'), 1.7e9, b'{"schema":{}}')
            except Exception as error:
                raise FaultError(f"{each[:300]!r}: {error!r}") from error
        client.close()


def answer(status: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    text = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status}\r\n{text}\r\n".encode("latin-1", "replace") + body


def answers() -> Iterator[bytes]:
    """Yield responses with each header in each of its values."""
    for name, values in HEADERS.items():
        for value, status in product((*values, *OF_ANY, *DIGITS), STATUSES[:4]):
            yield answer(status, [(name, value)], b"{}")
    for status, body in product(STATUSES, BODIES):
        yield answer(status, [("Content-Length", str(len(body)))], body)
        yield answer(status, [("Transfer-Encoding", "chunked")], body)


def try_number(text: str, rules: dict[str, Any], repairs: tuple[str, ...]) -> None:
    """Feed a pipeline with records that have a number in this form."""
    head = schema(f=rules)
    for field, aside in product((text, f"[{text}]", f'{{"a":{text}}}'), (True, False)):
        subject = pipeline(dead_letter=aside, repairs=repairs)
        line = f'{{"type":"RECORD","stream":"people","record":{{"id":1,"f":{field}}}}}'
        try:
            feed(subject, [head, line])
            subject.end()
        except InputError:
            pass
        except Exception as error:
            raise FaultError(f"{field[:100]} under {rules}, {repairs}: {error!r}") from error


def mutated(text: str, chance: random.Random) -> str:
    """Return a text with a part inserted, removed or doubled."""
    at, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    middle = chance.choice(["", text[at:end] * 2, *DIGITS, "9" * 40, "e", "-", ".", "0", "\\u0000"])
    return text[:at] + middle + text[end:]


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)  # noqa: S311
    chance, ends, tries = random.Random(seed), time.monotonic() + seconds, 0  # noqa: S311
    names = list(HEADERS)
    while time.monotonic() < ends:
        name = chance.choice(setting_names())
        spelling = mutated(chance.choice(SPELLINGS), chance)
        try_setting(name, spelling, by_environment=chance.random() < 0.5)
        given = []
        for _ in range(20):
            chosen = chance.choices(names, k=chance.randrange(1, 4))
            pairs = [(each, mutated(chance.choice(HEADERS[each]), chance)) for each in chosen]
            given.append(answer(chance.choice(STATUSES), pairs, chance.choice(BODIES)))
        try_answers(given)
        number = mutated(chance.choice(NUMBERS), chance)
        try_number(number, chance.choice(RULES), chance.choice(REPAIRS))
        tries += 1
    print(f"seed {seed}: {tries} settings, {20 * tries} answers, {tries} numbers")  # noqa: T201


if __name__ == "__main__":
    os.environ.pop("SINGER_SDK_LOG_CONFIG", None)
    main()
