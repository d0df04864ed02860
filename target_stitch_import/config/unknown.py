"""Hints for unknown settings: a similar name, or the replacement of another program's setting."""

from __future__ import annotations

import difflib

from target_stitch_import.config.table import setting_names
from target_stitch_import.errors import quoted

_OPTIONS = {name: f"the option --{name.replace('_', '-')}" for name in ("dry_run", "output_file")}
_STITCH_COLUMNS = "Stitch adds columns of its own, such as `_sdc_batched_at`"
_DELETES = "rows are deleted by ACTIVATE_VERSION alone (`process_activate_version_messages`)"
_SCHEMA = "the schema is that of the integration in Stitch"
INSTEAD = _OPTIONS | {
    # Options of target-stitch, and a setting of its first versions.
    "max_batch_records": "`batch_size_rows`",
    "max_batch_bytes": "`batch_size_bytes`",
    "stitch_url": "`api_url`",
    "verbose": "the option --verbose",
    "quiet": "the option --quiet",
    # Settings of the SDK's targets and of the PipelineWise ones.
    "add_record_metadata": _STITCH_COLUMNS,
    "add_metadata_columns": _STITCH_COLUMNS,
    "hard_delete": _DELETES,
    "soft_delete": _DELETES,
    "default_target_schema": _SCHEMA,
    "schema_mapping": _SCHEMA,
    "target_schema": _SCHEMA,
    "schema": _SCHEMA,
    "batch_config": "the tap's own setting; here `batch_root` says where its files are",
    "batch_size": "`batch_size_rows`",
    "batch_wait_limit_seconds": "`batch_delay_seconds`",
    "flush_all_streams": "`batch_delay_seconds`",
    "data_flattening_max_level": "`flattening_enabled` and `flattening_max_depth`",
    "max_parallelism": "`max_in_flight_requests`",
    "parallelism": "`max_in_flight_requests`",
    "primary_key_required": "streams without a key are appended",
    "timeout": "`request_timeout_seconds`",
    # Common names of the token and the URL in other programs.
    "access_token": "`token`",
    "api_key": "`token`",
    "api_token": "`token`",
    "base_url": "`api_url`",
    "url": "`api_url`",
}
"""What to use instead of other programs' settings, or why they are not needed."""


def explain(name: str) -> str:
    """Return a hint for a name that is not a setting, after a space; empty if there is none."""
    lower = name.lower()
    if instead := INSTEAD.get(lower):
        return f" Instead: {instead}."
    near = difflib.get_close_matches(lower, setting_names(), 1, 0.75)
    return f" Is {quoted(near[0])} meant?" if near else ""
