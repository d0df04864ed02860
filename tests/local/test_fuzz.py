"""A short run of the fuzzer, so that it keeps working."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema_rs
import pytest
import requests

from tests.local.calls import CUSTOMERS, PUSHED
from tests.local.fuzz import OPENAPI, fuzz

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi


@pytest.mark.timeout(120)
def test_random_requests_get_documented_responses() -> None:
    fuzz(60, shrink=False)


def test_accepted_bodies_are_valid_by_the_openapi_document(api: ImportApi) -> None:
    """Bodies that the API accepts are valid by the OpenAPI document that it serves."""
    served = requests.get(f"{api.url}/_local/openapi.json", timeout=10).json()
    assert served == OPENAPI
    for name, body in (("Batch", CUSTOMERS), ("Push", PUSHED)):
        rule = {"$ref": f"#/components/schemas/{name}", "components": served["components"]}
        assert jsonschema_rs.Draft202012Validator(rule).is_valid(body)
        assert not jsonschema_rs.Draft202012Validator(rule).is_valid({})
