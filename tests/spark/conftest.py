"""Fixtures of the Spark tests: one Spark session, and a local Import API for each test."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.local import ImportApi
from tests.support.spark import UNAVAILABLE
from tests.support.target import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame, SparkSession

collect_ignore_glob = ["test_spark_*.py"] if UNAVAILABLE else []


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Give the tests here more time: Spark starts Python processes for each step."""
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Spark's event log."""
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="session")
def spark(events: Path) -> Iterator[SparkSession]:
    """Spark with two threads, which attempts each task twice."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - not everywhere

    from target_stitch_import.spark import StitchImport  # noqa: PLC0415

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["TARGET_STITCH_IMPORT_TOKEN"] = TOKEN
    session = (
        SparkSession.builder.master("local[2,2]")
        .appName("tests")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "Europe/Zurich")
        .config("spark.eventLog.enabled", "true")
        .config("spark.eventLog.dir", events.as_uri())
        .config("spark.eventLog.compress", "false")
        .getOrCreate()
    )
    session.dataSource.register(StitchImport)
    yield session
    session.stop()


@pytest.fixture
def api() -> Iterator[ImportApi]:
    """A local Import API that keeps all requests."""
    with ImportApi(kept_bytes=None) as running:
        yield running


@pytest.fixture
def save(api: ImportApi) -> Callable[..., None]:
    """A function that writes a data frame to the local Import API."""

    def save(rows: DataFrame, mode: str = "append", **options: Any) -> None:
        given = {"table": "t", "api_url": api.url, "max_retry_seconds": 60} | options
        given = {name: value for name, value in given.items() if value is not None}
        rows.write.format("stitch-import").options(**given).mode(mode).save()

    return save
