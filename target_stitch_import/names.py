"""What the two programs are called: to their users, in the log and in the environment."""

from __future__ import annotations

DISTRIBUTION = "target-stitch-import"
"""The target, and the package on PyPI that both programs are in."""

TOOL = "stitch-import"

LOGGER_NAME = DISTRIBUTION

ENVIRONMENT_PREFIX = "TARGET_STITCH_IMPORT_"
"""Of the variables that hold settings, and of `LOG_LEVEL_VARIABLE`."""

TOKEN_VARIABLE = f"{ENVIRONMENT_PREFIX}TOKEN"
LOG_LEVEL_VARIABLE = f"{ENVIRONMENT_PREFIX}LOGLEVEL"

CONNECT_TOKEN_VARIABLE = "STITCH_CONNECT_TOKEN"  # noqa: S105 - a variable's name
"""Holds the Stitch Connect API token, which is an account's and no integration's."""
