"""Runs the target with files in given roles; such a run must change none of them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from contextlib import ExitStack
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET, Target

if TYPE_CHECKING:
    from pathlib import Path


RUN = '{\n  "program": "p",\n  "version": "1",\n  "started_at": "",\n  "exit_status": 0\n}\n'
MESSAGES = lines([schema(), record(1), record(2, id="bad"), state(1)])
# A text that is valid both as a configuration and as one of the logging.
SHARED = b'{"version": 1, "disable_existing_loggers": false}\n'
SETTINGS = ("dead_letter_path", "summary_path", "local_database")
WRITTEN = (*SETTINGS, "local_database.wal", "--output-file", "stdout", "stderr")
BY_PATH = (*SETTINGS, "local_database.wal", "--output-file")
READ = ("--config", ".env", "SINGER_SDK_LOG_CONFIG", "--input", "stdin", "batch_root")
PAIRS = [
    *(pair for pair in combinations(WRITTEN, 2) if pair != ("stdout", "stderr")),
    *product(WRITTEN, READ),
]
IMPOSSIBLE = {("local_database", "local_database.wal"), ("local_database.wal", ".env")}


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, inode and content of each file in a folder, by name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        text = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(folder))] = status.st_mode, status.st_ino, text
    return found


def attempt(target: Target, **uses: Any) -> tuple[int, str]:
    """Run with files in their roles; return the exit status and the log.

    Whatever the status, no file may have changed, and nothing may have been read from stdin.
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
        del before[name], after[name]  # written by the shell: the log is there
    assert after == before
    assert "Traceback" not in log
    assert "Internal error" not in log
    return done.returncode, log


def name_in_messages(role: str) -> str:
    """Return the name that messages use for a role."""
    special = {
        "local_database.wal": "journal of setting `local_database`",
        "--config": "the configuration",
        "SINGER_SDK_LOG_CONFIG": "the logging configuration",
        "--input": "the input",
        "stdin": "the input",
    }
    return special.get(role, role)
