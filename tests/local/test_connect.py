"""Stitch Connect: sources and tokens over HTTP, and the access that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.local import ImportApi
from tests.local.calls import ACCOUNTS, CUSTOMERS, PUSHED, call

if TYPE_CHECKING:
    import requests

SOURCES = "/v4/sources"


def connect(
    api: ImportApi,
    method: str,
    path: str,
    body: Any = None,
    token: str | None = "AC",  # noqa: S107 - made up
) -> requests.Response:
    """Send one request to Connect."""
    return call(api, path, body, method=method, token=token)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ({"type": "import_api", "display_name": "####"}, "InvalidDisplayName",
         "invalid name after deriving it from display_name (#### -> )"),
        ({"type": "import_api", "display_name": "x" * 50}, "InvalidName", "The name field must be"),
        ({"type": "import_api", "display_name": "1st"}, "InvalidName", "The name field must be"),
        ({"type": "postgres", "display_name": "P"}, "InvalidType",
         "invalid source type (postgres)"),
        ({"type": "import_api"}, "InvalidBody", "POST body may only include"),
        ({"type": "", "display_name": "x"}, "InvalidBody", "POST body may only include"),
        ({"type": "import_api", "display_name": "x", "colour": 1}, "InvalidBody",
         "POST body may only include"),
        ({"type": "import_api", "display_name": "x", "properties": {"a": 1}}, "InvalidBody",
         "POST body may only include"),
        ([1], "InvalidBody", "POST body may only include"),
    ],
)  # fmt: skip
def test_invalid_sources_are_refused(api: ImportApi, body: Any, error: str, message: str) -> None:
    answer = connect(api, "POST", SOURCES, body)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["data"]["message"].startswith(message)


def test_a_source_from_creation_to_deletion(api: ImportApi) -> None:
    """A new source's token writes to a schema of its own, until paused, revoked, or deleted."""
    made = connect(
        api, "POST", SOURCES, {"type": "import_api", "display_name": "Stitch Import API"}
    ).json()
    assert (made["name"], made["stitch_client_id"]) == ("stitch_import_api", 7723)
    here = f"{SOURCES}/{made['id']}"
    first = connect(api, "POST", f"{here}/tokens").json()
    second = connect(api, "POST", f"{here}/tokens").json()
    assert first["access_token"].startswith("at_")
    assert second["id"] == first["id"] + 1
    third = connect(api, "POST", f"{here}/tokens")
    assert (third.status_code, third.json()["error"]) == (400, "TokenLimit")
    listed = connect(api, "GET", f"{here}/tokens").json()
    assert [each["token_id"] for each in listed] == [second["id"], first["id"]]
    assert first["access_token"] not in str(listed)

    def batch_status(token: dict[str, Any]) -> int:
        return call(api, body=CUSTOMERS, token=token["access_token"]).status_code

    assert batch_status(first) == 201
    assert api.query("SELECT count(*) FROM stitch_import_api.customers") == [(1,)]
    assert connect(api, "DELETE", f"{here}/tokens/{first['id']}").json()["id"] == made["id"]
    assert (batch_status(first), batch_status(second)) == (401, 201)
    assert connect(api, "DELETE", f"{here}/tokens/{first['id']}").json()["error"] == "InvalidId"

    put = {"paused_at": "2024-01-01T00:00:00Z"}
    assert call(api, here, put, method="PUT", token="AC").json()["paused_at"] == put["paused_at"]  # noqa: S106
    paused = call(api, body=CUSTOMERS, token=second["access_token"])
    assert paused.json()["errors"] == {"error": "Connection is not active."}
    call(api, here, {"paused_at": None}, method="PUT", token="AC")  # noqa: S106
    assert batch_status(second) == 201
    assert connect(api, "DELETE", here).json()["deleted_at"]
    assert batch_status(second) == 401
    assert connect(api, "GET", here).status_code == 400
    again = connect(
        api, "POST", SOURCES, {"type": "import_api", "display_name": "Stitch Import API"}
    )
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", SOURCES, None, 401),
        ("GET", SOURCES, "T1", 401),
        ("GET", f"{SOURCES}/126900", "AC", 400),
        ("GET", f"{SOURCES}/126900", "AX", 200),
        ("DELETE", SOURCES, "AC", 405),
        ("GET", "/v4/other", "AC", 404),
        ("GET", f"{SOURCES}/126890/tokens/x", "AC", 404),
        ("POST", "/v4/source-types/import_api", "AC", 405),
    ],
)
def test_a_client_reaches_only_its_own_sources(
    api: ImportApi, method: str, path: str, token: str | None, status: int
) -> None:
    """A client sees only its own sources."""
    assert connect(api, method, path, token=token).status_code == status


def test_without_accounts_any_token_writes_to_the_one_source() -> None:
    with ImportApi() as api:
        assert call(api, body=CUSTOMERS, token="anything").status_code == 201  # noqa: S106
        assert call(api, "/v2/import/push", PUSHED, token="x").status_code == 201  # noqa: S106
        assert call(api, body=CUSTOMERS, token=None).status_code == 401
        made = connect(api, "POST", f"{SOURCES}/1/tokens", token="ac").json()  # noqa: S106
        assert call(api, body=CUSTOMERS, token=made["access_token"]).status_code == 201
        connect(api, "DELETE", f"{SOURCES}/1/tokens/{made['id']}", token="ac")  # noqa: S106
        assert call(api, body=CUSTOMERS, token=made["access_token"]).status_code == 401


def test_the_region_comes_from_the_accounts() -> None:
    with ImportApi(accounts={**ACCOUNTS, "region": "eu"}) as api:
        assert call(api, body=CUSTOMERS).status_code == 201


def test_a_token_of_another_region_is_refused() -> None:
    with ImportApi(accounts=ACCOUNTS, region="eu") as api:
        assert call(api, body=CUSTOMERS).json() == {"message": "Invalid region."}


@pytest.mark.parametrize("header", ["T1", "bearer", "Bearer", "Bearer: T1", "Basic T1", "Bearer  "])
def test_a_malformed_authorization_header_is_refused(api: ImportApi, header: str) -> None:
    import requests  # noqa: PLC0415 - one header by hand

    answer = requests.post(
        f"{api.url}/v2/import/batch", json=CUSTOMERS, headers={"Authorization": header}, timeout=10
    )
    assert answer.json() == {"message": "Not Authorized"}


# --- beyond sources and tokens


def test_a_connection_check_has_the_documented_form(api: ImportApi) -> None:
    """In the documented form; without a tap, discovery has no status."""
    check = connect(api, "GET", f"{SOURCES}/126890/last-connection-check").json()
    assert check["name"].startswith("7723.126890.check.")
    assert (check["status"], check["error"], check["check_exit_status"]) == ("succeeded", False, 0)
    assert check.keys() == {
        *("target_exit_status", "tap_error_message", "check_exit_status", "name", "start_time"),
        *("mode", "tap_exit_status", "target_error_message", "discovery_exit_status", "status"),
        *("completion_time", "error", "discovery_error_message"),
    }
    assert connect(api, "GET", f"{SOURCES}/1/last-connection-check").status_code == 400


def test_a_sources_streams_are_its_tables(api: ImportApi) -> None:
    assert connect(api, "GET", f"{SOURCES}/126890/streams").json() == []
    call(api, body=CUSTOMERS)
    call(
        api, "/v2/import/push", [{**PUSHED[0], "table_name": "Orders", "data": {"id": 1, "x": [1]}}]
    )
    streams = connect(api, "GET", f"{SOURCES}/126890/streams").json()
    assert [(each["stream_id"], each["stream_name"]) for each in streams] == [
        (1, "customers"),
        (2, "Orders"),
    ]
    assert streams[0]["metadata"] == {"selected": True, "table-key-properties": ["id"]}


@pytest.mark.parametrize(
    ("destination", "type_"), [("postgresql", "postgres"), ("sqlserver", "mssql_server")]
)
def test_the_account_has_one_destination(destination: str, type_: str) -> None:
    with ImportApi(accounts=ACCOUNTS, destination=destination) as api:
        [found] = connect(api, "GET", "/v4/destinations").json()
        assert (found["type"], found["stitch_client_id"], found["id"]) == (type_, 7723, 1)
        assert found["report_card"]["current_step_type"] == "fully_configured"
        check = connect(api, "GET", "/v4/destinations/1/last-connection-check").json()
        assert check["status"] == "succeeded"
        assert connect(api, "GET", "/v4/destinations/2/last-connection-check").status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", "/v4/destinations", "changes to destinations"),
        ("DELETE", "/v4/destinations/1", "changes to destinations"),
        ("GET", "/v4/source-types", "source types"),
        ("GET", "/v4/source-types/platform.hubspot", "source types"),
        ("GET", "/v4/destination-types/postgres", "destination types"),
        ("GET", f"{SOURCES}/126890/streams/1", "schemas of streams"),
        ("PUT", f"{SOURCES}/126890/streams/metadata", "selection of streams"),
        ("POST", f"{SOURCES}/126890/sync", "replication jobs"),
        ("GET", "/v4/7723/extractions", "extractions"),
        ("GET", "/v4/7723/loads/last", "loads"),
        ("POST", "/v3/accounts", "accounts"),
        ("POST", "/v3/sessions/ephemeral", "sessions"),
        ("GET", "/notifications/public/v1/api/hooks", "notifications"),
    ],
)
def test_an_unimplemented_path_is_reported_by_name(
    api: ImportApi, method: str, path: str, what: str
) -> None:
    answer = connect(api, method, path)
    assert (answer.status_code, answer.json()["error"]) == (501, "NotImplemented")
    assert what in answer.json()["data"]["message"]
    assert connect(api, method, path, token="nope").status_code == 401  # noqa: S106 - made up
