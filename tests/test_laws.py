"""Laws that hold between the parts: what is on the disk before a state is on stdout, and the like.

Found with the mutations of `tests/mutants.py`, or missing from the product until they are met.
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.app import Options, deliver
from target_stitch_import.config import Settings
from target_stitch_import.dead_letter import DeadLetters
from target_stitch_import.errors import OutputError
from tests.conftest import Target, bodies, lines, record, schema, state
from tests.test_pipeline import feed, pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from target_stitch_import.local import ImportApi

BAD_IN_THE_MIDDLE = [
    schema(name={"type": ["null", "string"], "maxLength": 5}),
    record(1),
    record(2, name="far too long"),
    record(3),
    state(1),
]


class Stdout(io.BytesIO):
    """Notes how much of a file was safe on the disk when something was written."""

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
    monkeypatch: pytest.MonkeyPatch,
    validate: bool,  # noqa: FBT001
) -> None:
    """Refused locally or by the service: written is not enough, it must be synced."""
    path = tmp_path / "dead.jsonl"
    safe: dict[int, int] = {}
    really_sync = os.fsync

    def sync(descriptor: int) -> None:
        really_sync(descriptor)
        status = os.fstat(descriptor)
        safe[status.st_ino] = status.st_size

    monkeypatch.setattr(os, "fsync", sync)
    config = {
        "token": "T",
        "api_url": api.url,
        "validate_records": validate,
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(path),
    }
    stdout = Stdout(path, safe)
    source = io.BytesIO(lines(BAD_IN_THE_MIDDLE))
    deliver(Settings.load(config), Options(), source, stdout)
    assert stdout.getvalue() == b"1\n"
    (on_the_disk,) = stdout.safe_when_written
    assert json.loads(on_the_disk)["record"]["id"] == 2


@contextmanager
def nearly_full_disk(room_bytes: int) -> Iterator[None]:
    """Let no file grow over so many bytes, as if the disk were full from there on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "same_run",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.xfail(
                strict=True, reason="the next try in the same run goes on in the line cut off"
            ),
        ),
    ],
)
def test_a_line_cut_off_by_a_full_disk_spoils_no_other(
    tmp_path: Path,
    same_run: bool,  # noqa: FBT001
) -> None:
    """What is written once there is room again is readable: it counts as settled."""
    path = tmp_path / "dead.jsonl"
    refusing = pipeline(dead_letter=True)
    feed(refusing, [schema(), record(1, id="bad")])
    (letter,) = refusing.to_set_aside
    letters = DeadLetters(str(path), 10)
    with nearly_full_disk(40), pytest.raises(OutputError):
        letters.write([letter])
    if not same_run:
        letters.close()
        letters = DeadLetters(str(path), 10)
    letters.write([letter])
    letters.close()
    assert json.loads(path.read_text().splitlines()[-1])["line"] == letter.line


VERSION_7 = {"version": 7}
ACTIVATION = {"type": "ACTIVATE_VERSION", "stream": "people", **VERSION_7}
LACKING = [
    schema(),
    record(1, message=VERSION_7),
    record(0, id="bad", message=VERSION_7),
    state(1),
    ACTIVATION,
    state(2),
]


@pytest.mark.xfail(
    strict=True, raises=subprocess.TimeoutExpired, reason="the run waits for ever, without a word"
)
def test_a_run_whose_activation_is_refused_ends(target: Target, tmp_path: Path) -> None:
    """The refusal comes while a batch before it is reported; the rest of the report counts too."""
    command = target.command(
        on_invalid_record="dead_letter", dead_letter_path=str(tmp_path / "dead.jsonl")
    )
    done = subprocess.run(
        command, input=lines(LACKING), capture_output=True, check=False, timeout=10
    )
    assert (done.returncode, done.stdout) == (65, b"1\n")


@pytest.mark.xfail(
    strict=True, reason="which versions lack a record is forgotten when the run ends"
)
def test_a_version_that_lacks_a_record_is_not_activated_by_the_next_run_either(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """The first run ends with 65, as it must; a scheduler starts the next one without a thought."""
    settings = {
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(tmp_path / "dead.jsonl"),
    }
    first = target.run(LACKING[:4], **settings)
    assert (first.status, first.states) == (0, ["1"])
    second = target.run([schema(), ACTIVATION, state(2)], **settings)
    assert second.status == 65
    actions = [message["action"] for body in bodies(api) for message in body["messages"]]
    assert "activate_version" not in actions
