"""Values of taps that cannot be sent unchanged: the error names the field, and what helps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.target import TOKEN
from tests.taps.pipes import Pipe, piped
from tests.taps.reading import NUMBER, TEXT, TREE, Kind, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi
    from tests.taps.sources import Source

pytestmark = pytest.mark.timeout(300)


def only(*taps: str) -> pytest.MarkDecorator:
    """Run a test only with some taps."""
    return pytest.mark.parametrize("source", taps, indirect=True)


OWN = [
    ("meltano", "arrays", "/ints/1"),
    ("meltano", "own_types", "/d"),
    ("meltano", "odds", "/o"),
    ("pipelinewise", "numeric_hundreds", "/n"),
    ("mysql", "shapes", "/"),
]


@pytest.mark.parametrize(("source", "table", "field"), OWN, indirect=["source"])
def test_a_row_that_violates_the_tap_s_own_schema_is_refused(
    source: Source,
    warehouse: ImportApi,
    tmp_path: Path,
    table: str,
    field: str,
) -> None:
    pipe = piped(replace(source.over("plain"), schemas={}), tmp_path, warehouse)
    pipe.select([f"plain-{table}"], "FULL_TABLE")
    outcome = pipe.run()
    assert outcome.status == 65
    (error,) = [line for line in outcome.log.splitlines() if "ERROR" in line]
    assert f"`plain-{table}`: field `{field}" in error


@only("mysql")
def test_a_stream_map_gives_the_value_its_type(
    source: Source,
    warehouse: ImportApi,
    tmp_path: Path,
) -> None:
    pipe = piped(source.over("plain"), tmp_path, warehouse)
    pipe.select(["plain-shapes"], "FULL_TABLE")
    maps = {"plain-shapes": {"p": "str(p)", "g": "str(g)"}}
    assert pipe.run(stream_maps=maps).status == 0
    there = loaded(warehouse, "plain-shapes", {"id": NUMBER, "p": TREE})
    assert list(there) == [(0, '{"coordinates": [1, 2], "type": "Point"}')]


@dataclass(frozen=True)
class Repaired:
    """A table, the repairs it needs, and the expected values of `id` and these columns."""

    table: str
    columns: dict[str, Kind]
    repairs: list[str]
    rows: list[tuple[Any, ...]]


JSON = Repaired(
    "json_nul",
    {"j": TREE},
    ["strip_nul", "replace_surrogates"],
    [(0, '{"t": "ab"}'), (1, '{"t": "\\ufffd alone"}'), (2, '{"t": "fine"}')],
)
TEXTS = Repaired("nuls", {"t": TEXT}, ["strip_nul"], [(0, "ab"), (1, ""), (2, "fine")])
DATES = Repaired(
    "zero_dates",
    {"at": TEXT, "day": TEXT},
    ["invalid_dates_to_null"],
    [(0, *["2024-01-01 00:00:00"] * 2), *((row, None, None) for row in (1, 2, 3))],
)
REPAIRED = [
    pytest.param(tap, repaired, id=f"{tap}-{repaired.table}")
    for tap, repaired in (
        *(("meltano", JSON), ("pipelinewise", JSON)),
        *(("mysql", TEXTS), ("mysql", DATES)),
    )
]


@pytest.mark.parametrize(("source", "repaired"), REPAIRED, indirect=["source"])
def test_values_that_no_destination_accepts_are_refused_or_repaired(
    source: Source, warehouse: ImportApi, tmp_path: Path, repaired: Repaired
) -> None:
    """Without the repair the run fails and names the field; with it, other values are unchanged."""
    stream = f"repaired-{repaired.table}"
    pipe = piped(source.over("repaired"), tmp_path, warehouse)
    pipe.select([stream], "FULL_TABLE")
    refused = pipe.run()
    assert refused.status == 65
    assert any(f"field `/{column}" in refused.log for column in repaired.columns)
    pipe.state = None
    assert pipe.run(repairs=repaired.repairs).status == 0
    there = loaded(warehouse, stream, {"id": NUMBER, **repaired.columns})
    assert sorted(there, key=lambda row: row[0]) == repaired.rows


UNLOADABLE = {
    "meltano": ["long_names", "like_each_other", "nameless"],
    "mysql": ["like_each_other", "integers_unsigned"],
}


@only(*UNLOADABLE)
def test_rows_rejected_while_loading_are_reported(source: Source, tmp_path: Path) -> None:
    """At the end of the run, by table, with a local database."""
    names = UNLOADABLE[source.name]
    pipe = Pipe(source.over("repaired"), tmp_path, {"token": TOKEN, "region": "local"})
    pipe.select([f"repaired-{name}" for name in names], "FULL_TABLE")
    outcome = pipe.run()
    assert outcome.status == 0
    end = re.search(r"\d rows? rejected while loading.*", outcome.log, re.DOTALL)
    assert end
    assert not [name for name in names if f"repaired-{name}" not in end[0]]
