"""Shared by the tests of the local Import API: one running service, fresh for each test."""

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
    """Give the running API in its fresh state."""
    running.reset()
    return running
