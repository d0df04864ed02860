"""Dead letters are complete, and on the disk before they count as settled."""

from __future__ import annotations

import io
import json
import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.config.settings import Settings
from target_stitch_import.errors import OutputError
from target_stitch_import.report.observer import RunObserver
from target_stitch_import.run.dead_letter import DeadLetters
from target_stitch_import.run.http import ImportApiClient
from tests.support.assembled_run import DeliversAtOnce, RunInThread, RunParts
from tests.support.defaults import pipeline
from tests.support.pipelines import feed
from tests.support.singer import record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from target_stitch_import.batching.set_aside import SetAside
    from target_stitch_import.local import ImportApi


BAD_IN_THE_MIDDLE = [
    schema(name={"type": ["null", "string"], "maxLength": 5}),
    record(1),
    record(2, name="far too long"),
    record(3),
    state(1),
]


class Stdout(io.BytesIO):
    """Records how much of a file was on the disk whenever something was written."""

    def __init__(self, file: Path, safe: dict[int, int]) -> None:
        super().__init__()
        self._file = file
        self._safe = safe
        self.safe_when_written: list[str] = []

    def write(self, text: Any, /) -> int:
        inode = self._file.stat().st_ino
        self.safe_when_written.append(self._file.read_text()[: self._safe.get(inode, 0)])
        return super().write(text)


@pytest.mark.parametrize("validate", [True, False])
def test_dead_letters_are_on_the_disk_before_the_state_is_on_stdout(
    api: ImportApi,
    tmp_path: Path,
    validate: bool,  # noqa: FBT001
) -> None:
    """Refused locally or by the service; the file must be synced, not only written."""
    path = tmp_path / "dead.jsonl"
    safe: dict[int, int] = {}

    def sync(descriptor: int) -> None:
        os.fsync(descriptor)
        status = os.fstat(descriptor)
        safe[status.st_ino] = status.st_size

    stdout = Stdout(path, safe)
    endpoint = Settings.load({"token": "T", "api_url": api.url}).endpoint("test")
    parts = RunParts(
        dead_letters=DeadLetters(str(path), 10, sync),
        stdout=stdout,
        connect=lambda: ImportApiClient(endpoint),
        rules={"validate_records": validate},
    )
    assert RunInThread(parts.run_over(BAD_IN_THE_MIDDLE)).ending() is None
    assert stdout.getvalue() == b"1\n"
    (on_the_disk,) = stdout.safe_when_written
    assert json.loads(on_the_disk)["record"]["id"] == 2


@contextmanager
def nearly_full_disk(room_bytes: int) -> Iterator[None]:
    """Limit the size of files, as if the disk were full beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("same_run", [False, True])
def test_a_line_cut_off_by_a_full_disk_damages_no_other(
    tmp_path: Path,
    same_run: bool,  # noqa: FBT001
) -> None:
    """What is written after there is room again is readable, because it counts as settled."""
    path = tmp_path / "dead.jsonl"
    refusing = pipeline(dead_letter=True)
    feed(refusing, [schema(), record(1, id="bad")])
    (dead_letter,) = refusing.to_set_aside
    dead_letters = DeadLetters(str(path), 10)
    with nearly_full_disk(40), pytest.raises(OutputError):
        dead_letters.write([dead_letter])
    if not same_run:
        dead_letters.close()
        dead_letters = DeadLetters(str(path), 10)
    dead_letters.write([dead_letter])
    dead_letters.close()
    assert json.loads(path.read_text().splitlines()[-1])["line"] == dead_letter.line


class Unsynced(DeadLetters):
    """A dead-letter file whose writes succeed, but are reported as failed."""

    def write(self, records: Sequence[SetAside]) -> None:
        super().write(records)
        raise OutputError("the disk")


class TroubleRecorder(RunObserver):
    """Records the messages of `trouble`."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles: list[str] = []

    def trouble(self, text: str) -> None:
        self.troubles.append(text)


def test_a_failing_dead_letter_file_is_reported_next_to_the_error(tmp_path: Path) -> None:
    observer = TroubleRecorder()
    parts = RunParts(Unsynced(str(tmp_path / "dead.jsonl"), 10), observer, sender=DeliversAtOnce)
    error = RunInThread(parts.run_over([schema(), record(0, id="bad"), "not json"])).ending()
    assert error
    assert (error.exit_status, observer.troubles) == (65, ["the disk"])


def test_dead_letters_that_fail_are_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    messages = [schema(), record(1), record(0, id="bad"), state(1), "not json"]
    stdout = io.BytesIO()
    parts = RunParts(Unsynced(str(path), 10), stdout=stdout, sender=DeliversAtOnce)
    assert RunInThread(parts.run_over(messages)).ending()
    assert len(path.read_text().splitlines()) == 1
    assert stdout.getvalue() == b"", "it does not count as settled either"


def test_a_file_that_cannot_be_read_again_is_not_reported_as_unwritable(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    dead_letters = DeadLetters(str(path), 10)
    path.unlink()
    with pytest.raises(OutputError, match=f"file {path} cannot be read: No such file"):
        dead_letters.incomplete_versions()
    dead_letters.close()


def test_a_thread_that_outlives_the_run_writes_no_dead_letters(tmp_path: Path) -> None:
    """By then, another file may have the same descriptor."""
    refusing = pipeline(dead_letter=True)
    feed(refusing, [schema(), record(1, id="bad")])
    dead_letters = DeadLetters(str(tmp_path / "dead.jsonl"), 10)
    dead_letters.close()
    with (tmp_path / "other").open("wb"), pytest.raises(OutputError, match="is closed"):
        dead_letters.write(list(refusing.to_set_aside))
    assert (tmp_path / "other").read_bytes() == b""
