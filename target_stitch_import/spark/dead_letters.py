"""Dead letters of a job: one file per task attempt, in a folder that all machines share.

Invariant: two attempts never write to one file. Files of attempts that were not committed begin
with an underscore, and a replay of the folder ignores them.
"""

from __future__ import annotations

import posixpath
import tempfile
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import fsspec

from target_stitch_import.errors import OutputError, why_it_cannot_be_written
from target_stitch_import.run.dead_letter import DeadLetters, lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from target_stitch_import.batching.set_aside import SetAside

UNCOMMITTED = "_"
_Done = TypeVar("_Done")


class AttemptDeadLetters:
    """The records that one task attempt sets aside; on the attempt's machine until it is done.

    Files are replayed in the order of `part`, the name of partition and attempt.
    """

    sets_aside = True

    def __init__(self, folder: str, part: str, limit: int) -> None:
        self._folder = folder
        self._name = f"part-{part}-{uuid.uuid4().hex}.jsonl"
        self._limit = limit
        self._opening = threading.Lock()
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._dead_letters: DeadLetters | None = None

    def write(self, records: Sequence[SetAside]) -> None:
        """Write `records` to a local file, which `close` removes; may be called by any thread.

        Raises:
            OutputError: They cannot be written.
            InputError: There are too many.
        """
        with self._opening:
            if self._dead_letters is None:
                self._dead_letters = self._open()
        self._dead_letters.write(records)

    def _open(self) -> DeadLetters:
        try:
            self._home = tempfile.TemporaryDirectory(prefix="stitch-import-")
        except OSError as error:
            raise OutputError(
                "A temporary folder for dead letters cannot be created: "
                f"{why_it_cannot_be_written(error)}"
            ) from None
        return DeadLetters(str(Path(self._home.name, self._name)), self._limit)

    def share(self) -> str | None:
        """Copy the file to the shared folder; return its name there, or None without records.

        Raises:
            OutputError: The folder cannot be written to.
        """
        if self._dead_letters is None or self._home is None:
            return None
        self._dead_letters.close()
        self._dead_letters = None
        text = Path(self._home.name, self._name).read_bytes()
        name = UNCOMMITTED + self._name

        def copy(files: Any, folder: str) -> None:
            files.makedirs(folder, exist_ok=True)
            files.pipe_file(posixpath.join(folder, name), text)

        _on_files(self._folder, copy)
        return name

    def close(self) -> None:
        """Remove the local file."""
        if self._dead_letters:
            self._dead_letters.close()
        if self._home:
            self._home.cleanup()


def incomplete_versions(folder: str) -> set[tuple[str, int]]:
    """Return table and version of each version that lacks records which are in the folder.

    Raises:
        OutputError: The folder cannot be read.
    """

    def lines(files: Any, folder: str) -> Iterator[bytes]:
        for path in files.glob(posixpath.join(folder, "[!._]*.jsonl")):
            with files.open(path, "rb") as file:
                yield from file

    return _on_files(folder, lambda files, at: lacking(lines(files, at)), "read")


def commit(folder: str, names: Sequence[str]) -> None:
    """Rename the files of committed attempts, so that a replay includes them.

    Raises:
        OutputError: A file cannot be renamed.
    """

    def rename(files: Any, folder: str) -> None:
        for name in names:
            kept = posixpath.join(folder, name.removeprefix(UNCOMMITTED))
            files.mv(posixpath.join(folder, name), kept)

    _on_files(folder, rename)


def discard(folder: str, names: Sequence[str]) -> None:
    """Remove the files of attempts that are not committed.

    Raises:
        OutputError: A file cannot be removed.
    """

    def remove(files: Any, folder: str) -> None:
        for path in [posixpath.join(folder, name) for name in names]:
            if files.exists(path):  # not if the job failed after `commit` had renamed it
                files.rm(path)

    _on_files(folder, remove)


def _on_files(folder: str, work: Callable[[Any, str], _Done], what: str = "written") -> _Done:
    try:
        files, path = fsspec.core.url_to_fs(folder)
        files.invalidate_cache()  # other machines write to the folder, too
        return work(files, path)
    except Exception as error:  # noqa: BLE001 - file systems raise errors of their own types
        raise OutputError(
            f"The dead-letter folder {folder} cannot be {what}: {why_it_cannot_be_written(error)}"
        ) from None
