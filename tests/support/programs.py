"""Programs that some tests need and that a machine may lack."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def absent(why: str) -> NoReturn:
    """Skip the test because something is missing; in CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def missing(what: str) -> NoReturn:
    """Skip the test because a program is missing; in CI, fail it."""
    absent(f"there is no {what} on PATH: install it, such as by `apt-get install`")


def require(program: str) -> None:
    """Skip the test if a program is not on PATH; in CI, fail it."""
    if shutil.which(program) is None:
        missing(program)
