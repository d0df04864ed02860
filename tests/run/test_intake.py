"""How much is read at once, and when the next read is delayed."""

from __future__ import annotations

import fcntl
import gzip
import io
import os
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.errors import InputError
from target_stitch_import.run import batch_files
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.run.intake import (
    CHECK_SECONDS,
    CHUNK_BYTES,
    PAUSE_SECONDS,
    Intake,
    Source,
)
from target_stitch_import.singer.messages import Records
from tests.support.singer import lines, record, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ONE_SIZE = pytest.mark.skipif(
    not hasattr(fcntl, "F_SETPIPE_SZ"), reason="this system has pipes of one size"
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for each in (read_end, write_end):
        os.close(each)


def intake(read_end: int) -> Intake:
    return Intake(Source(os.fdopen(read_end, "rb", buffering=0, closefd=False)), BatchFiles(None))


def test_reading_pauses_while_a_pipe_has_little(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    reading = intake(read_end)
    assert reading.pause_seconds == 0.0
    os.write(write_end, lines([schema()]))
    assert len(list(reading.read())) == 1
    assert CHECK_SECONDS < reading.pause_seconds == PAUSE_SECONDS < 0.1
    assert not reading.has_much()


@ONE_SIZE
def test_a_pipe_is_enlarged_and_read_at_once_while_it_brings_much(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    before = fcntl.fcntl(read_end, fcntl.F_GETPIPE_SZ)
    reading = intake(read_end)
    assert fcntl.fcntl(read_end, fcntl.F_GETPIPE_SZ) > before
    text = lines([schema(), *(record(n) for n in range(2_000))])
    assert len(text) > CHUNK_BYTES // 4
    os.write(write_end, text)
    list(reading.read())
    assert reading.pause_seconds == 0.0


@ONE_SIZE
def test_a_pipe_that_is_half_full_has_much(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    reading = intake(read_end)
    half = fcntl.fcntl(read_end, fcntl.F_GETPIPE_SZ) // 2
    os.write(write_end, b" " * (half - 1))
    assert not reading.has_much()
    os.write(write_end, b" ")
    assert reading.has_much()


def test_a_file_is_never_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(lines([schema()]))
    with path.open("rb", buffering=0) as file:
        reading = Intake(Source(file), BatchFiles(None))
        list(reading.read())
        assert reading.pause_seconds == 0.0


def unchanged(text: bytes) -> bytes:
    return text


@pytest.mark.parametrize("packed", [unchanged, gzip.compress])
def test_a_file_is_read_a_bounded_portion_at_a_time(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    """However large it is; the lines after its BATCH message come afterwards."""
    texts = [b'{"id":%d}' % number for number in range(100_000)]
    assert sum(map(len, texts)) > 4 * batch_files.CHUNK_BYTES
    (tmp_path / "a").write_bytes(packed(b"\n".join(texts)))
    message = {"type": "BATCH", "stream": "people", "encoding": {"format": "jsonl"}}
    given = lines([message | {"manifest": ["a"]}, record(7)])
    reading = Intake(Source(io.BytesIO(given)), BatchFiles(str(tmp_path)))
    found: list[bytes] = []
    while not reading.is_at_end:
        runs = [event for event in reading.read() if isinstance(event, Records)]
        portion = [bytes(message.record) for run in runs for message in run.messages]
        assert sum(map(len, portion)) <= batch_files.CHUNK_BYTES + len(texts[-1])
        found += portion
    assert found == [*texts, b'{"id": 7}']


class Folder(io.RawIOBase):
    """Stdin that is redirected from a folder."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def fileno(self) -> int:
        return self._descriptor


def test_a_folder_as_the_input_is_an_input_error(tmp_path: Path) -> None:
    folder: Any = Folder(tmp_path)
    with pytest.raises(InputError, match=r"The input cannot be read: Is a directory\."):
        Source(folder).read()
    os.close(folder.fileno())
