"""The Import API as an Apache Spark data source: `df.write.format("stitch-import")`, and streams.

Nothing distributed is written here: partitions, repeated tasks and checkpoints are Spark's. Each
task runs the core that a run of the target has.
"""

from __future__ import annotations

try:
    from target_stitch_import.spark.source import StitchImport
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"pyspark", "pyarrow"}:
        raise
    raise ImportError(
        "The Spark data source needs pyspark 4 and pyarrow: "
        "install the extra `spark` of target-stitch-import."
    ) from None

__all__ = ["StitchImport"]
