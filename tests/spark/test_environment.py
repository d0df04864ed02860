"""Shows whether the Spark tests can run in this environment."""

from __future__ import annotations

import subprocess
import sys

from tests.support.programs import skip_or_fail
from tests.support.spark import UNAVAILABLE


def test_spark_and_java_are_here() -> None:
    if UNAVAILABLE:
        skip_or_fail(UNAVAILABLE)


def test_without_pyspark_the_error_says_what_to_install() -> None:
    script = "import sys; sys.modules['pyspark'] = None; import target_stitch_import.spark"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: The Spark data source needs pyspark 4 and pyarrow: "
        "install the extra `spark` of target-stitch-import."
    )
