"""docs/taps.md names the tested versions of the taps, and the types that each tap changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.taps.servers import MariaDb, Postgres
from tests.taps.sources import MAKERS, SERVERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "taps.md").read_text()
LOCKED = {
    "meltanolabs-tap-postgres": "tests/requirements/tap-postgres.txt",
    "pipelinewise-tap-postgres": "tests/requirements/tap-postgres-pipelinewise.txt",
    "pipelinewise-tap-mysql": "tests/requirements/tap-mysql.txt",
    "tap-dbf": "tests/requirements/tap-dbf.txt",
    "tap-spreadsheets": "demo/requirements.txt",
}
NOT_RUNNING = {"postgres": Postgres(Path(), 0), "mariadb": MariaDb(0)}


@pytest.mark.parametrize("tap", LOCKED)
def test_page_names_the_locked_version(tap: str) -> None:
    requirements = (ROOT / LOCKED[tap]).read_text()
    locked = re.search(rf"^{tap}==(\S+)$", requirements, re.MULTILINE)
    assert locked
    row = re.search(rf"^\| .*`{tap}`.* \| ([\d.]+) \|", PAGE, re.MULTILINE)
    assert row
    assert row[1] == locked[1]


@pytest.mark.parametrize("name", MAKERS)
def test_page_names_what_a_tap_alters(name: str) -> None:
    """Each type that does not arrive unchanged is in the tap's section."""
    source = MAKERS[name](NOT_RUNNING[SERVERS[name]])
    section = PAGE.partition(f"\n## {source.tap.distribution}\n")[2].partition("\n## ")[0]
    assert section
    assert [each for each in source.altered if f"`{each}`" not in section] == []
