"""The SDK's standard suite for targets, against the local Import API; and the class itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk import Target
from singer_sdk.exceptions import (
    ConfigValidationError,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)
from singer_sdk.testing import get_target_test_class

from target_stitch_import.errors import InputError
from target_stitch_import.local import ImportApi
from target_stitch_import.target import TargetStitchImport
from tests.support.singer import lines, record, schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The suite sends U+0000, which no destination takes.
CONFIG = {"token": "t", "api_url": "", "repairs": ["strip_nul"]}
NO_KEY = {"type": "RECORD", "stream": "people", "record": {}}


@pytest.fixture(scope="module")
def resource() -> Iterator[None]:
    """The resource that the standard suite requests: a running Import API."""
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


def test_the_class_is_a_target_of_the_sdk() -> None:
    assert issubclass(TargetStitchImport, Target)
    with pytest.raises(ConfigValidationError) as caught:
        TargetStitchImport(config={"token": "t", "region": "mars"})
    assert "region" in caught.value.errors[0]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([record(1)], RecordsWithoutSchemaException),
        (
            [schema(), {"type": "RECORD", "stream": "people", "record": {}}],
            MissingKeyPropertiesError,
        ),
        ([schema(), record(1, name=5)], InputError),
    ],
)
def test_errors_are_those_of_the_sdk_where_it_defines_them(
    tmp_path: Path, messages: list[Any], error: type[Exception]
) -> None:
    path = tmp_path / "input"
    path.write_bytes(lines(messages))
    with ImportApi() as api, path.open("rb") as source:
        target = TargetStitchImport(config={"token": "t", "api_url": api.url})
        with pytest.raises(error) as caught:
            target.listen(source)  # type: ignore[arg-type]  # ours reads bytes
    assert isinstance(caught.value, InputError)
