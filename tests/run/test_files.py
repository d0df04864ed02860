"""The files of a run: none is written over another, and what cannot be written is found at once."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from contextlib import ExitStack
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from target_stitch_import.errors import ConfigurationError
from target_stitch_import.files import BODIES, ENDS_BYTES, LETTERS, SUMMARY, Files, Use
from tests.conftest import TARGET, Target, delivered, lines, record, schema, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from target_stitch_import.local import ImportApi

MESSAGES = lines([schema(), record(1), record(2, id="bad"), state(1)])
# A configuration of ours, and one of the logging.
SHARED = b'{"version": 1, "disable_existing_loggers": false}\n'
SETTINGS = ("dead_letter_path", "summary_path", "local_database")
WRITTEN = (*SETTINGS, "local_database.wal", "--output-file", "stdout", "stderr")
READ = ("--config", ".env", "SINGER_SDK_LOG_CONFIG", "--input", "stdin", "batch_root")
PAIRS = [
    *(pair for pair in combinations(WRITTEN, 2) if pair != ("stdout", "stderr")),
    *product(WRITTEN, READ),
]
IMPOSSIBLE = {("local_database", "local_database.wal"), ("local_database.wal", ".env")}


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return what is in a folder: each file's mode, inode and text."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        text = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(folder))] = status.st_mode, status.st_ino, text
    return found


def attempt(target: Target, **uses: Any) -> tuple[int, str]:
    """Run with files in their roles; return the exit status and the log.

    However it ends, no file may have changed and nothing may have been read from stdin.
    """
    config: dict[str, Any] = {"on_invalid_record": "dead_letter", "region": "local"}
    config |= {"dead_letter_path": "dead.jsonl", "local_database": "w.duckdb"}
    config |= {name: uses[name] for name in (*SETTINGS, "batch_root") if name in uses}
    if journal := uses.get("local_database.wal"):
        config["local_database"] = journal.removesuffix(".wal")
    (target.folder / "config.json").write_text(json.dumps(config))
    command = [*TARGET, "--config", "config.json", *([] if ".env" not in uses else ["-c", "ENV"])]
    for option in ("--config", "--input", "--output-file"):
        command += [option, uses[option]] if option in uses else []
    command += ["--dry-run"] if uses.get("dry_run") else []
    environment = dict(os.environ)
    if "SINGER_SDK_LOG_CONFIG" in uses:
        environment["SINGER_SDK_LOG_CONFIG"] = uses["SINGER_SDK_LOG_CONFIG"]
    before = snapshot(target.folder)
    with ExitStack() as stack:
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        os.write(writing, MESSAGES)
        os.close(writing)

        def opened(name: str, mode: str, otherwise: int) -> Any:
            path = target.folder / uses[name] if name in uses else None
            return stack.enter_context(path.open(mode)) if path else otherwise

        done = subprocess.run(
            command,
            stdin=opened("stdin", "rb", reading),
            stdout=opened("stdout", "ab", subprocess.DEVNULL),
            stderr=opened("stderr", "ab", subprocess.PIPE),
            check=False,
            timeout=60,
            cwd=target.folder,
            env=environment,
        )
        assert os.read(reading, len(MESSAGES) + 1) == MESSAGES
    after = snapshot(target.folder)
    log = done.stderr.decode() if done.stderr is not None else ""
    if "stderr" in uses:
        name = uses["stderr"]
        log = after[name][2].decode()
        del before[name], after[name]  # the shell has it written, and that is where it is told
    assert after == before
    assert "Traceback" not in log
    assert "Internal error" not in log
    return done.returncode, log


def told(role: str) -> str:
    """Return how a role is called in a message."""
    special = {
        "local_database.wal": "journal of setting `local_database`",
        "--config": "the configuration",
        "SINGER_SDK_LOG_CONFIG": "the logging configuration",
        "--input": "the input",
        "stdin": "the input",
    }
    return special.get(role, role)


@pytest.mark.parametrize(("one", "other"), [pair for pair in PAIRS if pair not in IMPOSSIBLE])
def test_no_two_uses_are_one_file(target: Target, one: str, other: str) -> None:
    name = ".env" if other == ".env" else "shared.wal"
    (target.folder / name).write_bytes(SHARED if name != ".env" else b"")
    status, log = attempt(target, **{one: name, other: name})
    assert (status, "are one file: one would destroy the other" in log) == (78, True)
    for role in (one, other):
        assert told(role).lower() in log.lower()


def same_name(folder: Path) -> str:
    del folder
    return "shared"


def absolute(folder: Path) -> str:
    return str(folder / "shared")


def roundabout(folder: Path) -> str:
    (folder / "deep" / "deeper").mkdir(parents=True)
    return "deep/../deep/deeper/.././..//shared"


def symbolic_link(folder: Path) -> str:
    (folder / "link").symlink_to("shared")
    return "link"


def link_to_a_link(folder: Path) -> str:
    (folder / "deep").mkdir()
    (folder / "deep" / "link").symlink_to("../shared")
    (folder / "link").symlink_to("deep/link")
    return "link"


def out_of_a_linked_folder(folder: Path) -> str:
    """`..` leads out of where a link leads to, not out of where it is."""
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "link").symlink_to("deep/deeper")
    return "link/../../shared"


def linked_folder(folder: Path) -> str:
    (folder / "link").symlink_to(".")
    return "link/shared"


def hard_link(folder: Path) -> str:
    (folder / "other").hardlink_to(folder / "shared")
    return "other"


WAYS = (
    *(same_name, absolute, roundabout, symbolic_link, link_to_a_link, out_of_a_linked_folder),
    linked_folder,
)


@pytest.mark.parametrize("one", ["summary_path", "--output-file"])
@pytest.mark.parametrize(("way", "is_there"), [*product(WAYS, (True, False)), (hard_link, True)])
def test_one_file_by_any_name(
    target: Target, one: str, way: Callable[[Path], str], *, is_there: bool
) -> None:
    """Where it is not there yet, a link to it dangles."""
    if is_there:
        (target.folder / "shared").write_bytes(b"")
    status, log = attempt(target, dead_letter_path="shared", **{one: way(target.folder)})
    assert (status, "are one file" in log) == (78, True)


@pytest.mark.parametrize("is_there", [True, False])
def test_other_files_are_not_taken_for_one(tmp_path: Path, *, is_there: bool) -> None:
    """Names that look alike, and `..` out of a link, are no reason to refuse."""
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/deeper")
    paths = [tmp_path / "shared", tmp_path / "link" / ".." / "shared", tmp_path / "link" / "shared"]
    for path in paths if is_there else []:
        path.write_bytes(b"")
    Files([Use("x", str(path), LETTERS) for path in paths]).check()
    assert [path.exists() for path in paths] == [is_there] * 3


def test_what_is_only_read_may_be_one_file(target: Target, api: ImportApi, tmp_path: Path) -> None:
    path = tmp_path / "both.json"
    path.write_text("{}")
    outcome = target.run(MESSAGES, "--config", str(path), "--config", str(path))
    assert outcome.status == 65  # the bad record
    assert delivered(api) == [{"id": 1}]


def test_stdout_and_stderr_may_be_one_file(target: Target, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(
            target.command(),
            input=lines([schema(), record(1), state(5)]),
            stdout=log,
            stderr=log,
            check=False,
            timeout=60,
        )
    assert (done.returncode, "\n5\n" in (tmp_path / "log").read_text()) == (0, True)


def test_a_file_of_the_log_is_one_of_them(target: Target, tmp_path: Path) -> None:
    handler = {"class": "logging.FileHandler", "filename": "run.log"}
    config = json.loads(SHARED) | {"handlers": {"a": handler}, "root": {"handlers": ["a"]}}
    (tmp_path / "log.json").write_text(json.dumps(config))
    (tmp_path / "run.log").write_text("")
    done = subprocess.run(
        target.command(summary_path="run.log"),
        input=MESSAGES,
        capture_output=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "SINGER_SDK_LOG_CONFIG": "log.json"},
    )
    assert done.returncode == 78
    assert "The log (" in (tmp_path / "run.log").read_text()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(path.parent, os.O_RDONLY)  # a socket's path must be short
        try:
            server.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


SPECIAL: dict[str, Callable[[Path], Any]] = {
    "a FIFO": os.mkfifo,
    "a folder": os.mkdir,
    "a socket": make_socket,
    "a device": lambda path: path.symlink_to("/dev/null"),
}
BY_PATH = (*SETTINGS, "local_database.wal", "--output-file")


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(("role", "what"), [*product(BY_PATH, SPECIAL)])
def test_only_regular_files_are_written(
    target: Target, role: str, what: str, *, dry_run: bool
) -> None:
    SPECIAL[what](target.folder / "x.wal")
    status, log = attempt(target, dry_run=dry_run, **{role: "x.wal"})
    assert status == 78
    assert f"{told(role)}` (`x" in log or f"{told(role)} (`x" in log
    assert f"cannot be used: it is {what}, and no regular file." in log


def loop(folder: Path) -> str:
    (folder / "loop").symlink_to("loop")
    return "loop"


def link_to_nowhere(folder: Path) -> str:
    (folder / "link").symlink_to("missing/x")
    return "link"


def below_a_file(folder: Path) -> str:
    (folder / "file").write_bytes(b"")
    return "file/x"


def named(path: str) -> Callable[[Path], str]:
    return lambda _: path


UNWRITABLE: dict[str, tuple[Callable[[Path], str], str]] = {
    "no folder": (named("missing/x"), "No such file or directory"),
    "no folder to go up from": (named("missing/../x"), "No such file or directory"),
    "below a file": (below_a_file, "Not a directory"),
    "a link to nowhere": (link_to_nowhere, "No such file or directory"),
    "links in a circle": (loop, "Too many levels of symbolic links"),
    "too long": (named("x" * 256), "File name too long"),
    "the name of a folder": (named("x/"), "Is a directory"),
    "no file system to write to": (named("/proc/x"), ""),
    "NUL": (named("x\0y"), "it has characters that no path can have"),
    "half a surrogate": (named("x\ud800y"), "it has characters that no path can have"),
}
COMMAND_LINE_CANNOT = ("NUL", "half a surrogate")


@pytest.mark.parametrize(
    ("role", "case"),
    [
        *((r, c) for r, c in product(SETTINGS, UNWRITABLE)),
        *(("--output-file", c) for c in UNWRITABLE if c not in COMMAND_LINE_CANNOT),
        *(("batch_root", c) for c in COMMAND_LINE_CANNOT),
    ],
)
def test_what_cannot_be_written_is_found_at_once(target: Target, role: str, case: str) -> None:
    make, reason = UNWRITABLE[case]
    status, log = attempt(target, **{role: make(target.folder)})
    assert (status, f"{role}`" in log, reason in log) == (78, True, True), log


def test_an_empty_path_of_a_database_is_told(target: Target) -> None:
    status, log = attempt(target, local_database="")
    assert (status, "`local_database`" in log, "(``)" in log) == (78, True, True)


LETTER = '{"stream":"s","line":1,"sequence":1,"request":{"table_name":"s"},"record":{}}\n'
BODY = '{"table_name":"s","schema":{},"key_names":[],"messages":[]}\n'
RUN = '{\n  "program": "p",\n  "version": "1",\n  "started_at": "",\n  "exit_status": 0\n}\n'
CONTENTS = {
    "dead letters": LETTER.encode(),
    "bodies": BODY.encode(),
    "a summary": RUN.encode(),
    "a configuration": b'{"token": "t"}',
    "a tap's output": MESSAGES,
    "text": b"my notes\n",
    "an empty object": b"{}\n",
    "a list": b"[]",
    "a number": b"1\n",
    "bytes": bytes(range(256)),
    "a database of another kind": b"SQLite format 3\0" + bytes(84),
}
RIGHT = {"dead_letter_path": "dead letters", "--output-file": "bodies", "summary_path": "a summary"}


@pytest.mark.parametrize(
    ("role", "what"),
    [(role, what) for role in BY_PATH for what in CONTENTS if RIGHT.get(role) != what],
)
def test_a_file_with_another_content_is_left_alone(target: Target, role: str, what: str) -> None:
    (target.folder / "x.wal").write_bytes(CONTENTS[what])
    status, log = attempt(target, **{role: "x.wal"})
    assert (status, "the file is there and holds something other than" in log) == (78, True)
    assert told(role) in log


def test_an_empty_file_is_no_database(target: Target) -> None:
    (target.folder / "x").write_bytes(b"")
    status, log = attempt(target, local_database="x")
    assert (status, "something other than a DuckDB database" in log) == (78, True)


def test_a_run_goes_on_with_the_files_of_the_last_one(target: Target, tmp_path: Path) -> None:
    """Also where a BATCH, a long record or an odd name makes for other lines than usual."""
    settings = {
        "on_invalid_record": "dead_letter",
        "dead_letter_path": "dead.jsonl",
        "summary_path": "summary.json",
        "region": "local",
        "api_url": None,
        "batch_root": ".",
    }
    (tmp_path / "batch.jsonl").write_text('{"id": "bad"}\n')
    batch = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"}}
    long = "x" * (2 * ENDS_BYTES)
    messages = [
        *(schema(), record(1, name=long), record(2, id=long), '{"type":"RECORD",'),
        *(batch | {"manifest": ["batch.jsonl"]}, state(long)),
    ]
    del messages[3]
    for _ in range(2):
        outcome = target.run(messages, "-o", "bodies.jsonl", **settings)
        assert outcome.status == 0, outcome.log
    with (tmp_path / "dead.jsonl").open("ab") as file:
        file.write(b'{"stream":"people","li')  # a run that was killed
    assert target.run(messages, "-o", "bodies.jsonl", **settings).status == 0
    assert len((tmp_path / "bodies.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "summary.json").read_text())["exit_status"] == 0
    with duckdb.connect(str(tmp_path / "stitch-import.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from import_api.people").fetchone() == (1,)


def test_a_dry_run_checks_and_creates_nothing(target: Target, tmp_path: Path) -> None:
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": "dead.jsonl"}
    before = set(tmp_path.iterdir())
    outcome = target.run(MESSAGES, "--dry-run", region="local", api_url=None, **settings)
    assert outcome.status == 0
    assert set(tmp_path.iterdir()) - before == {tmp_path / "config.json"}


def test_a_run_that_cannot_start_leaves_files_alone(target: Target) -> None:
    """Another process has the database, which is found before the output file is emptied."""
    output = target.folder / "bodies.jsonl"
    output.write_text(BODY)
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": "dead.jsonl"}
    settings |= {"region": "local", "local_database": "w.duckdb"}
    with duckdb.connect(str(target.folder / "w.duckdb")):
        outcome = target.run(MESSAGES, "-o", str(output), api_url=None, **settings)
    assert (outcome.status, output.read_text()) == (69, BODY)
    assert not (target.folder / "dead.jsonl").exists()


@pytest.mark.parametrize("setting", ["dead_letter_path", "summary_path", "--output-file"])
def test_a_batch_does_not_read_what_the_run_writes(
    target: Target, api: ImportApi, tmp_path: Path, setting: str
) -> None:
    """It may lie in `batch_root`, and may not be named."""
    content = dict(zip(RIGHT, (LETTER, BODY, RUN), strict=True))[setting]
    (tmp_path / "mine").write_text(content)
    (tmp_path / "link").hardlink_to(tmp_path / "mine")
    batch = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"}}
    messages = [schema(), record(1), batch | {"manifest": ["link"]}, state(1)]
    settings: dict[str, Any] = {"on_invalid_record": "dead_letter", "batch_root": str(tmp_path)}
    settings["dead_letter_path"] = "dead.jsonl"
    options = ["-o", "mine"] if setting == "--output-file" else []
    settings |= {} if options else {setting: "mine"}
    outcome = target.run(messages, *options, **settings)
    assert (outcome.status, outcome.states, delivered(api)) == (65, [], [{"id": 1}])
    assert f"{setting}` (`mine`): this run writes to it" in outcome.log


ENDS = [
    (LETTERS, b"", True),
    (LETTERS, b"\n \n", True),
    (LETTERS, LETTER.encode(), True),
    (LETTERS, LETTER.encode() + b'{"st', True),
    (LETTERS, LETTER.replace(":", " : ").encode(), True),
    (LETTERS, b'{"sequence":1,"record":{},"request":{}}', True),
    (LETTERS, b'{"record":{"id":"' + b"x" * 2 * ENDS_BYTES + b'"},"sequence":1,"request":1}', True),
    (LETTERS, LETTER.encode() + BODY.encode(), False),
    (LETTERS, BODY.encode() + LETTER.encode(), False),
    (LETTERS, LETTER.encode() + b"notes", False),
    (LETTERS, b'{"sequence" 1}', False),
    (LETTERS, b'{"sequence":1 "request":1}', False),
    (LETTERS, b'{"id":"' + b"x" * 2 * ENDS_BYTES + b'"}', False),
    (LETTERS, b"[" * 100_000, False),
    (LETTERS, b'{"sequence":1,"request":' + b"[" * 50_000, True),
    (BODIES, b'{"table_name":"s","schema":{"a":"' + b"x" * ENDS_BYTES, True),
    (BODIES, b'{"schema":' + b"1" * 10_000, True),
    (SUMMARY, RUN.encode()[:20], True),
]


@pytest.mark.parametrize(("content", "text", "is_right"), ENDS)
def test_files_are_known_by_their_ends(
    tmp_path: Path, content: Any, text: bytes, *, is_right: bool
) -> None:
    (tmp_path / "x").write_bytes(text)
    files = Files([Use("x", str(tmp_path / "x"), content)])
    if is_right:
        files.check()
        return
    with pytest.raises(ConfigurationError, match="holds something other than"):
        files.check()
