"""Executors in separate processes: what they need, and the errors if they lack it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark
import pytest

from tests.support.target import TOKEN

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

JOB = """
import sys
from pyspark.sql import SparkSession
from target_stitch_import.spark import StitchImport

spark = SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()
spark.dataSource.register(StitchImport)
rows = spark.range(0, 1_000, numPartitions=2)
try:
    rows.write.format("stitch-import").options(
        table="t", key_names=sys.argv[2], api_url=sys.argv[1]
    ).mode("append").save()
except Exception as error:
    print("FAILED", str(error))
"""


def submit(
    api: ImportApi,
    folder: Path,
    *,
    master: str = "local-cluster[2,1,1024]",
    python: str | Path = sys.executable,
    conf: str = "spark.speculation=false",
    key_names: str = "id",
    token: str = TOKEN,
) -> str:
    """Run the job with `spark-submit`; return its output."""
    script = folder / "job.py"
    script.write_text(JOB)
    home = Path(pyspark.__file__).parent
    done = subprocess.run(
        [
            home / "bin" / "spark-submit",
            *("--master", master),
            *("--conf", "spark.driver.memory=1g"),
            *("--conf", "spark.executor.memory=512m"),
            *("--conf", conf),
            script,
            api.url,
            key_names,
        ],
        env={
            **os.environ,
            "SPARK_HOME": str(home),
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "TARGET_STITCH_IMPORT_TOKEN": token,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


def test_executors_in_separate_processes_deliver_all_rows(api: ImportApi, tmp_path: Path) -> None:
    assert "FAILED" not in submit(api, tmp_path)
    assert api.query("select count(*), sum(id) from import_api.t") == [(1_000, 499_500)]


def test_a_driver_without_a_token_is_refused(api: ImportApi, tmp_path: Path) -> None:
    output = submit(api, tmp_path, master="local[1]", token="")
    assert "token is missing: set TARGET_STITCH_IMPORT_TOKEN in the driver's environment" in output
    assert "Traceback" not in output
    assert api.requests() == []


@pytest.mark.parametrize(("key_names", "is_refused"), [("", True), ("id", False)])
def test_speculation_is_refused_where_it_could_load_rows_twice(
    api: ImportApi,
    tmp_path: Path,
    key_names: str,
    is_refused: bool,  # noqa: FBT001
) -> None:
    output = submit(
        api, tmp_path, master="local[2]", conf="spark.speculation=true", key_names=key_names
    )
    assert ("`spark.speculation` is on: a task that runs twice" in output) == is_refused
    assert "Traceback" not in output
    assert bool(api.requests()) != is_refused


def test_an_executor_without_the_package_is_reported(api: ImportApi, tmp_path: Path) -> None:
    """It has pyarrow, which Spark itself needs; only the driver has the package."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    packages = Path(sysconfig.get_path("purelib"))
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(bare)}))
    for name in ("pyarrow", "pyarrow.libs"):
        if (packages / name).exists():
            (theirs / name).symlink_to(packages / name)
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"  # a path that is another Python on the executors' machines
        f'[ -n "$SPARK_EXECUTOR_DIRS" ] && exec {bare}/bin/python "$@"\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o700)
    output = submit(api, tmp_path, python=python)
    assert "has no target-stitch-import: install it with the extra `spark`" in output
    assert "Traceback" not in output
    assert api.requests() == []
