"""The target as a process with pipes at all ends, for what goes on while it runs."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from tests.support.singer import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.target import Target


@contextmanager
def running(target: Target, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the target with pipes at all ends; its end is the test's business."""
    with subprocess.Popen(
        target.command(**settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=target.folder,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[bytes], *messages: Any) -> None:
    """Write messages to the target's stdin."""
    pipe = stream(process.stdin)
    pipe.write(lines(list(messages)))
    pipe.flush()


def stream(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for a condition that another process brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes], seconds: float = 15) -> tuple[int, list[bytes], str]:
    """Wait for the end; return status, states and log."""
    out, err = process.communicate(timeout=seconds)
    assert b"Traceback" not in err
    return process.returncode, out.splitlines(), err.decode()
