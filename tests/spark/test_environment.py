"""Shows whether the Spark tests can run in this environment."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.spark import UNAVAILABLE


def test_spark_and_java_are_here() -> None:
    if UNAVAILABLE:
        pytest.skip(UNAVAILABLE)


def test_without_pyspark_the_error_says_what_to_install() -> None:
    script = "import sys; sys.modules['pyspark'] = None; import target_stitch_import.spark"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: The Spark data source needs pyspark 4 and pyarrow: "
        "install the extra `spark` of target-stitch-import."
    )
