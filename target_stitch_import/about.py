"""The output of `--about`: settings and capabilities, in the formats of the SDK's plugins."""

from __future__ import annotations

import textwrap
from importlib.metadata import metadata, version
from typing import TYPE_CHECKING

from target_stitch_import.config.table import json_schema
from target_stitch_import.names import DISTRIBUTION, ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from singer_sdk.about import AboutInfo
    from singer_sdk.helpers.capabilities import CapabilitiesEnum

_COLUMNS = 96


def about(form: str | None) -> str:
    """Return the output in a format: `json`, `markdown`, or None for text."""
    from singer_sdk.about import AboutFormatter, AboutInfo, python_versions  # noqa: PLC0415 - slow

    info = AboutInfo(
        name=DISTRIBUTION,
        description="Singer target for Stitch's Import API.",
        version=version(DISTRIBUTION),
        sdk_version=version("singer-sdk"),
        supported_python_versions=python_versions(metadata(DISTRIBUTION)),
        capabilities=capabilities(),
        settings=json_schema(),
        env_var_prefix=ENVIRONMENT_PREFIX,
    )
    if form is None:
        return _text(info)
    shown: str = AboutFormatter.get_formatter(form).format_about(info)
    return shown


def capabilities() -> list[CapabilitiesEnum]:
    """Return the target's capabilities, as the SDK and Meltano name them."""
    from singer_sdk.helpers.capabilities import (  # noqa: PLC0415 - slow
        PluginCapabilities,
        TargetCapabilities,
    )

    return [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
        TargetCapabilities.VALIDATE_RECORDS,
    ]


def _text(info: AboutInfo) -> str:
    """Return the SDK's text format, extended by each setting's description and default."""
    lines = [
        f"Name: {info.name}",
        f"Description: {info.description}",
        f"Version: {info.version}",
        f"SDK Version: {info.sdk_version}",
        "Supported Python Versions:",
        *(f"  - {each}" for each in info.supported_python_versions or ()),
        "Capabilities:",
        *(f"  - {each}" for each in info.capabilities),
        "Settings:",
    ]
    for name, setting in info.settings["properties"].items():
        kinds = setting.get("type", "any")
        values = setting.get("enum")
        lines += [
            f"  - Name: {name}",
            f"    Type: {kinds if isinstance(kinds, str) else ' or '.join(kinds)}",
            *([f"    Values: {', '.join(values)}"] if values else []),
            f"    Default: {_shown(setting.get('default'))}",
            f"    Environment Variable: {info.env_var_prefix}{name.upper()}",
            *textwrap.wrap(
                f"Description: {setting['description']}",
                _COLUMNS,
                initial_indent="    ",
                subsequent_indent="      ",
            ),
        ]
    return "\n".join(lines)


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default is None else str(default)
