"""Fixtures for all tests: a running local Import API, and a target that delivers to it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest

from target_stitch_import.local import ImportApi

# Before the import of the helpers, so that their failed assertions show values, too.
pytest.register_assert_rewrite("tests.support")

from tests.support.target import TOKEN, Target  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# On a busy machine, the time that an example takes means nothing.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")
# In the background, a shell lets the tests and all processes that they start ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _running_api() -> Iterator[ImportApi]:
    with ImportApi(kept_bytes=None) as api:
        yield api


@pytest.fixture
def api(_running_api: ImportApi) -> ImportApi:
    """A local Import API in its initial state."""
    _running_api.reset()
    return _running_api


@pytest.fixture
def target(api: ImportApi, tmp_path: Path) -> Target:
    """The target, configured to deliver to `api`."""
    return Target(tmp_path, {"token": TOKEN, "api_url": api.url, "max_retry_seconds": 20})
