"""How many connections a process has file descriptors for."""

from __future__ import annotations

import os
import resource

from target_stitch_import.errors import ConfigurationError

_OF_A_CONNECTION = 2
"""Its socket, and while it is made another for the host's name, or the file of certificates."""
_OF_THE_REST = 8
"""Files of the run, its wake-up pipe, modules that are still to be imported."""


def connections_for(wanted: int) -> int:
    """Return how many connections there may be at once: as many as are wanted, or fewer.

    Raises:
        ConfigurationError: There is not room for one.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    most = (limit - _open_now() - _OF_THE_REST) // _OF_A_CONNECTION
    if most < 1:
        raise ConfigurationError(
            f"The process may have {limit:,} files open, too few for a run. Raise the limit, as "
            "with `ulimit -n 1024`."
        )
    return min(wanted, most)


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - numbers, of no use as paths
    except OSError:
        return 3  # those that every process has
