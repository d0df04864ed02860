"""The SDK's standard suite for targets, against the local Import API; and what the class says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from singer_sdk import Target
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.testing import get_target_test_class

from target_stitch_import.config import setting_names
from target_stitch_import.local import ImportApi
from target_stitch_import.target import TargetStitchImport

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = {"token": "t", "api_url": ""}


@pytest.fixture(scope="module")
def resource() -> Iterator[None]:
    """What the standard suite asks for, and finds running: an Import API."""
    with ImportApi() as api:
        CONFIG["api_url"] = api.url
        yield


_Standard: Any = get_target_test_class(TargetStitchImport, config=CONFIG)


class TestStandardSuite(_Standard):  # type: ignore[misc]
    """Every test of the SDK's suite."""

    @pytest.fixture(scope="class")
    def resource(self, resource: None) -> None:
        """Use the one Import API."""
        return resource


def test_it_is_a_target_of_the_sdk() -> None:
    assert issubclass(TargetStitchImport, Target)
    with pytest.raises(ConfigValidationError) as caught:
        TargetStitchImport(config={"token": "t", "region": "mars"})
    assert "region" in caught.value.errors[0]


def test_about_shows_every_setting() -> None:
    for options in (["--about"], ["--about", "--format", "markdown"]):
        shown = CliRunner().invoke(TargetStitchImport.cli, options)
        assert shown.exit_code == 0
        assert not [name for name in setting_names() if name not in shown.output]
    shown = CliRunner().invoke(TargetStitchImport.cli, ["--about", "--format=json"])
    about = json.loads(shown.output)
    assert set(about["settings"]["properties"]) == set(setting_names())
    assert about["settings"]["properties"]["token"]["secret"] is True
    assert "batch" in about["capabilities"]
