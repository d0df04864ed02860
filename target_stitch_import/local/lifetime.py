"""The base class of local Import APIs, in this process or a child: `start`, `close`, `with`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Startable(ABC):
    """Starts on entering a `with`, and closes on leaving it."""

    @abstractmethod
    def start(self) -> None:
        """Start serving; when this returns, requests are answered."""

    @abstractmethod
    def close(self) -> None:
        """Stop serving, after the requests that are being answered."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
