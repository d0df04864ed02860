"""Fixtures for the tests of a run: the folder of batch files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.target import Target


@pytest.fixture
def root(target: Target) -> Path:
    """The folder that the target may read batch files from."""
    folder = target.folder / "files"
    folder.mkdir()
    target.config["batch_root"] = str(folder)
    return folder
