"""A pytest plugin: the fixture `import_api`, a running local Import API, fresh for each test.

Nothing is imported or started before a test asks for it; one server serves the whole run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.local import ImportApi


@pytest.fixture(scope="session")
def import_api_options() -> dict[str, Any]:
    """Options of `ImportApi`: override this fixture in a conftest.py, for example for accounts."""
    return {}


@pytest.fixture(scope="session")
def _import_api_server(import_api_options: dict[str, Any]) -> Iterator[ImportApi]:
    from target_stitch_import.local import ImportApi  # noqa: PLC0415 - only where it is used

    with ImportApi(**import_api_options) as api:
        yield api


@pytest.fixture
def import_api(_import_api_server: ImportApi) -> ImportApi:
    """A running `target_stitch_import.local.ImportApi` without tables, requests or faults."""
    _import_api_server.reset()
    return _import_api_server
