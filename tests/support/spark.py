"""Says whether Spark can run in this environment."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path


def _unavailable() -> str | None:
    if find_spec("pyspark") is None:
        return "pyspark is not in this environment: `make spark` runs these tests in one of its own"
    java_home = os.environ.get("JAVA_HOME")
    if not (java_home and Path(java_home, "bin", "java").exists()) and not shutil.which("java"):
        return "there is no Java: Spark 4 needs Java 17 or newer"
    return None


UNAVAILABLE = _unavailable()
"""Why Spark cannot run here, or None."""
