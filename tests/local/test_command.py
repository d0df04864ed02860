"""The files of `serve`: unusable ones are refused before any is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.file_uses import snapshot
from tests.support.toolbox import TOOL

if TYPE_CHECKING:
    from pathlib import Path

STARTS = {
    "tool": [*TOOL, "serve"],
    "module": [sys.executable, "-m", "target_stitch_import.local", "--port", "0"],
}
REFUSED = [
    ("--database text --accounts text", "are the same file"),
    ("--database link --accounts text", "are the same file"),
    ("--database other/../text --tls-cert text --tls-key text", "are the same file"),
    ("--database text", "something other than a DuckDB database"),
    ("--database empty", "something other than a DuckDB database"),
    ("--database fifo", "it is a FIFO"),
    ("--database other", "is a directory"),
    ("--database missing/x", "No such file or directory"),
    ("--database /dev/stdin", "it is a FIFO"),
    ("--database /dev/null", "it is a device"),
    ("--database new", "journal of option `--database`"),
    ("--accounts fifo", "it is a FIFO"),
    ("--accounts other", "is a directory"),
    ("--accounts /dev/stdin", "it is a FIFO"),
    ("--accounts missing", "does not exist"),
    ("--tls-cert fifo --tls-key text", "it is a FIFO"),
    ("--tls-cert text --tls-key fifo", "it is a FIFO"),
    ("--tls-cert text --tls-key text", "--tls-cert and --tls-key cannot be used"),
    ("--tls-self-signed other", "it is a FIFO"),
]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_files_that_serve_cannot_use_are_refused(
    tmp_path: Path, start: str, options: str, words: str
) -> None:
    """It does not block on any of them, and changes none."""
    (tmp_path / "text").write_text("{}")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("text")
    (tmp_path / "other").mkdir()
    (tmp_path / "new.wal").write_text("text")
    for fifo in ("fifo", "other/cert.pem", "other/key.pem"):
        os.mkfifo(tmp_path / fifo)
    before = snapshot(tmp_path)
    done = subprocess.run(
        [*STARTS[start], *options.split()],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        capture_output=True,
        check=False,
        timeout=60,
    )
    errors = done.stderr.decode()
    assert (done.returncode, words in errors, "Traceback" in errors) == (78, True, False), errors
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("start", STARTS)
def test_stdout_must_not_be_a_file_that_serve_reads(tmp_path: Path, start: str) -> None:
    accounts = tmp_path / "accounts.json"
    accounts.write_text("{}")
    with accounts.open("ab") as stdout:
        done = subprocess.run(
            [*STARTS[start], "--accounts", "accounts.json"],
            cwd=tmp_path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (done.returncode, "are the same file" in done.stderr.decode()) == (78, True)
    assert accounts.read_text() == "{}"
