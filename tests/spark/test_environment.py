"""Whether the tests of the Spark data source can run in this environment."""

from __future__ import annotations

import pytest

from tests.spark.conftest import LACKING


def test_spark_and_java_are_here() -> None:
    if LACKING:
        pytest.skip(LACKING)
