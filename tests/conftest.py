"""What all tests share: a running local Import API, and the target set to deliver to it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest

from target_stitch_import.local import ImportApi

# Before they are imported: a failed assertion of a helper shows its values, too.
pytest.register_assert_rewrite("tests.support")

from tests.support.target import TOKEN, Target  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# How long an example takes, or is in the making, says nothing on a busy machine.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")
# A shell that runs the tests in the background has them ignore SIGINT, and so all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _running_api() -> Iterator[ImportApi]:
    with ImportApi(kept_bytes=None) as api:
        yield api


@pytest.fixture
def api(_running_api: ImportApi) -> ImportApi:
    """A local Import API without a past."""
    _running_api.reset()
    return _running_api


@pytest.fixture
def target(api: ImportApi, tmp_path: Path) -> Target:
    """The target, set to deliver to `api`."""
    return Target(tmp_path, {"token": TOKEN, "api_url": api.url, "max_retry_seconds": 20})
