"""Writes the README's table of settings: `python -m tests.settings_table`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from target_stitch_import.config import json_schema

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- settings: written by `python -m tests.settings_table`, checked by the tests -->\n"
END = "<!-- /settings -->"


def table() -> str:
    """Return the table, as Markdown."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, setting in json_schema()["properties"].items():
        rows.append(f"| `{name}` | {default(setting)} | {setting['description']} |")
    return "\n".join(rows) + "\n"


def default(setting: dict[str, Any]) -> str:
    """Return a setting's default as a reader writes it; nothing where there is none."""
    if "default" not in setting:
        return ""
    value = setting["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def with_table(readme: str) -> str:
    """Return the README with the table as it should be."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
