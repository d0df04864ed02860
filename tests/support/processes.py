"""Runs the target as a process with pipes, for tests of what happens while it runs."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import termios
import threading
import time
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.support.programs import require
from tests.support.singer import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.hostile_input import Hostile
    from tests.support.target import Target


AS_PROCESS_1 = ("unshare", "--pid", "--fork", "--kill-child")
"""Prefix that runs a command as process 1 of its own namespace."""


def require_namespaces() -> None:
    """Skip the test if processes may not create namespaces."""
    require("unshare")
    if subprocess.run([*AS_PROCESS_1, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a namespace with its own process 1 needs root privileges")


def process_1(unshare: subprocess.Popen[Any]) -> int:
    """Return the outer process ID of the process that `unshare` runs as process 1."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    until(children.read_text)
    return int(children.read_text())


@contextmanager
def running(target: Target, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the target with pipes for stdin, stdout and stderr; the test ends it."""
    with started(target.command(**settings), target.folder) as process:
        yield process


@contextmanager
def started(
    command: list[str], folder: Path, stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with pipes for stdin, stdout and stderr, or its stderr elsewhere."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=folder
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def write_messages(process: subprocess.Popen[bytes], *messages: Any) -> None:
    """Write messages to the target's stdin."""
    pipe = stream(process.stdin)
    pipe.write(lines(list(messages)))
    pipe.flush()


def stream(pipe: IO[bytes] | None) -> IO[bytes]:
    """Return a pipe of a process, for the type checker: it is there."""
    assert pipe is not None
    return pipe


def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Wait until `condition` holds, which depends on another process or thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.01)


@contextmanager
def feeding(process: subprocess.Popen[bytes], case: Hostile) -> Iterator[Callable[[], int]]:
    """Write hostile input to the target's stdin, as fast as it reads, and keep stdin open.

    Yields a function that returns how many bytes the target has read.
    """
    pipe = stream(process.stdin)
    descriptor, process.stdin = pipe.fileno(), None  # so that `communicate` does not close it
    written = 0

    def write() -> None:
        nonlocal written
        pieces = repeat(case.piece) if case.times is None else repeat(case.piece, case.times)
        with suppress(BrokenPipeError):
            for piece in chain([case.head], pieces):
                rest = memoryview(piece)
                while rest:
                    count = os.write(descriptor, rest)
                    written += count
                    rest = rest[count:]

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield lambda: written - unread(pipe)
    thread.join(20)
    pipe.close()


def unread(pipe: IO[bytes] | None) -> int:
    """Return how many bytes in a pipe are unread; `pipe` may be either end."""
    return int(struct.unpack("i", fcntl.ioctl(stream(pipe), termios.FIONREAD, b"1234"))[0])


def is_full(pipe: IO[bytes] | None) -> bool:
    """Return whether a pipe is full."""
    return unread(pipe) == fcntl.fcntl(stream(pipe), fcntl.F_GETPIPE_SZ)


def is_sending(process: subprocess.Popen[bytes]) -> bool:
    """Return whether the sender's thread has started."""
    return len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1


def is_pending(process: subprocess.Popen[bytes], number: int) -> bool:
    """Return whether a signal that was sent is still pending."""
    [mask] = _status(process, "ShdPnd")
    return bool(int(mask, 16) >> (number - 1) & 1)


def peak_bytes(process: subprocess.Popen[bytes]) -> int:
    """Return the peak resident memory of a process, which must be alive."""
    kilobytes, _ = _status(process, "VmHWM")
    return int(kilobytes) * 1024


def _status(process: subprocess.Popen[bytes], name: str) -> list[str]:
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    [line] = [each for each in status if each.startswith(f"{name}:")]
    return line.split()[1:]


def end(process: subprocess.Popen[bytes], seconds: float = 15) -> tuple[int, list[bytes], str]:
    """Wait for the process to end; return its status, states and log."""
    out, err = process.communicate(timeout=seconds)
    log = (err or b"").decode()  # None if stderr is not a pipe
    assert "Traceback" not in log
    return process.returncode, out.splitlines(), log
