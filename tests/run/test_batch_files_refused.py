"""Batch files that are refused, and bad records in them: the error, and no later state."""

from __future__ import annotations

import json
import os
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from target_stitch_import.errors import InputError
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.singer.messages import RecordFiles
from tests.support.batch_files import JSONL, ROWS, around, batch, write_parquet, zipped
from tests.support.singer import lines
from tests.support.target import Target, delivered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from target_stitch_import.local import ImportApi


def entry(name: str) -> Callable[[Path], Any]:
    """Return the name of a file in a folder next to others that must not be read."""

    def make(root: Path) -> Any:
        (root.parent / "out.jsonl").write_bytes(JSONL)
        (root.parent / "files-too").mkdir()
        (root.parent / "files-too" / "a").write_bytes(JSONL)
        (root / "link.jsonl").symlink_to(root.parent / "out.jsonl")
        (root / "folder").symlink_to(root.parent)
        return batch(name.format(root=root))

    return make


def fifo(root: Path) -> Any:
    os.mkfifo(root / "a")
    return batch("a")


def a_loop(root: Path) -> Any:
    (root / "a").symlink_to("a")
    return batch("a")


def file(text: bytes, **members: Any) -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        (root / "a").write_bytes(text)
        return batch("a", **members)

    return make


def columns(**values: Any) -> Callable[[Path], Any]:
    def make(root: Path) -> Any:
        write_parquet(root / "a", **values)
        return batch("a", format="parquet")

    return make


def two_columns(root: Path) -> Any:
    parquet.write_table(pa.table([pa.array([1]), pa.array([2])], names=["v", "v"]), root / "a")
    return batch("a", format="parquet")


def swelling(root: Path) -> Any:
    """A page of 110 MB in a few kilobytes."""
    table = pa.table({"v": ["x" * 10_000] * 11_000})
    parquet.write_table(
        table, root / "a", compression="zstd", use_dictionary=False, data_page_size=1 << 30
    )
    return batch("a", format="parquet")


def swelling_lists(root: Path) -> Any:
    """One row of 200 million values, in a file of some kilobytes."""
    values = pa.array([7]).take(pa.array([0] * 1_000_000))
    lists = pa.ListArray.from_arrays(pa.array([0, *range(1, 1_000), 1_000_000]), values)
    table = pa.table({"v": pa.chunked_array([lists] * 20)})
    parquet.write_table(table, root / "a")
    return batch("a", format="parquet")


def not_utf8() -> Any:
    return pa.array([b"secret", b"\xff secret"]).view(pa.string())


def long_row() -> Any:
    """A row of 70 MB that a dictionary makes short."""
    texts = pa.array(["secret" * 1_000]).dictionary_encode()
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 12_000, pa.int32()), texts.dictionary)
    return pa.ListArray.from_arrays(pa.array([0, 12_000], pa.int32()), values)


def deep(root: Path) -> Any:
    value = pa.array([1])
    for _ in range(150):
        value = pa.StructArray.from_arrays([value], names=["x"])
    write_parquet(root / "a", v=value)
    return batch("a", format="parquet")


def cut_parquet(root: Path) -> Any:
    """The end of the file is intact, so that damaged pages are what is found."""
    path = write_parquet(root / "a", id=pa.array(range(1_000)))
    text = path.read_bytes()
    path.write_bytes(text[:200] + b"\0" * 500 + text[700:])
    return batch("a", format="parquet")


GZIP = zipped(b"".join(b'{"id":%d,"name":"secret"}\n' % at for at in range(3_000)))
NANOSECONDS = pa.array([1_577_836_800_123_456_789], pa.timestamp("ns"))
TWICE = pa.array([[("secret", 1), ("secret", 2)]], pa.map_(pa.string(), pa.int64()))
REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (entry("../out.jsonl"), "`../out.jsonl`, which is not in `batch_root`"),
    (entry("{root}/../out.jsonl"), "is not in `batch_root`"),
    (entry("{root}-too/a"), "is not in `batch_root`"),
    (entry("file:///etc/passwd"), "`file:///etc/passwd`, which is not in `batch_root`"),
    (entry("file://{root}/%2e%2e/out.jsonl"), "is not in `batch_root`"),
    (entry("link.jsonl"), "is not in `batch_root`"),
    (entry("folder/out.jsonl"), "is not in `batch_root`"),
    (entry("s3://bucket/a"), "`s3://bucket/a`, which is not on this machine"),
    (entry("https://u:secret@h/a?X-Sig=secret@"), "`https://h/a`, which is not on this machine"),
    (entry("none.jsonl"), "`none.jsonl`, which does not exist"),
    (entry(""), "is not a regular file"),
    (entry("a\0b"), "does not exist"),
    (entry("x" * 5_000), "cannot be read: File name too long"),
    (fifo, "is not a regular file"),
    (a_loop, "`a`, which"),
    (file(JSONL, format="csv"), "has the format `csv`"),
    (file(JSONL, compression="zstd"), "has the compression `zstd`"),
    (file(JSONL, compression="gzip"), "is not gzip"),
    (file(b"", compression="gzip"), "is not gzip, or is cut off"),
    (file(GZIP[:-200]), "is cut off"),
    (file(GZIP[:3_000] + b"\0" * 20 + GZIP[3_020:]), "is damaged"),
    (file(b'{"id":2}\n{"id":3,"name":"sec'), "Line 2 of `{root}/a` (BATCH on line 4) is cut off"),
    (file(b'{"id":2}\n{"name":"\xff secret"}\n'), "Line 2 of `{root}/a` (BATCH on line 4) is not"),
    (file(JSONL, format="parquet"), "is not Parquet"),
    (file(b"PAR1 secret PAR1", format="parquet"), "is not Parquet"),
    (cut_parquet, "damaged"),
    (columns(b=pa.array([b"secret"])), "has a column `b` of type binary"),
    (columns(b=pa.array([[{"x": b"secret"}]])), "has a column `b` of type list"),
    (columns(b=pa.array([{"\x1b[2J": b"secret"}])), "has a column `b` of type struct<\\x1b[2J:"),
    (two_columns, "has two columns named `v`"),
    (swelling, "has rows from 1 to 11,000 that take "),
    (
        swelling_lists,
        "most of them in its column `v.list.element`: write it with smaller row groups",
    ),
    (deep, "nested too deeply"),
    (
        columns(t=NANOSECONDS),
        "Row 1 of `{root}/a` (BATCH on line 4): column `t` contains a time finer than",
    ),
    (columns(m=TWICE), "column `m` contains a map that has a key twice"),
    (
        columns(t=not_utf8()),
        "Row 2 of `{root}/a` (BATCH on line 4): column `t` contains a string that is not UTF-8",
    ),
    (
        columns(d=pa.array([0, 3_000_000], pa.date32())),
        "column `d` contains a date outside the years",
    ),
    (columns(l=long_row()), "column `l` makes the row longer than 64,000,000 bytes as JSON"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_an_unusable_batch_file_is_refused(
    tmp_path: Path, make: Callable[[Path], Any], words: str
) -> None:
    root = tmp_path / "files"
    root.mkdir()
    message = make(root)
    files = RecordFiles(4, "people", message["encoding"], tuple(message["manifest"]))
    with pytest.raises(InputError, match=r"(Line|on line) 4") as caught:
        list(chain.from_iterable(BatchFiles(str(root)).portions(files)))
    assert words.format(root=root) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", [zipped(JSONL)[:-9], JSONL + b'{"id":3,"name":"sec', JSONL + b"\xff\n"]
)
def test_records_before_damage_arrive_and_no_later_state_is_written(
    target: Target, api: ImportApi, root: Path, text: bytes
) -> None:
    (root / "a").write_bytes(text)
    outcome = target.run(around(batch("a")))
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert "BATCH" in outcome.log
    assert delivered(api)[0] == {"id": 1}
    rest = delivered(api)[1:]
    assert rest == ROWS[: len(rest)]


@pytest.mark.parametrize("root_setting", [None, "elsewhere"])
def test_no_file_is_read_outside_of_the_root(
    target: Target, api: ImportApi, root: Path, root_setting: str | None
) -> None:
    (root / "a").write_bytes(JSONL)
    outcome = target.run(around(batch(root / "a")), batch_root=root_setting)
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert "Line 4: BATCH of stream `people`" in outcome.log
    assert "`batch_root`" in outcome.log
    assert delivered(api) == [{"id": 1}]


def test_a_batch_before_its_schema_is_refused(target: Target) -> None:
    outcome = target.run([batch("a")], batch_root="files")
    assert outcome.status == 65
    assert "Line 1: BATCH of stream `people` precedes its SCHEMA" in outcome.log


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_bad_record_ends_the_run(target: Target, root: Path, form: str) -> None:
    (root / "jsonl").write_bytes(b'{"id":2}\n{"id":"secret"}\n')
    write_parquet(root / "parquet", id=["2", "secret"])
    outcome = target.run(around(batch(form, format=form), id={"pattern": "[0-9]"}))
    assert (outcome.status, outcome.states) == (65, ["1"])
    where = f"2 of `{root}/{form}` (BATCH on line 4): invalid record in stream `people`:"
    assert where in outcome.log
    assert "secret" not in outcome.log


BAD = [
    (b'{"id":2}\n\n{"id":"secret"}\n{"id":4}\n', "Line 3", "/id"),
    (b'{"id":2}\n\n{"id":3,"name":secret}\n{"id":4}\n', "Line 3", "it is not JSON"),
    (b'{"id":2}\n\n{"id":3,"x":["secret",NaN]}\n{"id":4}', "Line 3", "it is NaN"),
    (b'{"id":2}\n\n"secret"\n{"id":4}\n', "Line 3", "object"),
    ({"id": [2, 3, 4], "x": [1.0, float("nan"), 1.0]}, "Row 2", "it is NaN"),
    ({"id": [2, 3, 4], "name": ["a", "b", "c"], "k": ["x", "secret", "x"]}, "Row 2", "/k"),
]


@pytest.mark.parametrize("case", BAD, ids=[f"{each[1]}: {each[2]}" for each in BAD])
def test_bad_records_are_named_by_file_and_line(
    target: Target, api: ImportApi, root: Path, case: tuple[Any, str, str]
) -> None:
    content, position, reason = case
    message = batch("a")
    if isinstance(content, bytes):
        (root / "a").write_bytes(content)
    else:
        write_parquet(root / "a", **content)
        message = batch("a", format="parquet")
    messages = around(message, k={"maxLength": 5})
    path = target.folder / "dead.jsonl"
    outcome = target.run(messages, on_invalid_record="dead_letter", dead_letter_path=str(path))
    assert (outcome.status, outcome.states[-1:]) == (0, ["2"])
    assert [each["id"] for each in delivered(api)] == [1, 2, 4, 9]
    (dead_letter,) = map(json.loads, path.read_text().splitlines())
    at = int(position.split()[1])
    assert (dead_letter["file"], dead_letter["line"], dead_letter["batch_line"]) == (
        f"{root}/a",
        at,
        4,
    )
    assert reason in dead_letter["reason"]
    assert "secret" in str(dead_letter) or "NaN" in dead_letter["record_text"]


def test_a_dead_letter_names_a_file_whose_name_is_not_utf_8(target: Target, root: Path) -> None:
    (root / "a").symlink_to(os.fsdecode(b"\xff.jsonl"))
    (root / "a").resolve().write_bytes(b'{"id":"bad"}\n')
    path = target.folder / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run(around(batch("a")), **settings)
    assert (outcome.status, outcome.states[-1:]) == (0, ["2"])
    assert json.loads(path.read_text())["file"] == f"{root}/\N{REPLACEMENT CHARACTER}.jsonl"


def test_records_that_the_service_refuses_are_named_by_file_and_line(
    target: Target, api: ImportApi, root: Path
) -> None:
    """Also after buffering and halving, when only the text is left."""
    rows = [{"id": at, "name": 5 if at == 17 else "x"} for at in range(100)]
    (root / "a").write_bytes(lines(rows))
    path = target.folder / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run(around(batch("a")), validate_records=False, **settings)
    assert (outcome.status, outcome.states[-1:]) == (0, ["2"])
    assert len(delivered(api)) == 101
    (dead_letter,) = map(json.loads, path.read_text().splitlines())
    assert (dead_letter["file"], dead_letter["line"], dead_letter["batch_line"]) == (
        f"{root}/a",
        18,
        4,
    )
    outcome = target.run(around(batch("a")), validate_records=False)
    assert outcome.status == 65
    assert f"Line 18 of `{root}/a` (BATCH on line 4): the Import API refuses" in outcome.log


def test_the_state_behind_a_batch_waits_for_all_its_records(
    target: Target, api: ImportApi, root: Path
) -> None:
    (root / "a").write_bytes(lines([{"id": at, "name": [None, 5][at == 17]} for at in range(30)]))
    settings = {"batch_size_rows": 1, "max_in_flight_requests": 1, "validate_records": False}
    outcome = target.run(around(batch("a")), **settings)
    assert (outcome.status, outcome.states) == (65, ["1"])
    assert len(delivered(api)) == 18
