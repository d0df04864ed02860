"""No more connections than the limit on file descriptors allows."""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.errors import ConfigurationError
from target_stitch_import.run.descriptors import connections_for
from tests.support.singer import record, schema, state
from tests.support.target import Target, delivered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.local import ImportApi

MESSAGES = [schema(), *(record(n) for n in range(100)), state(1)]


@pytest.mark.parametrize("name", ["max_in_flight_requests", "turbo_boost_factor"])
def test_with_few_descriptors_there_are_fewer_connections(
    target: Target, api: ImportApi, name: str
) -> None:
    """With `ulimit -n 40`, everything is delivered, and a warning names the limit."""
    target.max_open_files = 40
    api.set_faults([{"kind": "latency", "seconds": 0.05, "times": "always"}])
    outcome = target.run(MESSAGES, batch_size_rows=1, max_retry_seconds=5, **{name: 64})
    api.set_faults([])
    assert (outcome.status, outcome.states) == (0, ["1"])
    assert len(delivered(api)) == 100
    assert "of 64 requests are sent at once" in outcome.log
    assert "ulimit -n" in outcome.log


@pytest.mark.parametrize("limit", [6, 10])
def test_with_too_few_for_one_connection_nothing_is_read(target: Target, limit: int) -> None:
    target.max_open_files = limit
    outcome = target.run(MESSAGES)
    assert (outcome.status, outcome.states) == (78, [])
    assert f"may have {limit} files open" in outcome.log
    assert "ulimit -n" in outcome.log


@pytest.mark.usefixtures("_limit_restored")
@pytest.mark.parametrize("left", [0, 5])
def test_inherited_descriptors_are_counted(left: int) -> None:
    """A higher limit alone does not help if the parent process leaves many files open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        files = [stack.enter_context(open(os.devnull, "rb")) for _ in range(100)]  # noqa: PTH123
        limit = max(each.fileno() for each in files) + 1 + left
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        with pytest.raises(ConfigurationError, match=rf"{limit} files open and already has 1\d\d,"):
            connections_for(1)


@pytest.fixture
def _limit_restored() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_limit_restored")
def test_the_configured_number_of_connections_is_used_if_possible() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_000, most))
    assert connections_for(64) == 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
    with pytest.raises(ConfigurationError):
        connections_for(1)
