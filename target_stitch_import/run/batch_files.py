"""Reads the files that BATCH messages name, a bounded portion at a time.

Invariant: only regular files within one directory are read, wherever links and `..` lead. No file
is changed or deleted: until the state after it is written, it may have to be read again.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from msgspec.structs import replace

from target_stitch_import.errors import ConfigurationError, InputError, quoted
from target_stitch_import.singer.origin import BatchFile
from target_stitch_import.singer.reader import Reader
from target_stitch_import.singer.record_lines import RecordLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_stitch_import.singer.messages import Event, RecordFiles

CHUNK_BYTES = 1 << 18
ZIPPED_CHUNK_BYTES = 1 << 15
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = zlib.MAX_WBITS | 16
"""Makes `zlib` expect gzip, and check its checksums."""
_COMPRESSIONS = (None, "none", "gzip")
_FORMATS = ("jsonl", "parquet")


class _UnreadableError(Exception):
    """A file cannot be read; the text is the reason, as the end of a sentence."""


class BatchFiles:
    """Opens the files that BATCH messages name.

    Args:
        root: The directory that the files must be in, or None to refuse all files.
        written_as: Returns, for a descriptor, what the run itself writes to that file, or None.
    """

    def __init__(
        self, root: str | None, written_as: Callable[[int], str | None] = lambda _: None
    ) -> None:
        self._root = root
        self._written_as = written_as

    def portions(self, batch: RecordFiles) -> Iterator[Iterable[Event]]:
        """Yield the records of all files of `batch` in order, a portion at a time.

        Raises:
            InputError: A file must not be read, or cannot be read to its end.
            ConfigurationError: The format needs an extra that is not installed.
        """
        where = f"Line {batch.line}: BATCH of stream {quoted(batch.stream)}"
        if self._root is None:
            raise InputError(
                f"{where} is refused, because `batch_root` is not set. Set it to the directory in "
                "which the tap writes its batch files, or disable the tap's `batch_config`."
            )
        _check_encoding(where, batch)
        for entry in batch.manifest:
            try:
                path = _path_within(Path(self._root).resolve(), entry)
                with self._opened(path) as file:
                    # A name need not be UTF-8, but it goes into JSON and logs.
                    name = os.fsencode(path).decode(errors="replace")
                    yield from _portions(file, batch, BatchFile(name, batch.line))
            except (_UnreadableError, OSError, EOFError, zlib.error) as error:
                raise InputError(
                    f"{where} names the file {quoted(_shown(entry))}, which {_reason(error)}."
                ) from None

    def _opened(self, path: Path) -> IO[bytes]:
        """Open a regular file; reading anything else could block the run."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        use = self._written_as(descriptor)
        if is_regular and not use:
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        raise _UnreadableError(
            f"is also {use}: this run writes to it" if is_regular else "is not a regular file"
        )


def _check_encoding(where: str, batch: RecordFiles) -> None:
    form, compression = batch.encoding.get("format"), batch.encoding.get("compression")
    if form not in _FORMATS:
        raise InputError(
            f"{where} has the format {quoted(str(form))}. Supported: {', '.join(_FORMATS)}."
        )
    # In Parquet files, each column has its own compression.
    if form == "jsonl" and compression not in _COMPRESSIONS:
        raise InputError(
            f"{where} has the compression {quoted(str(compression))}. Supported: `gzip` and `none`."
        )


def _shown(entry: str) -> str:
    """Return a manifest's `entry` for a message, without a URL's passwords and signatures."""
    scheme, mark, rest = entry.partition("://")
    if not mark or scheme == "file":
        return entry
    return scheme + mark + re.split("[?#]", rest, maxsplit=1)[0].rpartition("@")[2]


def _path_within(root: Path, entry: str) -> Path:
    """Return the resolved path of a manifest's `entry`.

    Some taps write file URLs without escapes. So if no file has the decoded name, the name is used
    without decoding.
    """
    scheme, mark, rest = entry.partition("://")
    if mark and scheme != "file":
        raise _UnreadableError("is not on this machine: only local files are read")
    names = [unquote(rest), rest] if mark else [entry]
    try:
        paths = [(root / name).resolve() for name in names]
        path = next((each for each in paths if each.exists()), paths[0])
    except (ValueError, RuntimeError):
        raise _UnreadableError("does not exist") from None
    if not path.is_relative_to(root):
        raise _UnreadableError(f"is not in `batch_root`, {root}")
    return path


def _portions(file: IO[bytes], batch: RecordFiles, origin: BatchFile) -> Iterator[Iterable[Event]]:
    if batch.encoding["format"] == "parquet":
        try:
            from target_stitch_import.run.parquet_rows import portions  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError(
                f"Line {batch.line}: BATCH of stream {quoted(batch.stream)} has the format "
                "parquet, which needs pyarrow: install the extra `parquet` of target-stitch-import."
            ) from None
        yield from portions(file, batch, replace(origin, unit="Row"))
        return
    reader = Reader(RecordLines(batch.stream, batch.version, origin))
    for chunk in _decompressed(file, batch.encoding.get("compression")):
        yield reader.feed(chunk)
    yield reader.close()


def _decompressed(file: IO[bytes], compression: str | None) -> Iterator[bytes]:
    """Return the text of `file`, decompressed if it begins with gzip's magic number.

    The declared compression is not used for this, because the Singer SDK's taps write gzip whatever
    they declare. No JSON begins with the magic number.
    """
    is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    file.seek(0)
    if is_gzip:
        return _unzipped(file)
    if compression == "gzip":
        raise _UnreadableError("is not gzip, or is cut off at its beginning")
    return iter(lambda: file.read(CHUNK_BYTES), b"")


def _unzipped(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the text of a gzip file, a bounded portion at a time, whatever the file contains.

    A portion is empty if much input gave no text: headers, empty members, or the zeros that may
    follow the last member. So a run can check for signals at any point in a file.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    while data := file.read(ZIPPED_CHUNK_BYTES):
        while data:
            if member.eof:
                data = data.lstrip(b"\0")
                if not data:
                    yield b""
                    break
                member = zlib.decompressobj(_GZIP_WINDOW)
            yield member.decompress(data, CHUNK_BYTES)
            data = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise EOFError


def _reason(error: Exception) -> str:
    match error:
        case _UnreadableError():
            return str(error)
        case EOFError():
            return "is cut off. Find out what stopped the tap, then run again"
        case zlib.error():
            return "is damaged: it cannot be decompressed"
        case FileNotFoundError():
            return "does not exist"
        case _:
            return f"cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}"
