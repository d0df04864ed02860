"""What is started and closed, also as a context manager: a local Import API here or in a child."""

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
        """Stop serving, once what is being answered is."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
