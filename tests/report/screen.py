"""A pseudo-terminal, and what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading

CLEAR = "\r\x1b[J"
WAIT_SECONDS = 30


class Screen:
    """A pseudo-terminal that keeps what was written to it."""

    def __init__(self, columns: int = 140) -> None:
        self._leader, self.follower = pty.openpty()
        self.resize(columns)
        self.written = ""
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def resize(self, columns: int) -> None:
        """Make it as wide as that."""
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._leader, 65_536)
            except OSError:  # the other end is closed
                chunk = b""
            with self._changed:
                self.written += chunk.decode()
                self._is_closed = not chunk
                self._changed.notify_all()
            if not chunk:
                return

    def wait_for(self, pattern: str) -> str:
        """Wait until a pattern is drawn or logged, and return it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_closed or re.search(pattern, self.written), WAIT_SECONDS
            )
            found = re.search(pattern, self.written)
        assert found, f"{pattern!r} is not in {self.written!r}"
        return found[0]

    def type(self, text: str) -> None:
        """Type it, as the person before it would."""
        os.write(self._leader, text.encode())

    @property
    def drawn(self) -> list[str]:
        """The live lines so far."""
        return re.findall(rf"{re.escape(CLEAR)}([^\r\n\x1b]+)\r(?!\n)", self.written)

    def close(self) -> list[str]:
        """Close it once all has been read; return the rows that are left."""
        os.close(self.follower)
        self._thread.join(10)
        os.close(self._leader)
        rows = self.written.replace("\r\n", "\n").split("\n")
        return [row.rpartition(CLEAR)[2] for row in rows]
