"""BATCH messages: records in files, under the same guarantees as those around them."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from singer_sdk.batch import Batcher
from singer_sdk.helpers._batch import BatchConfig

from target_stitch_import.errors import InputError
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.singer.lines import MAX_LINE_BYTES
from target_stitch_import.singer.messages import MalformedRecord, RecordFiles, Records, Rows
from target_stitch_import.singer.origin import BatchFile
from target_stitch_import.singer.reader import Reader
from target_stitch_import.singer.record_lines import RecordLines
from tests.support.processes import end, peak_bytes, running, say, stream, until
from tests.support.singer import lines, record, schema, state
from tests.support.target import Target, bodies, delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from target_stitch_import.local import ImportApi

TAP = Path(__file__).parents[2] / ".tools" / "tap-spreadsheets" / "bin" / "tap-spreadsheets"
SAMPLE = Path(__file__).parents[2] / "demo" / "sample"
ROWS = [{"id": 2, "name": "Ü\u2028"}, {"id": 3, "name": None}]
JSONL = lines(ROWS)


def zipped(text: bytes) -> bytes:
    """Return `text` as gzip, each time the same."""
    return gzip.compress(text, mtime=0)


@pytest.fixture
def root(target: Target) -> Path:
    """The folder that the target may read batch files from."""
    folder = target.folder / "files"
    folder.mkdir()
    target.config["batch_root"] = str(folder)
    return folder


def batch(*manifest: object, **members: Any) -> Any:
    """Return a BATCH of JSON Lines files, or of another `format` and `compression`."""
    encoding = {
        "format": members.pop("format", "jsonl"),
        "compression": members.pop("compression", None),
    }
    files = [str(each) for each in manifest]
    message = {"type": "BATCH", "stream": "people", "encoding": encoding, "manifest": files}
    return message | members


def around(message: Any, **columns: Any) -> list[Any]:
    """Return an input that has records and states before and behind a BATCH on its line 4."""
    return [schema(**columns), record(1), state(1), message, record(9), state(2)]


def write_parquet(path: Path, **columns: Any) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


# What arrives.


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_batches_of_the_sdk_arrive_in_their_place(
    target: Target, api: ImportApi, root: Path, form: str, compression: str
) -> None:
    """The SDK's own writers; their JSON Lines are gzip whatever the encoding says."""
    rows = [{"id": number, "name": f"n{number}"} for number in range(2, 9)]
    encoding = {"format": form, "compression": compression}
    storage = {"root": root.as_uri(), "prefix": "p "}
    config = BatchConfig.from_dict({"encoding": encoding, "storage": storage, "batch_size": 3})
    batcher = Batcher(tap_name="tap", stream_name="people", batch_config=config)
    manifest = [path for files in batcher.get_batches(iter(rows)) for path in files]
    outcome = target.run(around(batch(*manifest, format=form, compression=compression)))
    assert (outcome.status, outcome.states[-1:]) == (0, ["2"])
    assert delivered(api) == [{"id": 1}, *rows, {"id": 9}]
    assert len(list(root.iterdir())) == len(manifest) == 3, "files are nobody's to delete"


@pytest.mark.parametrize(
    ("text", "compression"),
    [
        (JSONL, None),
        (JSONL, "none"),
        (zipped(JSONL), "gzip"),
        (zipped(JSONL), None),
        (zipped(JSONL[:20]) + zipped(JSONL[20:]), "gzip"),
        (zipped(JSONL[:20]) + zipped(b"") + zipped(JSONL[20:]) + b"\0" * 70_000, "gzip"),
        (JSONL.removesuffix(b"\n"), None),
        (JSONL + b"  ", None),
        (JSONL + b"\r", None),
        (b"\xef\xbb\xbf\n" + JSONL.replace(b"\n", b"\r\n\r\n  \n"), None),
    ],
)
def test_json_lines_as_they_are_written(
    target: Target, api: ImportApi, root: Path, text: bytes, compression: str | None
) -> None:
    (root / "a").write_bytes(text)
    outcome = target.run(around(batch("a", compression=compression)))
    assert (outcome.status, outcome.states[-1:]) == (0, ["2"])
    assert delivered(api) == [{"id": 1}, *ROWS, {"id": 9}]


@pytest.mark.parametrize(
    "entry",
    [
        "a b%.jsonl",
        "./c/../a b%.jsonl",
        "{root}/a b%.jsonl",
        "file://{root}/a b%.jsonl",
        "file://{root}/a%20b%25.jsonl",
        "link.jsonl",
        "c/up/a b%.jsonl",
    ],
)
def test_names_of_files_within_the_root(tmp_path: Path, entry: str) -> None:
    (tmp_path / "a b%.jsonl").write_bytes(JSONL)
    (tmp_path / "link.jsonl").symlink_to("a b%.jsonl")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "up").symlink_to("..")
    (run,) = events(tmp_path, entry.format(root=tmp_path))
    assert [json.loads(bytes(each.record)) for each in run.messages] == ROWS
    assert run.file == BatchFile(str(tmp_path / "a b%.jsonl"), 4)


def test_a_hard_link_is_a_file_of_its_folder(tmp_path: Path) -> None:
    """Nothing tells it from the other names of the file, wherever they are."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "elsewhere").write_bytes(JSONL)
    (root / "link.jsonl").hardlink_to(tmp_path / "elsewhere")
    (run,) = events(root, "link.jsonl")
    assert [json.loads(bytes(each.record)) for each in run.messages] == ROWS


def test_a_root_may_be_a_link_and_relative(target: Target, api: ImportApi, root: Path) -> None:
    (root / "a").write_bytes(JSONL)
    (root.parent / "link").symlink_to("files")
    outcome = target.run(around(batch(root / "a", "a")), batch_root="link")
    assert (outcome.status, delivered(api)) == (0, [{"id": 1}, *ROWS, *ROWS, {"id": 9}])


def test_records_of_files_take_the_way_of_all_records(
    target: Target, api: ImportApi, root: Path
) -> None:
    """Exact, with version and sequence, completed, mapped, and before the activation."""
    (root / "a").write_bytes(b'{"id":2,"at":"2024-01-01T00:00:00","n":1.10,"name":"x"}\n')
    columns: dict[str, Any] = {
        "at": {"type": "string", "format": "date-time"},
        "n": {"type": "number"},
    }
    activate = {"type": "ACTIVATE_VERSION", "stream": "people", "version": 7}
    maps = {"people": {"__alias__": "persons", "name": "name + '!'"}}
    messages = [schema(**columns), batch("a", version=7), activate, state(1)]
    outcome = target.run(messages, stream_maps=maps)
    assert (outcome.status, outcome.states) == (0, ["1"])
    ours, activation = bodies(api)
    assert (ours["table_name"], ours["table_version"]) == ("persons", 7)
    assert ours["messages"][0]["data"] == {"id": 2, "at": "2024-01-01T00:00:00Z", "n": 1.1} | {
        "name": "x!"
    }
    assert '"n":1.10' in api.requests()[0]["body"]
    assert activation["messages"][0]["action"] == "activate_version"
    assert activation["messages"][0]["sequence"] > ours["messages"][0]["sequence"]


def test_batches_without_records(target: Target, api: ImportApi, root: Path) -> None:
    (root / "a").write_bytes(b"")
    (root / "d").write_bytes(b"\xef\xbb\xbf")
    (root / "b").write_bytes(zipped(b""))
    write_parquet(root / "c", id=pa.array([], pa.int64()))
    files = [batch(), batch("a", "d"), batch("b", compression="gzip"), batch("c", format="parquet")]
    outcome = target.run([schema(), *files, state(1)])
    assert (outcome.status, outcome.states, bodies(api)) == (0, ["1"], [])


def test_a_batch_on_a_last_line_without_a_break(target: Target, api: ImportApi, root: Path) -> None:
    (root / "a").write_bytes(JSONL)
    outcome = target.run(lines([schema(), batch("a")]).rstrip())
    assert (outcome.status, delivered(api)) == (0, ROWS)


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
def test_memory_is_bounded_by_what_rows_become(tmp_path: Path, *, use_dictionary: bool) -> None:
    """A text of 200 KB that 2,500 rows have: 500 MB, in a file that has it once."""
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
    told = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    count, most = map(int, told.split())
    assert count == table.num_rows
    assert most < 300_000_000


def test_a_byte_order_mark_before_a_lone_record(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b'\xef\xbb\xbf{"id":2}')
    (run,) = events(tmp_path, "a")
    assert [bytes(each.record) for each in run.messages] == [b'{"id":2}']


@pytest.mark.parametrize(
    "text",
    [zipped(JSONL) + bytes(10_000_000), zipped(JSONL) + zipped(b"") * 200],
    ids=["zeros behind it", "members without text"],
)
def test_gzip_that_yields_nothing_is_read_in_portions_too(tmp_path: Path, text: bytes) -> None:
    """Between any two of them, a run hears signals."""
    (tmp_path / "a").write_bytes(text)
    files = BatchFiles(str(tmp_path)).portions(
        RecordFiles(4, "people", {"format": "jsonl"}, ("a",))
    )
    portions = [list(each) for each in files]
    assert sum(map(len, portions)) == 1
    assert len(portions) > 200


def events(root: Path, *manifest: str, form: str = "jsonl") -> list[Any]:
    """Return all events of a BATCH on line 4, rows as the records that they are."""
    message = RecordFiles(4, "people", {"format": form}, manifest)
    return [
        event.records() if isinstance(event, Rows) else event
        for portion in BatchFiles(str(root)).portions(message)
        for event in portion
    ]


# What is refused.


def entry(name: str) -> Callable[[Path], Any]:
    """Name a file of a folder around which there is much that must not be read."""

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
    """Its end is whole, so that it is the pages that are found damaged."""
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
def test_files_that_cannot_be_taken(
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
def test_what_is_before_a_damaged_place_arrives_and_its_state_is_not_written(
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


def test_a_batch_before_its_schema(target: Target) -> None:
    outcome = target.run([batch("a")], batch_root="files")
    assert outcome.status == 65
    assert "Line 1: BATCH of stream `people` precedes its SCHEMA" in outcome.log


def test_parquet_without_its_extra(target: Target, root: Path) -> None:
    (target.folder / "pyarrow.py").write_text("raise ImportError")
    write_parquet(root / "a", id=pa.array([2]))
    outcome = target.run(around(batch("a", format="parquet")))
    assert (outcome.status, outcome.states) == (78, ["1"])
    assert "install the extra `parquet` of target-stitch-import" in outcome.log


def test_a_line_that_is_too_long_is_refused_before_it_is_whole() -> None:
    reader = Reader(RecordLines("people", None, BatchFile("a", 3)))
    assert list(reader.feed(b'{"id":1}\n'))
    for _ in range(MAX_LINE_BYTES // 1_000_000):
        assert not list(reader.feed(b"x" * 1_000_000))
    with pytest.raises(InputError, match=r"Line 2 of `a` \(BATCH on line 3\) is longer than"):
        list(reader.feed(b"x"))


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
    (letter,) = map(json.loads, path.read_text().splitlines())
    at = int(position.split()[1])
    assert (letter["file"], letter["line"], letter["batch_line"]) == (f"{root}/a", at, 4)
    assert reason in letter["reason"]
    assert "secret" in str(letter) or "NaN" in letter["record_text"]


def test_a_dead_letter_names_a_file_whose_name_is_no_utf8(target: Target, root: Path) -> None:
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
    """Through buffer, body and halving, where the text alone has gone on."""
    rows = [{"id": at, "name": 5 if at == 17 else "x"} for at in range(100)]
    (root / "a").write_bytes(lines(rows))
    path = target.folder / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    outcome = target.run(around(batch("a")), validate_records=False, **settings)
    assert (outcome.status, outcome.states[-1:]) == (0, ["2"])
    assert len(delivered(api)) == 101
    (letter,) = map(json.loads, path.read_text().splitlines())
    assert (letter["file"], letter["line"], letter["batch_line"]) == (f"{root}/a", 18, 4)
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


# Chunks, room and time.


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
def test_any_cut_of_a_file_gives_the_same_records(size: int) -> None:
    text = b'\xef\xbb\xbf{"id":1}\r\n\n {"id":2} \nno\n{"id":3,"n":NaN}\n5\n{"id":"\xc3\xbc"}'

    def read(chunks: Iterable[bytes]) -> list[tuple[int, bytes]]:
        reader = Reader(RecordLines("people", 7, BatchFile("a", 3)))
        found = [event for chunk in chunks for event in reader.feed(chunk)]
        return [each for event in [*found, *reader.close()] for each in flat(event)]

    def flat(event: Any) -> list[tuple[int, bytes]]:
        assert event.file == BatchFile("a", 3)
        whose = [event] if isinstance(event, MalformedRecord) else event.messages
        assert {(each.stream, each.version) for each in whose} == {("people", 7)}
        if isinstance(event, MalformedRecord):
            return [(event.line, event.text)]
        return [(line, bytes(each.record)) for line, each in enumerate(event.messages, event.line)]

    assert read(text[at : at + size] for at in range(0, len(text), size)) == [
        (1, b'{"id":1}'),
        (3, b'{"id":2}'),
        (4, b"no"),
        (5, b'{"id":3,"n":NaN}'),
        (6, b"5"),
        (7, b'{"id":"\xc3\xbc"}'),
    ]


def test_memory_is_bounded_while_a_large_file_is_read(
    target: Target, api: ImportApi, root: Path
) -> None:
    """40 MB in a file against 5 MB of buffer: reading stops until there is room."""
    api.set_faults([{"kind": "latency", "seconds": 0.02, "times": "always"}])
    rows = lines([{"id": at, "name": "x" * 1_000} for at in range(4_000)])
    (root / "a").write_bytes(gzip.compress(rows, 1) * 10)
    settings = {
        "max_buffer_bytes": 5_000_000,
        "batch_size_bytes": 500_000,
        "batch_delay_seconds": 0.2,  # so that the last state comes before the end
    }
    with running(target, **settings) as process:
        say(process, *around(batch("a", compression="gzip")))
        assert b"2\n" in iter(stream(process.stdout).readline, b"")
        peak = peak_bytes(process)
        assert end(process)[0] == 0
    assert sum(len(body["messages"]) for body in bodies(api)) == 40_002
    assert peak < 90_000_000
    api.set_faults([])


def test_a_signal_is_heard_in_the_middle_of_a_file(target: Target, root: Path) -> None:
    """There is room for all of the file, and yet it is not read to its end first."""
    (root / "a").write_bytes(zipped(lines([{"id": 5}] * 100_000)) * 40)
    summary = target.folder / "summary.json"
    with running(target, max_buffer_bytes=10**10, summary_path=str(summary)) as process:
        say(process, *around(batch("a")))
        until(lambda: (root / "a") in opened(process.pid))
        process.send_signal(signal.SIGTERM)
        code, states, _ = end(process, 40)
    assert (code, states) == (143, [b"1"])
    assert json.loads(summary.read_text())["streams"]["people"]["read"] < 4_000_000


def opened(process: int) -> list[Path]:
    """Return which files a process has open."""
    found = []
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(descriptor.readlink())
    return found


# A real tap.


def test_a_real_tap_that_writes_batches(target: Target, api: ImportApi, root: Path) -> None:
    columns = {"year": {"type": ["integer", "null"]}}
    flights = {
        "table_name": "flights",
        "path": f"{SAMPLE}/flights/*.csv",
        "format": "csv",
        "primary_keys": ["time_hour", "carrier", "flight"],
        "schema_overrides": columns,
    }
    config = target.folder / "tap.json"
    encoding = {"format": "jsonl", "compression": "gzip"}
    storage = {"root": root.as_uri(), "prefix": ""}
    batches = {"encoding": encoding, "storage": storage, "batch_size": 7}

    def tap() -> bytes:
        command: list[str | Path] = [TAP, "--config", config]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout

    config.write_text(json.dumps({"files": [flights]}))
    plain = target.run(tap())
    expected, states = delivered(api, "flights"), plain.states
    api.reset()
    config.write_text(json.dumps({"files": [flights], "batch_config": batches}))
    output = tap()
    assert b'"RECORD"' not in output
    outcome = target.run(output)
    assert (outcome.status, outcome.states[-1:]) == (0, states[-1:])
    assert len(expected) == 40
    assert delivered(api, "flights") == expected
