"""Dead letters of Spark jobs: which are kept, and what a replay of their folder sends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyspark.sql import Row

from target_stitch_import.batching.payload import BodyPrefix
from target_stitch_import.batching.set_aside import SetAside
from target_stitch_import.errors import OutputError
from target_stitch_import.spark.dead_letters import (
    AttemptDeadLetters,
    commit,
    discard,
    incomplete_versions,
)
from tests.support.target import TOKEN, bodies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import SparkSession

    from target_stitch_import.local import ImportApi


def test_dead_letters_of_committed_attempts_are_kept_and_replayed(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    folder = tmp_path / "dead-letters"
    rows = spark.createDataFrame(
        [Row(id=at, v=float("nan") if at % 5 == 0 else 1.5) for at in range(20)]
    ).repartition(2)
    options = {"on_invalid_record": "dead_letter", "dead_letter_path": str(folder)}
    save(rows, key_names="id", sequence_column="id", **options)
    files = sorted(folder.iterdir())
    assert len(files) == 2
    assert all(each.name.startswith("part-") for each in files)
    lines = [json.loads(line) for each in files for line in each.read_text().splitlines()]
    assert {line["reason"] for line in lines} == {
        "field `/v`: it is NaN, which is not a JSON number"
    }
    assert sorted(line["sequence"] for line in lines) == [0, 5, 10, 15]
    assert api.query("select count(*) from import_api.t") == [(16,)]
    (folder / "_part-0-uncommitted.jsonl").write_text("not to be read")
    repair_and_replay(folder, api)
    assert api.query("select count(*) from import_api.t") == [(20,)]


def test_an_incomplete_version_is_activated_by_replay(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    folder, summary = tmp_path / "dead-letters", tmp_path / "summary.json"
    rows = spark.range(0, 9, numPartitions=3)
    save(rows.selectExpr("id", "0.5D as v"), key_names="id", table_version=1)
    save(
        rows.selectExpr(
            "id + 5 as id", "case when id = 4 then double('NaN') when id < 9 then 1.5D end as v"
        ),
        "overwrite",
        key_names="id",
        table_version=2,
        on_invalid_record="dead_letter",
        dead_letter_path=str(folder),
        summary_path=str(summary),
    )
    written = json.loads(summary.read_text())
    assert (written["read"], written["acknowledged"], written["set_aside"]) == (10, 8, 2)
    assert written["activations"] == {"read": 1, "acknowledged": 0, "set_aside": 1}
    assert written["streams"]["t"]["set_aside_reasons"] == {
        "field `/v`: it is NaN, which is not a JSON number": 1,
        "version 2 lacks a record that was set aside before it": 1,
    }
    assert api.query("select count(*) from import_api.t where v = 0.5") == [(9,)]
    repair_and_replay(folder, api)
    assert api.query("select min(id), count(*), count(v) from import_api.t") == [(5, 9, 8)]


def test_a_version_that_a_later_job_replaced_is_not_replayed(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    """The later job adds a note to the folder, after its version was activated."""
    folder = tmp_path / "dead-letters"
    options = {"on_invalid_record": "dead_letter", "dead_letter_path": str(folder)}
    rows = spark.range(0, 3, numPartitions=1)
    bad = "case when id = 1 then double('NaN') else 1.5D end as v"
    save(rows.selectExpr("id", bad), "overwrite", key_names="id", table_version=1, **options)
    good = rows.selectExpr("id", "2.5D as v")
    save(good, "overwrite", key_names="id", table_version=2, **options)
    lines = [json.loads(line) for each in folder.iterdir() for line in each.open()]
    assert sorted((line.get("action", "upsert"), line["version"]) for line in lines) == [
        ("activate_version", 1),
        ("activated", 2),
        ("upsert", 1),
    ]
    api.reset()
    repair_and_replay(folder, api)
    assert bodies(api) == []
    save(good, "overwrite", key_names="id", table_version=3, **options)
    assert len(list(folder.iterdir())) == 3, "a complete version needs no further note"


def test_a_version_that_an_earlier_job_left_incomplete_is_not_activated(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    options = {
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(tmp_path / "dead-letters"),
        "key_names": "id",
        "table_version": 7,
    }
    rows = spark.range(0, 3, numPartitions=1)
    save(rows.selectExpr("id", "double('NaN') as v"), **options)
    save(rows.selectExpr("id + 5 as id", "1.5D as v"), "overwrite", **options)
    actions = {message["action"] for body in bodies(api) for message in body["messages"]}
    assert actions == {"upsert"}


def test_repairs_are_counted_even_if_the_record_is_refused(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    api.set_faults([{"kind": "status", "status": 400, "body": {"error": "no"}, "times": "always"}])
    summary = tmp_path / "summary.json"
    save(
        spark.range(0, 1, numPartitions=1).selectExpr("id", "double('NaN') as v"),
        on_invalid_record="dead_letter",
        dead_letter_path=str(tmp_path / "dead-letters"),
        repairs="nan_to_null",
        summary_path=str(summary),
    )
    stream = json.loads(summary.read_text())["streams"]["t"]
    assert (stream["acknowledged"], stream["set_aside"]) == (0, 1)
    assert stream["repaired"] == {"/v": {"nan_to_null": 1}}


def test_threads_write_to_one_file(tmp_path: Path) -> None:
    """The threads of a sender set aside what the service refuses, at the same time."""
    prefix, threads = BodyPrefix.of("t", b"{}", ()), 8
    barrier = threading.Barrier(threads)
    dead_letters = AttemptDeadLetters(str(tmp_path), "00000-0", limit=threads)

    def write(number: int) -> None:
        barrier.wait()
        dead_letters.write([SetAside("t", None, number, number, 0, "no", b"{}", prefix)])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    name = dead_letters.share()
    dead_letters.close()
    lines = (tmp_path / str(name)).read_text().splitlines()
    assert sorted(json.loads(line)["line"] for line in lines) == list(range(threads))


def test_a_job_that_fails_after_its_commit_keeps_its_dead_letters(
    spark: SparkSession, save: Callable[..., None], tmp_path: Path
) -> None:
    folder = tmp_path / "dead-letters"
    rows = spark.range(0, 1, numPartitions=1).selectExpr("id", "double('NaN') as v")
    options = {"on_invalid_record": "dead_letter", "dead_letter_path": str(folder)}
    with pytest.raises(Exception, match=r"The summary .* cannot be written") as caught:
        save(rows, key_names="id", summary_path=str(tmp_path / "none" / "summary.json"), **options)
    assert "dead-letter folder" not in str(caught.value)
    assert [each.name[:5] for each in folder.iterdir()] == ["part-"]


def test_discarded_files_may_already_be_committed(tmp_path: Path) -> None:
    for name in ("_part-1.jsonl", "_part-2.jsonl"):
        (tmp_path / name).touch()
    commit(str(tmp_path), ["_part-1.jsonl"])
    discard(str(tmp_path), ["_part-1.jsonl", "_part-2.jsonl"])
    assert [each.name for each in tmp_path.iterdir()] == ["part-1.jsonl"]


class Remote(MemoryFileSystem):  # type: ignore[misc] # fsspec has no type hints
    """A file system that lists a folder once, and has errors of its own."""

    protocol = "remote"
    store: ClassVar[dict[str, Any]] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("remote:/")))

    def find(self, path: str, **options: Any) -> Any:
        if "forbidden" in path:
            raise Exception("SECRET")  # noqa: TRY002 - neither an OSError nor a ValueError
        if path not in self.dircache:
            self.dircache[path] = super().find(path, **options)
        return self.dircache[path]

    def invalidate_cache(self, _path: str | None = None) -> None:
        self.dircache.clear()


@pytest.fixture
def remote() -> Remote:
    fsspec.register_implementation("remote", Remote, clobber=True)
    return Remote()


def test_a_file_that_another_machine_adds_is_found(remote: Remote) -> None:
    remote.mkdirs("/shared", exist_ok=True)
    assert incomplete_versions("remote://shared") == set()
    line = {"stream": "t", "version": 7, "request": {"table_name": "t"}}
    remote.pipe_file("/shared/part-1.jsonl", json.dumps(line).encode())
    assert incomplete_versions("remote://shared") == {("t", 7)}


@pytest.mark.usefixtures("remote")
def test_any_error_of_a_file_system_names_the_folder() -> None:
    with pytest.raises(OutputError) as caught:
        incomplete_versions("remote://forbidden")
    assert str(caught.value) == (
        "The dead-letter folder remote://forbidden cannot be read: Exception. Check the path and "
        "the disk, then run again."
    )


def test_a_missing_temporary_folder_is_reported(tmp_path: Path) -> None:
    script = (
        "from target_stitch_import.spark.dead_letters import AttemptDeadLetters as A; "
        f"A('{tmp_path}', '00000-0', 1).write([])"
    )
    shell = f'ulimit -f 0; {sys.executable} -c "{script}"'
    done = subprocess.run(["bash", "-c", shell], check=False, capture_output=True, text=True)
    words = "OutputError: A temporary folder for dead letters cannot be created: No usable "
    assert words in done.stderr


def repair_and_replay(folder: Path, api: ImportApi) -> None:
    """Replace NaN by null in the dead letters of a job, and replay them."""
    for each in folder.glob("part-*"):
        each.write_text(re.sub(r'"record_text":"(.*?)}"}', _repaired, each.read_text()))
    config = folder.parent / "config.json"
    config.write_text(json.dumps({"token": TOKEN, "api_url": api.url}))
    subprocess.run(
        [sys.executable, "-m", "target_stitch_import.toolbox", "replay", "-c", config, folder],
        check=True,
    )


def _repaired(found: re.Match[str]) -> str:
    record = json.loads('"' + found[1] + '}"').replace("NaN", "null")
    return f'"record":{record}}}'
