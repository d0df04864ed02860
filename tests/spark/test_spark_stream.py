"""Streams with Spark: the checkpoint advances only after a micro-batch is acknowledged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from target_stitch_import.local import ImportApi


def add_file(folder: Path, number: int) -> None:
    """Add a file of ten rows to the folder that the stream reads."""
    rows = [json.dumps({"id": number * 10 + at}) for at in range(10)]
    (folder / f"{number}.json").write_text("\n".join(rows))


def run(spark: SparkSession, api: ImportApi, folder: Path, **options: Any) -> None:
    """Stream the files in the folder, one per micro-batch, until all are written."""
    stream = spark.readStream.schema("id long").option("maxFilesPerTrigger", 1).json(str(folder))
    given = {"table": "t", "key_names": "id", "api_url": api.url} | options
    query = (
        stream.writeStream.format("stitch-import")
        .options(**given)
        .option("checkpointLocation", str(folder.parent / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()


def test_a_stream_continues_from_its_checkpoint(
    spark: SparkSession, api: ImportApi, tmp_path: Path
) -> None:
    """After an outage in its second micro-batch, it continues with that one."""
    folder = tmp_path / "rows"
    folder.mkdir()
    add_file(folder, 0)
    run(spark, api, folder)
    add_file(folder, 1)
    api.set_faults([{"kind": "down", "times": "always"}])
    with pytest.raises(Exception, match="did not accept a batch of stream `t`") as caught:
        run(spark, api, folder, max_retry_seconds=0)
    assert "Traceback" not in str(caught.value)
    api.set_faults([])
    add_file(folder, 2)
    run(spark, api, folder)
    assert api.query("select count(*), sum(id) from import_api.t") == [(30, 435)]
    sent = [json.loads(each["body"]) if isinstance(each["body"], str) else each["body"]
            for each in api.requests()]  # fmt: skip
    assert sum(len(body["messages"]) for body in sent) == 30, "none twice"


def test_a_stream_cannot_overwrite(spark: SparkSession, api: ImportApi, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    add_file(folder, 0)
    with pytest.raises(Exception, match="A stream cannot overwrite"):
        run(spark, api, folder, table_version=2)
