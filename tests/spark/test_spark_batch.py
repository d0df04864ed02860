"""Batch writes with Spark: what arrives, what is refused, and failures."""

from __future__ import annotations

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.target import TOKEN, bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame, SparkSession

    from target_stitch_import.local import ImportApi

TYPES = [
    ("cast(-128 as tinyint)", "-128", {"type": "integer", "minimum": -128, "maximum": 127}),
    ("cast(9223372036854775807 as bigint)", "9223372036854775807", None),
    ("cast('0.10' as decimal(38,2))", "0.10", {"type": "number", "multipleOf": 0.01}),
    ("cast('1e-20' as decimal(38,20))", "1E-20", None),
    ("cast('7' as decimal(5,0))", "7", {"type": "integer"}),
    ("cast(0.1 as double)", "0.1", {"type": "number"}),
    ("cast(0.1 as float)", "0.10000000149011612", {"type": "number"}),
    ("true", "true", {"type": "boolean"}),
    ("'a\"\\\\\\n\\u2028ü'", '"a\\"\\\\\\n\u2028ü"', {"type": "string"}),
    ("cast('x\\0' as binary)", '"eAA="', {"type": "string"}),
    ("timestamp'2024-07-01 02:03:04.5'", '"2024-07-01T00:03:04.500000Z"', None),
    ("timestamp_ntz'2024-07-01 02:03:04'", '"2024-07-01T02:03:04Z"', None),
    ("date'2024-07-01'", '"2024-07-01T00:00:00Z"', {"type": "string", "format": "date-time"}),
    ("array(1, null)", "[1,null]", None),
    ("named_struct('a', array(date'2024-07-01'))", '{"a":["2024-07-01T00:00:00Z"]}', None),
    ("map('k', timestamp_ntz'2024-07-01 02:03:04')", '{"k":"2024-07-01T02:03:04Z"}', None),
    ("parse_json('{\"a\":[1.10,null]}')", '{"a":[1.10,null]}', {}),
]


def test_every_type_arrives_exactly(
    spark: SparkSession, api: ImportApi, save: Callable[..., None]
) -> None:
    columns = [f"{value} as c{at}" for at, (value, _, _) in enumerate(TYPES)]
    save(spark.range(1).selectExpr("id", *columns, "null as nothing"), key_names="id")
    (request,) = api.requests()
    text = request["body"] if isinstance(request["body"], str) else json.dumps(request["body"])
    body = json.loads(text)
    for at, (value, written, schema) in enumerate(TYPES):
        assert f'"c{at}":{written}' in text, value
        if schema is not None:
            assert body["schema"]["properties"][f"c{at}"] == schema, value
    assert body["messages"][0]["data"]["nothing"] is None
    assert body["key_names"] == ["id"]


def test_nan_is_sent_as_null_with_the_repair(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    summary = tmp_path / "summary.json"
    value = "named_struct('a', array(double('NaN'), 1.10), 'NaN', 'NaN \\\\\"', 'b', -float('inf'))"
    save(
        spark.range(1).selectExpr(f"{value} as v"), repairs="nan_to_null", summary_path=str(summary)
    )
    (request,) = api.requests()
    assert '{"v":{"a":[null,1.1],"NaN":"NaN \\\\\\"","b":null}}' in request["body"]
    written = json.loads(summary.read_text())
    assert written["repaired"] == 2
    repaired = written["streams"]["t"]["repaired"]
    assert repaired == {"/v/a": {"nan_to_null": 1}, "/v/b": {"nan_to_null": 1}}


def test_a_null_key_is_refused_despite_a_repair(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    rows = spark.range(2).selectExpr("if(id = 0, id, null) as id", "double('NaN') as v")
    save(
        rows,
        key_names="id",
        repairs="nan_to_null",
        on_invalid_record="dead_letter",
        dead_letter_path=str(tmp_path),
    )
    assert api.query("select id from import_api.t") == [(0,)]
    (dead_letter,) = [json.loads(each.read_text()) for each in tmp_path.glob("part-*")]
    assert dead_letter["reason"] == "its key column `id` is null"


def test_a_million_rows_of_eight_partitions(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    summary = tmp_path / "summary.json"
    rows = spark.range(0, 1_000_000, numPartitions=8)
    save(rows, key_names="id", summary_path=str(summary))
    assert api.query("select count(*), count(distinct id), sum(id) from import_api.t") == [
        (1_000_000, 1_000_000, 499_999_500_000)
    ]
    written = json.loads(summary.read_text())
    counts = (written["read"], written["acknowledged"], written["set_aside"])
    assert counts == (1_000_000, 1_000_000, 0)
    assert written["streams"]["t"]["first_sequence"] < written["streams"]["t"]["last_sequence"]


@pytest.mark.parametrize(
    "faults",
    [
        [{"kind": "down"}] * 4,
        [{"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}] * 3,
        [{"kind": "status", "status": 500}] * 3 + [{"kind": "reset_after"}],
    ],
    ids=["down", "429", "500"],
)
def test_failures_of_the_service_lose_nothing(
    spark: SparkSession,
    api: ImportApi,
    save: Callable[..., None],
    tmp_path: Path,
    faults: list[dict[str, Any]],
) -> None:
    summary = tmp_path / "summary.json"
    api.set_faults(faults)
    rows = spark.range(0, 1_000, numPartitions=2)
    save(rows, key_names="id", batch_size_rows=100, summary_path=str(summary))
    assert api.query("select count(*), sum(id) from import_api.t") == [(1_000, 499_500)]
    assert json.loads(summary.read_text())["retries"] >= len(faults)


def test_the_greatest_sequence_wins(
    spark: SparkSession, api: ImportApi, save: Callable[..., None]
) -> None:
    """The newest row is in the partition that arrives first, and the oldest in the last."""
    rows = spark.createDataFrame([(1, at, 9 - at) for at in range(8)], "id int, place int, n long")
    save(rows.repartition(4), key_names="id", sequence_column="n")
    assert api.query("select place, _sdc_sequence from import_api.t") == [(0, 9)]
    save(
        rows.selectExpr("id", "place", "timestamp_micros(n) as n").repartition(4),
        table="moments",
        key_names="id",
        sequence_column="n",
    )
    assert api.query("select place, _sdc_sequence from import_api.moments") == [(0, 9_000)]


def test_overwrite_activates_its_version_once_and_last(
    spark: SparkSession, api: ImportApi, save: Callable[..., None]
) -> None:
    save(spark.range(0, 10), key_names="id", table_version=1)
    save(spark.range(5, 8, numPartitions=3), "overwrite", key_names="id", table_version=2)
    actions = [message["action"] for body in bodies(api) for message in body["messages"]]
    assert actions.count("activate_version") == 1
    assert actions[-1] == "activate_version"
    assert api.query("select id from import_api.t order by id") == [(5,), (6,), (7,)]


# Tasks that fail.


def writing_processes() -> list[int]:
    """Return the Python processes of tasks: the children of our Spark's daemon."""
    parents: dict[int, int] = {}
    daemons: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")")[-1].split()[1]
            )
        except (OSError, IndexError):
            continue  # it is gone
        if b"pyspark.daemon" in command:
            daemons.add(int(folder.name))

    def is_ours(pid: int) -> bool:
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    return [pid for pid in daemons if parents[pid] in daemons and is_ours(pid)]


@pytest.fixture
def small_batches(spark: SparkSession) -> Iterator[None]:
    """Spark passes only a hundred rows at once to Python."""
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
    yield
    spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")


@pytest.mark.usefixtures("small_batches")
def test_tasks_that_are_killed_are_repeated(
    spark: SparkSession, api: ImportApi, save: Callable[..., None]
) -> None:
    """Their processes are killed after some rows have arrived."""
    api.set_faults([{"kind": "latency", "seconds": 0.1, "times": "always"}])
    rows = spark.range(0, 4_000, numPartitions=2)

    def kill() -> list[int]:
        while not api.requests():
            pass
        killed = writing_processes()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        api.set_faults([])
        return killed

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        save(rows, key_names="id", batch_size_rows=100)
        killed = killing.result()
    assert killed
    assert api.query("select count(*), sum(id) from import_api.t") == [(4_000, 7_998_000)]
    assert sum(len(body["messages"]) for body in bodies(api)) > 4_000, "some were sent twice"


@pytest.mark.usefixtures("small_batches")
def test_a_job_that_fails_leaves_no_commit(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], tmp_path: Path
) -> None:
    summary = tmp_path / "summary.json"
    rows = spark.range(0, 2_000, numPartitions=2).selectExpr(
        "id", "if(id = 1990, raise_error('enough'), 1) as v"
    )
    save(spark.range(0, 10).selectExpr("id", "1 as v"), key_names="id", table_version=1)
    with pytest.raises(Exception, match="enough"):
        save(
            rows,
            "overwrite",
            key_names="id",
            table_version=2,
            batch_size_rows=100,
            summary_path=str(summary),
        )
    actions = {message["action"] for body in bodies(api) for message in body["messages"]}
    assert actions == {"upsert"}
    assert not summary.exists()


def frame(spark: SparkSession, value: str) -> DataFrame:
    return spark.range(0, 3, numPartitions=1).selectExpr("id", f"{value} as v")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("1", {"tabel": "t"}, "Option `tabel` is not known. Is `table` meant?"),
    ("1", {"batch_root": "/"}, "Option `batch_root` is a setting of the target that does not"),
    ("1", {"table": None}, "Option `table` is missing"),
    ("1", {"key_names": "no"}, "Option `key_names` names the column `no`, which the data does not"),
    ("1", {"sequence_column": "no"}, "Option `sequence_column` names the column `no`"),
    ("1", {"batch_size_rows": "many"}, "Option `batch_size_rows` cannot be used"),
    ("1", {"table_version": "x"}, "Option `table_version` must be a whole number"),
    ("1", {"table_version": "1" * 5_000}, "Option `table_version` must be a whole number"),
    (
        "1",
        {"repairs": "strip_nul"},
        "Option `repairs` cannot contain `strip_nul`. Allowed: nan_to_nu",
    ),
    ("1", {"region": "local"}, "Option `region` cannot be `local`"),
    ("1", {"load_method": "overwrite"}, "Setting `load_method` cannot be `overwrite`"),
    ("1", {"mode": "overwrite"}, 'mode("overwrite") needs the option `table_version`'),
    ("timestamp_ntz'2024-01-01'", {"naive_datetimes": "fail"}, "Column `v` is or contains a times"),
    (
        "array(struct(map('a', timestamp_ntz'2024-01-01') as m))",
        {"naive_datetimes": "fail"},
        "Column `v` is or contains a timestamp without a zone",
    ),
    (
        "interval 1 day",
        {},
        "Column `v` has or contains the type interval day, which has no JSON form",
    ),
    ("map(1, 2)", {}, "Column `v` has or contains the type map<int,int>, which has no JSON form"),
    (
        "array(map(1, 2))",
        {},
        "Column `v` has or contains the type map<int,int>, which has no JSON form",
    ),
    (
        "if(id = 1, null, 'secret')",
        {"key_names": "v"},
        "Row 2 of partition 0: invalid record in stream",
    ),
    ("if(id = 1, double('NaN'), 1)", {}, "Row 2 of partition 0: invalid record in stream `t`"),
    ("if(id = 2, float('inf'), 1)", {}, "field `/v`: it is Infinity, which is not a JSON"),
    ("if(id = 1, null, 1)", {"sequence_column": "v"}, "its sequence column `v` is null, below 0"),
    ("-5", {"sequence_column": "v"}, "its sequence column `v` is null, below 0 or past 2262"),
    (
        "timestamp'1600-01-01'",
        {"sequence_column": "v"},
        "its sequence column `v` is null, below 0 or past 2262",
    ),
    (
        "date'2024-01-01'",
        {"sequence_column": "v"},
        "Column `v` of type date32[day] has values that cannot be sequences: cast it to",
    ),
    ("'secret'", {"sequence_column": "v"}, "Column `v` of type string has values that cannot be"),
]


@pytest.mark.parametrize(("value", "options", "words"), REFUSED)
def test_bad_input_gets_one_message(  # noqa: PLR0917 - the two last are of the case
    spark: SparkSession,
    api: ImportApi,
    save: Callable[..., None],
    value: str,
    options: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(Exception, match=re.escape(words)) as caught:
        save(frame(spark, value), **options)
    message = str(caught.value)
    assert "Traceback" not in message
    assert "secret" not in message
    assert TOKEN not in message
    assert api.requests() == []


def test_the_token_shows_up_nowhere(
    spark: SparkSession, api: ImportApi, save: Callable[..., None], events: Path
) -> None:
    api.set_faults([{"kind": "status", "status": 401, "times": "always", "body": TOKEN}])
    with pytest.raises(Exception, match="token") as caught:
        save(spark.range(3), key_names="id", token=TOKEN)
    api.set_faults([])
    save(spark.range(3), key_names="id", token=TOKEN)
    assert TOKEN not in str(caught.value)
    logs = [path for path in events.rglob("*") if path.is_file()]
    assert logs
    assert not [path for path in logs if TOKEN.encode() in path.read_bytes()]
