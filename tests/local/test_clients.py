"""Requests of other clients that are not in the reference."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import requests

from target_stitch_import.local import ImportApi, Strictness
from tests.local.calls import ACCOUNTS, CUSTOMERS, PUSHED, batch, call, send, upsert

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH, PUSH, VALIDATE = (f"/v2/import/{name}" for name in ("batch", "push", "validate"))
STATUS = "/v2/import/status"


@pytest.fixture(scope="module")
def strict() -> Iterator[ImportApi]:
    """A local Import API that accepts only what is in the reference."""
    with ImportApi(accounts=ACCOUNTS, strictness=Strictness(strict_push=True)) as api:
        yield api


def pushed(**members: Any) -> dict[str, Any]:
    """Return one pushed record."""
    return {**PUSHED[0], **members}


def switch(version: int, **members: Any) -> dict[str, Any]:
    """Return a `switch_view`, as the first clients sent it."""
    return {
        "client_id": 7723,
        "table_name": "customers",
        "action": "switch_view",
        "sequence": 9,
        "table_version": version,
        **members,
    }


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (pushed(namespace="crm"), {"namespace": ["unknown key"]}),
        (pushed(client_id="7723"), {"client_id": ["should be an integer", "should be a number"]}),
        (switch(1), {"action": ["is not a valid action"], "key_names": ["can't be blank"],
                     "data": ["can't be blank"]}),
    ],
)  # fmt: skip
def test_old_clients_are_accepted_unless_strict(
    api: ImportApi, strict: ImportApi, record: dict[str, Any], reason: dict[str, Any]
) -> None:
    for path in (PUSH, VALIDATE):
        assert call(api, path, [record]).ok
        answer = call(strict, path, [record])
        assert (answer.status_code, answer.json()["errors"]) == (422, [{"reason": reason}])


@pytest.mark.parametrize(("client_id", "status"), [("7723", 201), ("9999", 403), ("7724", 403)])
def test_client_ids_as_text_are_checked_too(api: ImportApi, client_id: str, status: int) -> None:
    assert call(api, PUSH, [pushed(client_id=client_id)]).status_code == status


def test_client_ids_as_text_and_as_numbers_are_one_client(api: ImportApi) -> None:
    """And the page notes that the reference has a number."""
    assert call(api, PUSH, [pushed()]).status_code == 201
    assert "client_id is text" not in requests.get(api.url, timeout=10).text
    assert call(api, PUSH, [pushed(client_id="7723"), pushed()]).status_code == 201
    assert "client_id is text" in requests.get(api.url, timeout=10).text


def test_switch_view_activates_a_version(api: ImportApi) -> None:
    """It takes effect between the records before and after it."""
    records = [
        pushed(table_version=1),
        pushed(table_version=2, data={"id": 2}),
        switch(2),
        pushed(table_version=2, data={"id": 3}),
        pushed(table_version=3, data={"id": 4}),
    ]
    assert call(api, PUSH, records).status_code == 201
    assert api.query("SELECT id FROM import_api.customers ORDER BY id") == [(2,), (3,)]
    assert call(api, PUSH, [switch(3)]).status_code == 201
    assert api.query("SELECT id FROM import_api.customers") == [(4,)]


def test_switch_view_of_an_unknown_table_does_not_decide_its_keys(api: ImportApi) -> None:
    assert call(api, PUSH, [switch(1)]).status_code == 201
    for sequence in (1, 2):
        record = pushed(table_version=1, sequence=sequence)
        assert call(api, PUSH, [record]).status_code == 201
    assert api.query("SELECT id, _sdc_sequence FROM import_api.customers") == [(1, 2)]


def test_validate_switches_nothing(api: ImportApi) -> None:
    send(api, batch("customers", upsert({"id": 1}), keys=("id",), table_version=1))
    assert call(api, VALIDATE, [switch(2)]).status_code == 200
    assert api.query("SELECT id FROM import_api.customers") == [(1,)]


@pytest.mark.parametrize("path", [STATUS, "/v4/sources"])
def test_head_is_get_without_the_body(api: ImportApi, path: str) -> None:
    whole = call(api, path, method="GET", token="AC")  # noqa: S106 - made up
    head = call(api, path, method="HEAD", token="AC")  # noqa: S106 - made up
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]


@pytest.mark.parametrize(
    ("path", "allow"),
    [(STATUS, "GET, HEAD, OPTIONS"), (BATCH, "POST, OPTIONS"), (PUSH, "POST, OPTIONS")],
)
def test_options_says_what_is_allowed(api: ImportApi, path: str, allow: str) -> None:
    answer = call(api, path, method="OPTIONS")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, allow, b"")


def test_head_does_not_post(api: ImportApi) -> None:
    assert call(api, BATCH, method="HEAD").status_code == 405
    assert call(api, "/v2/import/other", method="OPTIONS").status_code == 404


@pytest.mark.parametrize("path", [BATCH, PUSH])
@pytest.mark.parametrize("has_header", [True, False])
def test_an_error_names_a_compressed_body(api: ImportApi, path: str, has_header: bool) -> None:  # noqa: FBT001
    """With and without its `Content-Encoding`."""
    body = gzip.compress(json.dumps(CUSTOMERS if path == BATCH else PUSHED).encode())
    answer = requests.post(
        api.url + path,
        data=body,
        headers={
            "Authorization": "Bearer T1",
            "Content-Type": "application/json",
            **({"Content-Encoding": "gzip"} if has_header else {}),
        },
        timeout=10,
    )
    assert answer.status_code == 400
    assert "Content-Encoding" in answer.json()["error"]


def test_content_encoding_identity_is_accepted(api: ImportApi) -> None:
    answer = requests.post(
        api.url + BATCH,
        json=CUSTOMERS,
        headers={"Authorization": "Bearer T1", "Content-Encoding": "identity"},
        timeout=10,
    )
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("record", "fits"),
    [
        (pushed(namespace="crm", client_id="7723"), True),
        (switch(1), True),
        (switch(1, data={}), False),
        (pushed(action="delete"), False),
    ],
)
def test_a_push_is_accepted_only_if_valid_by_the_openapi_document(
    api: ImportApi,
    record: dict[str, Any],
    fits: bool,  # noqa: FBT001
) -> None:
    """A push is accepted if and only if it is valid by the document."""
    served = requests.get(f"{api.url}/_local/openapi.json", timeout=10).json()
    rule = {"$ref": "#/components/schemas/Push", "components": served["components"]}
    assert jsonschema_rs.Draft202012Validator(rule).is_valid([record]) == fits
    assert call(api, PUSH, [record]).ok == fits
