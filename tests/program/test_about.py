"""`--about`: every setting, in every format of the SDK's plugins."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from target_stitch_import.cli import command
from target_stitch_import.config.table import json_schema, setting_names
from target_stitch_import.target import TargetStitchImport


def shown(*options: str) -> str:
    done = CliRunner().invoke(command, ["--about", *options])
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("options", [(), ("--format", "markdown"), ("--format", "json")])
def test_every_setting_is_shown_with_its_description(options: tuple[str, ...]) -> None:
    text = " ".join(shown(*options).split())
    for name, setting in json_schema()["properties"].items():
        assert name in text
        assert setting["description"].replace('"', '\\"' if "json" in options else '"') in text


def test_the_text_has_types_values_and_defaults() -> None:
    blocks = {
        block.split()[0]: [line.strip() for line in block.splitlines()[1:5]]
        for block in shown().split("  - Name: ")[1:]
    }
    assert list(blocks) == list(setting_names())
    assert blocks["region"] == [
        "Type: string",
        "Values: eu, local, us",
        "Default: us",
        "Environment Variable: TARGET_STITCH_IMPORT_REGION",
    ]
    assert blocks["client_id"][:2] == ["Type: integer or string or null", "Default: none"]
    assert blocks["validate_records"][:2] == ["Type: boolean", "Default: true"]


def test_about_prints_the_same_as_the_sdk(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that the SDK knows about the class is left out."""
    about = json.loads(shown("--format", "json"))
    info = TargetStitchImport._get_about_info()
    assert about["settings"]["properties"]["token"]["secret"] is True
    for name in ("name", "version", "sdk_version", "description", "settings"):
        assert about[name] == getattr(info, name)
    assert about["capabilities"] == [each.value for each in info.capabilities]
    for form in (None, "json", "markdown"):
        TargetStitchImport.print_about(form)
        assert capsys.readouterr().out == shown(*(("--format", form) if form else ()))
