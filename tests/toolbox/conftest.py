"""Fixtures of the toolbox's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_stitch_import.local import ImportApi
from tests.support.toolbox import ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def strict_api() -> Iterator[ImportApi]:
    """A local Import API that accepts only the tokens of `ACCOUNTS`."""
    with ImportApi(accounts=ACCOUNTS) as api:
        yield api
