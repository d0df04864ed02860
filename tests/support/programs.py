"""Skips tests whose programs a machine lacks; in CI they fail."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def skip_or_fail(why: str) -> NoReturn:
    """Skip the test with a reason; in CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def skip_without(what: str) -> NoReturn:
    """Skip the test because `what` is not installed; in CI, fail it."""
    skip_or_fail(f"there is no {what} on PATH: install it, such as by `apt-get install`")


def require(program: str) -> None:
    """Skip the test if a program is not on PATH; in CI, fail it."""
    if shutil.which(program) is None:
        skip_without(program)
