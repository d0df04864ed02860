"""The files of a run: none overwrites another, and what cannot be written is found at once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.file_contents import DEAD_LETTERS
from target_stitch_import.files import Files, FileUse
from tests.support.file_uses import (
    BY_PATH,
    IMPOSSIBLE,
    MESSAGES,
    PAIRS,
    SETTINGS,
    SHARED,
    attempt,
    name_in_messages,
)
from tests.support.singer import lines, record, schema, state
from tests.support.target import Target, delivered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from target_stitch_import.local import ImportApi


@pytest.mark.parametrize(("one", "other"), [pair for pair in PAIRS if pair not in IMPOSSIBLE])
def test_no_two_uses_share_a_file(target: Target, one: str, other: str) -> None:
    name = ".env" if other == ".env" else "shared.wal"
    (target.folder / name).write_bytes(SHARED if name != ".env" else b"")
    status, log = attempt(target, **{one: name, other: name})
    assert (status, "are the same file: one would overwrite the other" in log) == (78, True)
    for role in (one, other):
        assert name_in_messages(role).lower() in log.lower()


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
    """`..` is resolved after the link, not before."""
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "link").symlink_to("deep/deeper")
    return "link/../../shared"


def linked_folder(folder: Path) -> str:
    (folder / "link").symlink_to(".")
    return "link/shared"


def hard_link(folder: Path) -> str:
    (folder / "other").hardlink_to(folder / "shared")
    return "other"


OTHER_PATHS = (
    *(same_name, absolute, roundabout, symbolic_link, link_to_a_link, out_of_a_linked_folder),
    linked_folder,
)


@pytest.mark.parametrize("one", ["summary_path", "--output-file"])
@pytest.mark.parametrize(
    ("other_path", "is_there"), [*product(OTHER_PATHS, (True, False)), (hard_link, True)]
)
def test_one_file_under_two_names_is_refused(
    target: Target, one: str, other_path: Callable[[Path], str], *, is_there: bool
) -> None:
    """If it does not exist yet, a link to it dangles."""
    if is_there:
        (target.folder / "shared").write_bytes(b"")
    status, log = attempt(target, dead_letter_path="shared", **{one: other_path(target.folder)})
    assert (status, "are the same file" in log) == (78, True)


@pytest.mark.parametrize("is_there", [True, False])
def test_different_files_with_similar_paths_are_accepted(tmp_path: Path, *, is_there: bool) -> None:
    """Similar names, and `..` after a link, are not refused."""
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/deeper")
    paths = [tmp_path / "shared", tmp_path / "link" / ".." / "shared", tmp_path / "link" / "shared"]
    for path in paths if is_there else []:
        path.write_bytes(b"")
    Files([FileUse("x", str(path), DEAD_LETTERS) for path in paths]).check()
    assert [path.exists() for path in paths] == [is_there] * 3


def test_a_file_that_is_only_read_may_have_two_roles(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
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


def test_the_log_file_may_not_be_overwritten(target: Target, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(("role", "what"), [*product(BY_PATH, SPECIAL)])
def test_only_regular_files_are_written(
    target: Target, role: str, what: str, *, dry_run: bool
) -> None:
    SPECIAL[what](target.folder / "x.wal")
    status, log = attempt(target, dry_run=dry_run, **{role: "x.wal"})
    assert status == 78
    assert f"{name_in_messages(role)}` (`x" in log or f"{name_in_messages(role)} (`x" in log
    assert f"cannot be used: it is {what}, not a regular file." in log


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
    "NUL": (named("x\0y"), "contains a character that is not allowed in file names"),
    "an unpaired surrogate": (
        named("x\ud800y"),
        "contains a character that is not allowed in file names",
    ),
}
COMMAND_LINE_CANNOT = ("NUL", "an unpaired surrogate")


@pytest.mark.parametrize(
    ("role", "case"),
    [
        *((r, c) for r, c in product(SETTINGS, UNWRITABLE)),
        *(("--output-file", c) for c in UNWRITABLE if c not in COMMAND_LINE_CANNOT),
        *(("batch_root", c) for c in COMMAND_LINE_CANNOT),
    ],
)
def test_an_unwritable_path_is_refused_before_the_run(target: Target, role: str, case: str) -> None:
    make, reason = UNWRITABLE[case]
    status, log = attempt(target, **{role: make(target.folder)})
    assert (status, f"{role}`" in log, reason in log) == (78, True, True), log


def test_an_empty_path_of_a_database_is_refused(target: Target) -> None:
    status, log = attempt(target, local_database="")
    assert (status, "`local_database`" in log, "(``)" in log) == (78, True, True)
