"""Writes the tables and definitions that repeat the settings: `python -m tools.settings_table`.

`config.table.Table` is the source; the README's short table, `docs/settings.md`, the plugin
definition for Meltano and the loader in `meltano.yml` follow it. The tests check that they do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from target_stitch_import.config.table import SECRETS, json_schema
from target_stitch_import.names import ENVIRONMENT_PREFIX
from target_stitch_import.toolbox.meltano import as_yaml, capabilities, definition, kind
from target_stitch_import.toolbox.meltano import settings as meltano_settings
from tools.installation import REQUIREMENT

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
NAME = "target-stitch-import"

MAIN = (
    "token",
    "region",
    "api_url",
    "batch_delay_seconds",
    "max_retry_seconds",
    "on_invalid_record",
    "dead_letter_path",
    "naive_datetimes",
    "load_method",
    "stream_maps",
    "summary_path",
)
"""The settings in the README: the most common ones."""

WRITTEN = ": written by `python -m tools.settings_table`, checked by the tests"
LIMITS = {
    "minimum": "less than {}",
    "exclusiveMinimum": "{} or less",
    "maximum": "more than {}",
}


def settings() -> dict[str, dict[str, Any]]:
    """Return each setting's JSON Schema, by name."""
    properties: dict[str, dict[str, Any]] = json_schema()["properties"]
    return properties


def short_table() -> str:
    """Return the README's table, as Markdown."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    known = settings()
    rows += [
        f"| `{each}` | {default(known[each])} | {known[each]['description']} |" for each in MAIN
    ]
    return "\n".join(rows) + "\n"


def reference() -> str:
    """Return a section for each setting, as Markdown."""
    return "\n".join(_section(name, setting) for name, setting in settings().items())


def _section(name: str, setting: dict[str, Any]) -> str:
    facts = [
        f"- Kind: {kind(setting)}{', secret' if name in SECRETS else ''}",
        f"- Default: {default(setting) or 'none'}",
        f"- Environment: `{ENVIRONMENT_PREFIX}{name.upper()}`",
    ]
    limits = [text.format(f"{setting[key]:,}") for key, text in LIMITS.items() if key in setting]
    if "enum" in setting:
        facts.append("- Values: " + ", ".join(f"`{each}`" for each in setting["enum"]))
    if limits:
        facts.append(f"- Refused: {', '.join(limits)}")
    return f"### `{name}`\n\n{setting['description']}\n\n" + "\n".join(facts) + "\n"


def default(setting: dict[str, Any]) -> str:
    """Return a setting's default as a user writes it; empty if there is none."""
    if "default" not in setting:
        return ""
    value = setting["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def plugin_definition() -> str:
    """Return the plugin's definition as Meltano Hub keeps it, as YAML."""
    return f"# For Meltano Hub and `meltano add --from-ref`{WRITTEN}.\n" + definition(REQUIREMENT)


def loader() -> str:
    """Return the part of the loader in `meltano.yml` that follows from the settings, as YAML."""
    text = as_yaml({"capabilities": capabilities(), "settings": meltano_settings({})})
    return "".join(f"    {line}\n" for line in text.splitlines())


@dataclass(frozen=True)
class Copy:
    """A file, or the part of one between two lines, that repeats the settings."""

    path: Path
    content: Callable[[], str]
    begin: str = ""
    end: str = ""

    def current(self) -> str:
        """Return the whole file with current content."""
        if not self.begin:
            return self.content()
        before, rest = self.path.read_text().split(self.begin)
        _, after = rest.split(self.end)
        return f"{before}{self.begin}{self.content()}{self.end}{after}"


PLUGIN = ROOT / "plugins" / "loaders" / f"{NAME}.yml"
COPIES = (
    Copy(ROOT / "README.md", short_table, f"<!-- settings{WRITTEN} -->\n", "<!-- /settings -->"),
    Copy(
        ROOT / "docs" / "settings.md",
        reference,
        f"<!-- settings{WRITTEN} -->\n",
        "<!-- /settings -->",
    ),
    Copy(PLUGIN, plugin_definition),
    Copy(ROOT / "meltano.yml", loader, f"    # settings{WRITTEN}\n", "    # /settings\n"),
)


if __name__ == "__main__":
    for copy in COPIES:
        copy.path.parent.mkdir(exist_ok=True, parents=True)
        copy.path.write_text(copy.current())
