"""Makes the target's plugin definition for Meltano: for `meltano add --from-ref`, or the Hub."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import distribution
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import yaml

from target_stitch_import.about import capabilities as sdk_capabilities
from target_stitch_import.config.table import SECRETS, json_schema
from target_stitch_import.names import DISTRIBUTION

_ACRONYMS = {"api": "API", "id": "ID", "url": "URL"}
_OPTION_LABELS = {
    ("region", "us"): "North America",
    ("region", "local"): "Local Import API",
    ("region", "eu"): "Europe",
    ("on_invalid_record", "fail"): "End the run",
    ("on_invalid_record", "dead_letter"): "Set aside",
    ("naive_datetimes", "utc"): "Append Z",
    ("naive_datetimes", "fail"): "Refuse the record",
    ("load_method", "overwrite"): "Overwrite (refused)",
}


def definition(pip_url: str, values: dict[str, str] | None = None) -> str:
    """Return the plugin definition as YAML; `values` replace the settings' defaults."""
    return as_yaml(
        {
            "name": DISTRIBUTION,
            "namespace": DISTRIBUTION.replace("-", "_"),
            "variant": "stitch-import",
            "label": "Stitch Import API",
            "description": "Delivers what any tap reads to Stitch through the Import API.",
            "pip_url": pip_url,
            "executable": DISTRIBUTION,
            "capabilities": capabilities(),
            "keywords": ["meltano_sdk", "api"],
            "maintenance_status": "active",
            "domain_url": "https://www.stitchdata.com/docs/developers/import-api/",
            # Either set must be complete: a token for the service, or a local Import API.
            "settings_group_validation": [["region", "token"], ["region", "local_database"]],
            "settings": settings(values or {}),
        }
    )


def settings(values: dict[str, str]) -> list[dict[str, Any]]:
    """Return the settings as a plugin definition lists them."""
    return [_entry(name, each, values) for name, each in json_schema()["properties"].items()]


def _entry(name: str, setting: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "label": _label(name), "kind": kind(setting)}
    if name in values or "default" in setting:
        entry["value"] = values.get(name, setting.get("default"))
    if name in SECRETS:
        entry["sensitive"] = True
    if "enum" in setting:
        entry["options"] = [
            {
                "label": _OPTION_LABELS.get((name, value), value.replace("-", " ").capitalize()),
                "value": value,
            }
            for value in setting["enum"]
        ]
    return entry | {"description": setting["description"]}


def kind(setting: dict[str, Any]) -> str:
    """Return the name that Meltano has for the JSON Schema type of a setting."""
    if "enum" in setting:
        return "options"
    types = [setting["type"]] if isinstance(setting["type"], str) else setting["type"]
    alternatives = [each for each in types if each != "null"]
    if len(alternatives) > 1:
        return "string"  # the target reads the digits as a number
    return "decimal" if alternatives == ["number"] else str(alternatives[0])


def _label(name: str) -> str:
    """Return a setting's label: its name in words, with acronyms in capitals."""
    words = name.split("_")
    first, *rest = [_ACRONYMS.get(word, word) for word in words]
    return " ".join([first[0].upper() + first[1:], *rest])


def capabilities() -> list[str]:
    """Return the target's capabilities, sorted."""
    return sorted(each.value for each in sdk_capabilities())


def as_yaml(value: Any) -> str:
    """Return `value` as YAML, with members in their order."""
    return yaml.safe_dump(value, sort_keys=False, width=96)


def own_requirement(extra: str = "") -> str:
    """Return the `pip_url` that installs this distribution again, with one extra."""
    here = distribution(DISTRIBUTION)
    return requirement(here.read_text("direct_url.json"), here.version, extra)


def requirement(direct_url: str | None, version: str, extra: str) -> str:
    """Return the requirement that installs the distribution from the same origin.

    `direct_url` is PEP 610's record of the origin; None if that is a package index.
    """
    extras = f"[{extra}]" if extra else ""
    if direct_url is None:
        return f"{DISTRIBUTION}{extras}=={version}"
    origin = json.loads(direct_url)
    url = origin["url"]
    if origin.get("dir_info", {}).get("editable"):
        return "-e " + shlex.quote(url2pathname(urlsplit(url).path)) + extras
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"{DISTRIBUTION}{extras}@{url}"
