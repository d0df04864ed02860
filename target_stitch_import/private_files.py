"""Files that hold what nobody but their owner is to read."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_OF_OTHERS = 0o077


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner may use, and make that so for one that is there already.

    A file of somebody else's, and what is no regular file, keeps its mode.

    Returns:
        The file's descriptor.

    Raises:
        OSError: It cannot be opened.
    """
    file = os.open(path, flags | os.O_CREAT, 0o600)
    status = os.fstat(file)
    is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    if is_ours and status.st_mode & _OF_OTHERS:
        with suppress(OSError):  # not every file system has modes
            os.fchmod(file, 0o600)
    return file
