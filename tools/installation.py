"""Updates the install commands in all pages: `python -m tools.installation`.

Before the first release, the package is on no index: users install a clone or a wheel. On release,
set RELEASED, run this, and remove the README's paragraph on clones.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "target-stitch-import"
RELEASED = False
REQUIREMENT = NAME if RELEASED else f"./{NAME}"
"""The requirement for `pip`, `pipx`, `uv` and Meltano: a name, or the folder of a clone."""
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("guide", "cookbook", "local-import-api")),
    *(ROOT / "docs" / f"{name}.md" for name in ("settings", "scaling", "troubleshooting")),
]
INSTALLED = re.compile(rf"(\binstall (?:-\S+ )*['\"]?)(?:\./)?{NAME}\b")


def current(text: str) -> str:
    """Return a page's text with current install commands."""
    return INSTALLED.sub(rf"\g<1>{REQUIREMENT}", text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(current(page.read_text()))
