"""Fixtures of the taps' tests: database servers with tables, and the taps that read them."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.local import ImportApi
from tests.support.programs import skip_or_fail
from tests.taps import servers
from tests.taps.sources import MAKERS, SERVERS, script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.taps.sources import Source


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    """A PostgreSQL with the tables of postgres.sql."""
    with servers.postgres() as server:
        server.run(script("postgres"))
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.MariaDb]:
    """A MariaDB with the tables of mariadb.sql."""
    with servers.mariadb() as server:
        server.run(script("mariadb"))
        yield server


@pytest.fixture(params=sorted(MAKERS))
def source(request: pytest.FixtureRequest) -> Source:
    """A source for each tap: the tap with its server."""
    name: str = request.param
    made = MAKERS[name](request.getfixturevalue(SERVERS[name]))
    if why := _unusable(made.tap.program):
        skip_or_fail(f"{made.tap.distribution} {why}")
    return made


@pytest.fixture
def warehouse() -> Iterator[ImportApi]:
    """A local Import API that keeps objects and arrays as JSON, for comparisons."""
    with ImportApi(nested="json") as api:
        yield api


@cache
def _unusable(program: Path) -> str | None:
    """Return why a tap cannot run, such as on a Python that is too new for it; else None."""
    if not program.exists():
        return "is not installed: run `make test`"
    done = subprocess.run([program, "--help"], capture_output=True, check=False, text=True)
    return f"does not run: {done.stderr[-300:]}" if done.returncode else None
