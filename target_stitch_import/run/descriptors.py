"""Computes how many connections the limit on file descriptors allows."""

from __future__ import annotations

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
    possible = (limit - _open_now() - _RESERVED) // _PER_CONNECTION
    if possible < 1:
        raise ConfigurationError(
            f"The process may have {limit:,} files open, too few for a run. Raise the limit, as "
            "with `ulimit -n 1024`."
        )
    return min(wanted, possible)


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - only their number is needed
    except OSError:
        return 3  # stdin, stdout and stderr
