"""BATCH messages: records in files, with the same guarantees as other records."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from singer_sdk.batch import Batcher
from singer_sdk.helpers._batch import BatchConfig

from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.singer.messages import RecordFiles
from target_stitch_import.singer.origin import BatchFile
from tests.support.batch_files import JSONL, ROWS, around, batch, events, write_parquet, zipped
from tests.support.processes import end, peak_bytes, running, stream, until, write_messages
from tests.support.singer import lines, schema, state
from tests.support.target import Target, bodies, delivered

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

TAP = Path(__file__).parents[2] / ".tools" / "tap-spreadsheets" / "bin" / "tap-spreadsheets"
SAMPLE = Path(__file__).parents[2] / "demo" / "sample"


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
def test_json_lines_are_read_in_every_form(
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
def test_a_file_within_the_root_is_read_by_any_name(tmp_path: Path, entry: str) -> None:
    (tmp_path / "a b%.jsonl").write_bytes(JSONL)
    (tmp_path / "link.jsonl").symlink_to("a b%.jsonl")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "up").symlink_to("..")
    (run,) = events(tmp_path, entry.format(root=tmp_path))
    assert [json.loads(bytes(each.record)) for each in run.messages] == ROWS
    assert run.file == BatchFile(str(tmp_path / "a b%.jsonl"), 4)


def test_a_hard_link_is_a_file_of_its_folder(tmp_path: Path) -> None:
    """It cannot be distinguished from the file's other names."""
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


def test_records_of_files_are_processed_like_all_others(
    target: Target, api: ImportApi, root: Path
) -> None:
    """They are exact, have version and sequence, are mapped, and precede the activation."""
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


def test_a_batch_without_records_is_read(target: Target, api: ImportApi, root: Path) -> None:
    (root / "a").write_bytes(b"")
    (root / "d").write_bytes(b"\xef\xbb\xbf")
    (root / "b").write_bytes(zipped(b""))
    write_parquet(root / "c", id=pa.array([], pa.int64()))
    files = [batch(), batch("a", "d"), batch("b", compression="gzip"), batch("c", format="parquet")]
    outcome = target.run([schema(), *files, state(1)])
    assert (outcome.status, outcome.states, bodies(api)) == (0, ["1"], [])


def test_a_batch_on_a_last_line_without_a_line_break_is_read(
    target: Target, api: ImportApi, root: Path
) -> None:
    (root / "a").write_bytes(JSONL)
    outcome = target.run(lines([schema(), batch("a")]).rstrip())
    assert (outcome.status, delivered(api)) == (0, ROWS)


def test_a_byte_order_mark_before_a_single_record_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b'\xef\xbb\xbf{"id":2}')
    (run,) = events(tmp_path, "a")
    assert [bytes(each.record) for each in run.messages] == [b'{"id":2}']


@pytest.mark.parametrize(
    "text",
    [zipped(JSONL) + bytes(10_000_000), zipped(JSONL) + zipped(b"") * 200],
    ids=["zeros behind it", "members without text"],
)
def test_gzip_without_content_is_read_in_portions_too(tmp_path: Path, text: bytes) -> None:
    """Between two portions, a run handles signals."""
    (tmp_path / "a").write_bytes(text)
    files = BatchFiles(str(tmp_path)).portions(
        RecordFiles(4, "people", {"format": "jsonl"}, ("a",))
    )
    portions = [list(each) for each in files]
    assert sum(map(len, portions)) == 1
    assert len(portions) > 200


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
        write_messages(process, *around(batch("a", compression="gzip")))
        assert b"2\n" in iter(stream(process.stdout).readline, b"")
        peak = peak_bytes(process)
        assert end(process)[0] == 0
    assert sum(len(body["messages"]) for body in bodies(api)) == 40_002
    assert peak < 90_000_000
    api.set_faults([])


def test_a_signal_is_handled_while_a_file_is_read(target: Target, root: Path) -> None:
    """Although there is room for the whole file, it is not read to its end first."""
    (root / "a").write_bytes(zipped(lines([{"id": 5}] * 100_000)) * 40)
    summary = target.folder / "summary.json"
    with running(target, max_buffer_bytes=10**10, summary_path=str(summary)) as process:
        write_messages(process, *around(batch("a")))
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


def test_batches_of_a_real_tap_arrive(target: Target, api: ImportApi, root: Path) -> None:
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
