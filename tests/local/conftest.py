"""Fixtures of the local Import API's tests: one running service, reset for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_stitch_import.local import ImportApi
from tests.local.calls import ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running() -> Iterator[ImportApi]:
    """One local Import API for the whole run."""
    with ImportApi(accounts=ACCOUNTS, kept_bytes=None) as api:
        yield api


@pytest.fixture
def api(running: ImportApi) -> ImportApi:
    """The running API in its initial state."""
    running.reset()
    return running
