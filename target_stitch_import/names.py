"""The names of the two programs, of their logger, and of their environment variables."""

from __future__ import annotations

DISTRIBUTION = "target-stitch-import"
"""The name of the target, and of the package on PyPI that has both programs."""

TOOL = "stitch-import"

LOGGER_NAME = DISTRIBUTION

ENVIRONMENT_PREFIX = "TARGET_STITCH_IMPORT_"
"""The prefix of the variables for settings, and of `LOG_LEVEL_VARIABLE`."""

TOKEN_VARIABLE = f"{ENVIRONMENT_PREFIX}TOKEN"
LOG_LEVEL_VARIABLE = f"{ENVIRONMENT_PREFIX}LOGLEVEL"

CONNECT_TOKEN_VARIABLE = "STITCH_CONNECT_TOKEN"  # noqa: S105 - a variable's name
"""Has the Stitch Connect API token, which belongs to an account, not to an integration."""
