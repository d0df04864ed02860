"""A local Import API in a child process that cannot outlive its parent.

The child has the read end of a pipe whose write end only the parent has: however the parent ends,
the pipe closes and the child stops. Standard library only.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from target_stitch_import.local.extra import require_extra
from target_stitch_import.local.lifetime import Startable

if TYPE_CHECKING:
    from pathlib import Path

STOP_SECONDS = 30.0


class StartError(RuntimeError):
    """The child ended before it served; its own message is on stderr."""


class ImportApiProcess(Startable):
    """Run `python -m target_stitch_import.local` as a context manager with a `url`.

    The child ignores the terminal's signals: it answers until it is closed or its parent ends.
    """

    def __init__(  # noqa: PLR0913 - each is an option of `serve`
        self,
        database: str | Path | None = None,
        accounts: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        region: str | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        """`arguments` are further options of `serve`, such as `("--keep-bytes", "0")`."""
        command = [sys.executable, "-m", "target_stitch_import.local", "--stop-with-stdin"]
        command += ["--host", host, "--port", str(port)]
        if region is not None:
            command += ["--region", region]
        if database is not None:
            command += ["--database", str(database)]
        if accounts is not None:
            command += ["--accounts", str(accounts)]
        self._command = [*command, *arguments]
        self._child: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start the child and wait until it serves. Raises LocalExtraMissingError, StartError."""
        require_extra()
        child = subprocess.Popen(  # noqa: S603 - our own module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._child = child
        assert child.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        line = child.stdout.readline()
        if not line.startswith("listening on "):
            self.close()
            raise StartError(
                f"the local Import API ended with status {child.returncode}: see its message on"
                " stderr"
            )
        self.url = line.removeprefix("listening on ").strip()

    def close(self) -> None:
        """Stop the child after the requests that it is answering."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child is not None else None
