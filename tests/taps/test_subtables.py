"""Arrays of taps as subtables, with a row per element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_stitch_import.local import ImportApi
from tests.taps.pipes import piped
from tests.taps.reading import BOOLEAN, MOMENT, NUMBER, TEXT, Kind, differences, expected, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.taps.sources import Source

COLUMNS = {
    **dict.fromkeys(("ints", "nums", "doubles"), NUMBER),
    **dict.fromkeys(("texts", "uuids", "moods", "varchars"), TEXT),
    "bools": BOOLEAN,
    "moments": MOMENT,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["meltano", "pipelinewise"], indirect=True)
def test_elements_are_rows_in_their_order(source: Source, tmp_path: Path) -> None:
    with ImportApi() as api:
        pipe = piped(source.over("plain"), tmp_path, api)
        pipe.select(["plain-arrays"], "FULL_TABLE")
        assert pipe.run().status == 0
        wrong = {}
        for column, kind in COLUMNS.items():
            elements = f"unnest({column}) WITH ORDINALITY AS element(value, number)"
            right = source.server.rows(
                f"SELECT id, number - 1, value FROM plain.arrays, {elements}"  # noqa: S608
            )
            names = ("_sdc_source_key_id", "_sdc_level_0_id", "value")
            kinds: dict[str, Kind] = dict(zip(names, (NUMBER, NUMBER, kind), strict=True))
            there = loaded(api, f"plain-arrays__{column}", kinds)
            if said := differences(expected(right, list(kinds.values())), there):
                wrong[column] = said
    assert wrong == {}
