"""Rows of Parquet files: exact, in portions, and within bounded memory."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from target_stitch_import.singer.messages import Records
from tests.support.batch_files import around, batch, events, write_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.target import Target

MOMENT = dt.datetime(2024, 7, 1, 2, 3, 4, 500_000)  # noqa: DTZ001 - its zone is what is tested
NESTED = [{"a": [1, None], "b": {"c": "x"}}]
PARQUET = [
    (pa.array([2**63 - 1]), "9223372036854775807"),
    (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    (pa.array([Decimal("1.10")], pa.decimal128(38, 2)), "1.10"),
    (pa.array([Decimal("1." + "0" * 36 + "1")], pa.decimal128(38, 37)), "1." + "0" * 36 + "1"),
    (pa.array([0.1]), "0.1"),
    (pa.array([None], pa.int64()), "null"),
    (pa.array([True]), "true"),
    (pa.array(["Ü\n"]), '"Ü\\n"'),
    (pa.array(["x"]).dictionary_encode(), '"x"'),
    (pa.array([MOMENT], pa.timestamp("us", "UTC")), '"2024-07-01T02:03:04.500000Z"'),
    (pa.array([MOMENT], pa.timestamp("ms", "Europe/Zurich")), '"2024-07-01T02:03:04.500000Z"'),
    (pa.array([0], pa.timestamp("s", "Mars/Base")), '"1970-01-01T00:00:00Z"'),
    (pa.array([MOMENT], pa.timestamp("ns")), '"2024-07-01T02:03:04.500000"'),
    (pa.array([dt.date(2024, 7, 1)]), '"2024-07-01"'),
    (pa.array([dt.time(2, 3, 4)]), '"02:03:04"'),
    (pa.array(NESTED), '{"a":[1,null],"b":{"c":"x"}}'),
    (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '{"k":1}'),
]


@pytest.mark.parametrize(("column", "text"), PARQUET, ids=[str(each.type) for each, _ in PARQUET])
def test_parquet_values_are_exact(tmp_path: Path, column: Any, text: str) -> None:
    write_parquet(tmp_path / "a", v=column)
    (run,) = events(tmp_path, "a", form="parquet")
    assert isinstance(run, Records)
    assert [bytes(each.record).decode() for each in run.messages] == [f'{{"v":{text}}}']


def test_times_of_parquet_far_from_today_are_exact(tmp_path: Path) -> None:
    """Also of the type INT96, which Spark writes, and which is nanoseconds by itself."""
    table = pa.table({"v": pa.array([dt.datetime(3024, 7, 1)], pa.timestamp("us"))})  # noqa: DTZ001
    parquet.write_table(table, tmp_path / "a", use_deprecated_int96_timestamps=True)
    (run,) = events(tmp_path, "a", form="parquet")
    assert [bytes(each.record) for each in run.messages] == [b'{"v":"3024-07-01T00:00:00"}']


def test_a_large_parquet_file_comes_in_portions(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a", id=pa.array(range(1_000)), text=pa.array(["x" * 10_000] * 1_000))
    runs = events(tmp_path, "a", form="parquet")
    ids = [
        json.loads(bytes(each.record))["id"]
        for run in runs
        if isinstance(run, Records)
        for each in run.messages
    ]
    assert ids == list(range(1_000))
    starts = [run.line for run in runs if isinstance(run, Records)]
    sizes = [len(run.messages) for run in runs if isinstance(run, Records)]
    assert max(sizes) <= 104, "a megabyte each"
    assert starts == [1 + sum(sizes[:at]) for at in range(len(sizes))]


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_memory_is_bounded_by_the_size_of_decoded_rows(
    tmp_path: Path, *, use_dictionary: bool
) -> None:
    """2,500 rows with the same text of 200 KB: 500 MB, although the file has it only once."""
    texts = pa.array(["x" * 200_000] + [f"{at:30}" for at in range(20_000)])
    rows = pa.DictionaryArray.from_arrays(
        pa.array([0, 1] * 3 + list(range(20_000)) + [0] * 20_000 * use_dictionary, pa.int32()),
        texts,
    )
    table = pa.table({"v": rows if use_dictionary else rows.dictionary_decode()})
    parquet.write_table(table, tmp_path / "a", store_schema=False)
    script = f"""
import pyarrow
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.singer.messages import RecordFiles
message = RecordFiles(4, "people", {{"format": "parquet"}}, ("a",))
most = count = 0
for portion in BatchFiles({str(tmp_path)!r}).portions(message):
    count += sum(len(run.records().messages) for run in portion)
print(count, pyarrow.default_memory_pool().max_memory())
"""
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    count, most = map(int, printed.split())
    assert count == table.num_rows
    assert most < 300_000_000


def test_parquet_without_its_extra_is_refused(target: Target, root: Path) -> None:
    (target.folder / "pyarrow.py").write_text("raise ImportError")
    write_parquet(root / "a", id=pa.array([2]))
    outcome = target.run(around(batch("a", format="parquet")))
    assert (outcome.status, outcome.states) == (78, ["1"])
    assert "install the extra `parquet` of target-stitch-import" in outcome.log
