"""The Import API as an Apache Spark data source: `df.write.format("stitch-import")`, and streams.

Nothing distributed is implemented here: partitions, task retries and checkpoints are left to Spark.
Each task runs the same core as a run of the target.
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
