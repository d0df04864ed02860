"""Programs that a machine may lack, and that some tests cannot do without."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def absent(why: str) -> NoReturn:
    """Skip the test for want of something; in CI nothing may be missing, so it fails there."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def missing(what: str) -> NoReturn:
    """Skip the test for want of a program, or fail in CI."""
    absent(f"there is no {what} on PATH: install it, such as by `apt-get install`")


def require(program: str) -> None:
    """Skip the test, or fail in CI, where a program is not on PATH."""
    if shutil.which(program) is None:
        missing(program)
