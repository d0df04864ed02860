"""Names and records that a warehouse cannot load, and what is kept out of its tables."""

# ruff: noqa: S106 - tokens made up

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
import requests

from target_stitch_import.local import ImportApi
from target_stitch_import.local.warehouse.catalog import TYPES
from target_stitch_import.local.warehouse.insight import KIND_WORDS
from target_stitch_import.local.warehouse.profiles import Kind, profiles
from tests.local.calls import batch, call, columns, customers, rejected, send, tables, upsert

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("table", "data", "reason"),
    [
        ("t" * 64, {"id": 1}, f"Table name [{'t' * 64}] is too long for PostgreSQL"),
        ("_sdc_t", {"id": 1},
         "table names from client should not include reserved prefix on [_sdc_t]"),
        ("\0", {"id": 1}, "Table name [\0] has no character that PostgreSQL allows"),
        ("t", {"id": 1, "_rjm_x": 1},
         "column names from client should not include reserved prefix on [_rjm_x]"),
        ("t", {"id": 1, "cost__it": 1},
         "column names from client should not include reserved datatype suffix on [cost__it]"),
        ("t", {"id": 1, "CustomerId": 1, "customerid": 2}, "Field collision on [customerid]"),
        ("t", {"id": 1, "a b!": 1, "a b": 2}, "Field collision on [a b]"),
        ("t", {"id": 1, "a": {"b": 1}, "a__b": 2}, "Field collision on [a__b]"),
        ("t", {"id": 1, "a": {"b": [1.5]}, "a__b": [10**30 + 1]},
         "Table [t__a__b] collides with [t__a__b]"),
        ("t", {f"c{at}": at for at in range(1601)} | {"id": 1}, "ERROR: too many columns"),
        *[
            ("t", {"id": 1, name: 1},
             f"column names from client should not include reserved prefix on [{name}]")
            for name in (
                *("_sdc_batched_at", "_sdc_received_at", "_SDC_Sequence", "_sdc_table_version"),
                *("_sdc_source_key_id", "_sdc_level_0_id", "__sdc_primary_key", "_sdc_rejected"),
                "_sdc_primary_keys",
            )
        ],
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_loaded_is_rejected_with_a_reason(
    api: ImportApi, table: str, data: dict[str, Any], reason: str
) -> None:
    """The answer is 201, there is no row, and `_sdc_rejected` says why."""
    send(api, batch(table, upsert(data), keys=("id",)))
    assert tables(api) == []
    assert rejected(api) == [(table, reason)]


SENT_BY_TAPS = (
    *("_sdc_deleted_at", "_sdc_lsn", "_sdc_extra", "_sdc_source_file", "_sdc_source_lineno"),
    *("_sdc_record_hash", "_sdc_report_datetime", "_sdc_customer_id", "_sdc_dimensions_hash_key"),
    *("_sdc_replication_id", "_sdc_sync_started_at", "_sdc_extracted_at"),
)


@pytest.mark.parametrize(
    ("name", "leaving_out"),
    [
        ("名前", {"postgresql", "redshift", "snowflake", "sqlserver"}),
        ("12", {"postgresql", "redshift", "snowflake"}),
        ("_1", {"snowflake"}),
        ("名x", set()),
    ],
)
def test_names_without_a_letter_are_left_out(name: str, leaving_out: set[str]) -> None:
    """The target warns about the same names."""
    assert {key for key, each in profiles().items() if not each.name(name)} == leaving_out


@pytest.mark.parametrize("destination", sorted(profiles()))
def test_columns_that_taps_send_are_loaded(destination: str) -> None:
    """Stitch lists them as columns that arrive; a name keeps its leading underscore."""
    data = {"id": 1} | dict.fromkeys(SENT_BY_TAPS, "x")
    with ImportApi(destination=destination) as api:
        send(api, batch("t", upsert(data), keys=("id",)))
        assert rejected(api) == []
        names = {name.lower() for name in api.tables()[0]["columns"]}
        assert set(SENT_BY_TAPS) <= names


@pytest.mark.parametrize("first", ["record", "message"])
def test_a_tap_may_send_its_own_time_of_extraction(api: ImportApi, first: str) -> None:
    """It wins over the message's, whichever comes first."""
    at = {"type": "string", "format": "date-time"}
    schema = {"properties": {"id": {"type": "integer"}, "_sdc_extracted_at": at}}
    plain = upsert({"id": 1}, 1, time_extracted="2001-01-01T00:00:00.000000Z")
    own = upsert(
        {"id": 2, "_sdc_extracted_at": "2002-01-01T00:00:00Z"},
        1,
        time_extracted="2003-01-01T00:00:00.000000Z",
    )
    for message in (own, plain) if first == "record" else (plain, own):
        send(api, batch("t", message, schema=schema, keys=("id",)))
    assert rejected(api) == []
    years = api.query("SELECT id, year(_sdc_extracted_at) FROM import_api.t ORDER BY id")
    assert years == [(1, None if first == "record" else 2001), (2, 2002)]


def test_columns_with_long_names_are_rejected_alone(api: ImportApi) -> None:
    """Each is rejected with its own value; the record itself loads."""
    long = {f"{'c' * 60}{at}": at for at in range(300)}
    send(api, batch("t", upsert({"id": 1, **long}), upsert({"id": 2}), keys=("id",)))
    assert api.query("SELECT id FROM import_api.t ORDER BY id") == [(1,), (2,)]
    rows = api.query("SELECT reason, record FROM import_api._sdc_rejected")
    assert len(rows) == 300
    for reason, record in rows:
        [(name, _)] = json.loads(record).items()
        assert reason == f"Column name [{name}] is too long for PostgreSQL"


def test_records_between_rejected_ones_are_loaded(api: ImportApi) -> None:
    """The records between them load."""
    schema = {"properties": {"id": {"type": "integer"}, "n": {"type": "integer"}}}
    values = [10**20 if at % 2 else at for at in range(2000)]
    messages = [upsert({"id": at, "n": value}) for at, value in enumerate(values)]
    send(api, batch("t", *messages, schema=schema, keys=("id",)))
    assert api.query("SELECT count(*) FROM import_api.t WHERE n = id") == [(1000,)]
    assert api.query("SELECT count(*), count(DISTINCT record) FROM import_api._sdc_rejected") == [
        (1000, 1000)
    ]


def test_a_key_column_that_cannot_be_loaded_rejects_the_record(api: ImportApi) -> None:
    name = "k" * 60
    send(api, batch("t", upsert({"id": 1, name: 1}), keys=("id", name)))
    assert tables(api) == []
    assert rejected(api) == [("t", f"Column name [{name}] is too long for PostgreSQL")]


def test_a_column_name_too_long_loses_only_that_column(api: ImportApi) -> None:
    send(
        api,
        batch("t", upsert({"id": 1, "c" * 60: 1}), upsert({"id": 2, "c" * 60: 1}), keys=("id",)),
    )
    assert columns(api, "t") == {"id": "BIGINT"}
    assert rejected(api) == [("t", f"Column name [{'c' * 60}] is too long for PostgreSQL")]


@pytest.mark.parametrize("name", ['a"; DROP TABLE import_api.t; --', "select", "x'y", "a.b", "[x]"])
def test_names_from_data_cannot_inject_sql(api: ImportApi, name: str) -> None:
    send(api, batch("t", upsert({"id": 1, "old": 1})))
    send(api, batch(name, upsert({"id": 1, name: "v"}), keys=("id",)))
    send(api, batch("u", upsert({"id": 1, "nested": {name: [1]}}), keys=("id",)))
    assert api.query("SELECT old FROM import_api.t") == [(1,)]
    assert len(tables(api)) == 4
    assert rejected(api) == []


@pytest.mark.parametrize("records", [2, 20_000])
def test_a_table_that_accepts_no_record_is_a_server_error(api: ImportApi, records: int) -> None:
    """If someone changed a column's type: 500 after a few attempts, and nothing is stored."""
    send(api, batch("t", upsert({"v": "text"})))
    api.query("ALTER TABLE import_api.t ALTER v TYPE INTEGER USING 0")
    assert call(api, body=batch("t", *[upsert({"v": "text"})] * records)).status_code == 500
    assert api.query("SELECT v FROM import_api.t") == [(0,)]
    assert rejected(api) == []


def test_a_record_that_fails_by_itself_is_rejected_alone(api: ImportApi) -> None:
    send(api, batch("t", upsert({"v": "text"})))
    api.query("ALTER TABLE import_api.t ALTER v TYPE INTEGER USING 0")
    send(api, batch("t", *[upsert({"v": text}) for text in ("1", "two", "3", "4", "five")]))
    assert api.query("SELECT v FROM import_api.t") == [(0,), (1,), (3,), (4,)]
    assert [table for table, _ in rejected(api)] == ["t", "t"]
    assert [record for (record,) in api.query("SELECT record FROM import_api._sdc_rejected")] == [
        '{"v":"two"}',
        '{"v":"five"}',
    ]


def test_a_refused_request_changes_nothing(api: ImportApi) -> None:
    send(api, customers())
    bad = customers(sequence=1565880099, data={"age": 99})
    bad["messages"].append(upsert({"id": "x"}))
    assert call(api, body=bad).status_code == 400
    assert api.query("SELECT age FROM import_api.customers") == [(15,)]


def test_columns_may_have_any_short_name(api: ImportApi) -> None:
    """Also the names the loader uses for its own temporary columns."""
    names = ["r", "s", "x", "k", "t", "j", "c0", "c1", "e0", "l0", "incoming", "value", "row"]
    for sequence in (1, 2):
        data = {"id": 1, "xs": [dict.fromkeys(names, sequence)]}
        send(
            api,
            batch("t", upsert(data | dict.fromkeys(names, sequence), sequence), keys=("id",)),
            batch("s", upsert(dict.fromkeys(names, sequence), sequence), keys=("s", "c0")),
        )
    assert api.query("SELECT s, c0, r FROM import_api.t") == [(2, 2, 2)]
    assert api.query("SELECT s, l0, e0 FROM import_api.t__xs") == [(2, 2, 2)]
    assert api.query("SELECT count(*) FROM import_api.s") == [(2,)]


@pytest.mark.parametrize(
    "name", ["import_api", "memory", "temp", "import-api", "a'b", "_stitch_import"]
)
def test_the_database_may_be_named_as_a_schema_is(tmp_path: Path, name: str) -> None:
    """DuckDB names a database after its file, which could then clash with the schema's name."""
    path = tmp_path / f"{name}.duckdb"
    for sequence in (1, 2):
        with ImportApi(path) as api:
            send(api, batch("t", upsert({"id": 1, "v": sequence}, sequence), keys=("id",)))
            assert api.query("SELECT v FROM import_api.t") == [(sequence,)]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("Temp", "temp"),
        ("system", "system"),
        ("memory", "memory"),
        ("select", "select"),
        ("main", "main_"),
        ("Information Schema", "information_schema_"),
        ("pg_catalog", "pg_catalog_"),
        ("_stitch import", "_stitch_import_"),
    ],
)
def test_a_source_may_have_any_name(api: ImportApi, name: str, schema: str) -> None:
    """Also one that DuckDB or the loader uses; what cannot be its schema gets a `_`."""
    source = {"type": "import_api", "display_name": name}
    created = call(api, "/v4/sources", source, token="AC").json()
    made = call(api, f"/v4/sources/{created['id']}/tokens", token="AC").json()
    body = batch("t", upsert({"id": 1}), upsert({"id": 2, "a": 1, "A": 2}), keys=("id",))
    answer = call(api, body=body, token=made["access_token"])
    assert answer.status_code == 201
    assert [(each["schema"], each["rows"]) for each in api.tables()] == [(schema, 1)]
    assert "Field collision" in requests.get(api.url, timeout=10).text
    assert requests.post(f"{api.url}/_local/reset", timeout=10).status_code == 200
    assert api.tables() == []


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_column_has_all_its_names(kind: Kind) -> None:
    """An SQL type, words for the pages, and a suffix at every destination."""
    assert TYPES[kind]
    assert all(KIND_WORDS[kind])
    assert all(profile.suffix(kind).startswith("__") for profile in profiles().values())
