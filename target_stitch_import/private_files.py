"""Opens files so that only their owner may read and write them."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

_OF_OTHERS = 0o077


def open_private(path: str, flags: int) -> int:
    """Open or create a file that only its owner may read and write.

    An existing file of this user gets this mode, too; another user's file keeps its mode.

    Returns:
        The file's descriptor.

    Raises:
        OSError: It cannot be opened, or is not a regular file. The call never blocks on a FIFO.
    """
    flags |= os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
    file = os.open(path, flags & ~os.O_TRUNC, 0o600)
    try:
        _make_private(os.fstat(file), file)
        if flags & os.O_TRUNC:
            os.ftruncate(file, 0)
    except BaseException:
        os.close(file)
        raise
    return file


def _make_private(status: os.stat_result, file: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    if status.st_uid == os.geteuid() and status.st_mode & _OF_OTHERS:
        with suppress(OSError):  # not every file system has modes
            os.fchmod(file, 0o600)
