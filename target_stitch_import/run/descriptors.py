"""Computes how many connections the limit on file descriptors allows."""

from __future__ import annotations

import errno
import os
import resource

from target_stitch_import.errors import ConfigurationError

_PER_CONNECTION = 2
"""The socket, and while connecting, one for the name lookup or the file of certificates."""
_RESERVED = 8
"""For files of the run, its wake-up pipe, and modules that are still to be imported."""


def connections_for(wanted: int) -> int:
    """Return how many connections are possible at once, at most `wanted`.

    Raises:
        ConfigurationError: Not even one is possible.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    count = _open_now(limit)
    possible = (limit - count - _RESERVED) // _PER_CONNECTION
    if possible < 1:
        raise ConfigurationError(
            f"The process may have {limit:,} files open and already has {count:,}, so too few are "
            "left for a run. Raise the limit (`ulimit -n`), or start the run with fewer open files."
        )
    return min(wanted, possible)


def _open_now(limit: int) -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - only their number is needed
    except OSError as error:
        # If no descriptor is left, the list cannot be opened. If there is no list, assume that only
        # stdin, stdout and stderr are open.
        return limit if error.errno == errno.EMFILE else 3
