"""The Makefile's targets."""

from __future__ import annotations

import re
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def targets() -> list[str]:
    """Return the targets that the Makefile declares as commands."""
    [declared] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    return str(declared).split()
