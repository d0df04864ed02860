"""The warehouse after accepted requests, through HTTP and SQL; and memory during a load."""

from __future__ import annotations

import gc
import itertools
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.local.api.batch import Load
from target_stitch_import.local.warehouse.profiles import profiles
from target_stitch_import.local.warehouse.warehouse import Warehouse
from tests.local.calls import (
    PUSHED,
    batch,
    call,
    columns,
    customers,
    send,
    tables,
    upsert,
)

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi


def utc(*parts: int) -> datetime:
    """Return a moment as the warehouse does: in UTC, but without a time zone."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - as TIMESTAMP columns are


# --- upserts


@pytest.mark.parametrize(
    ("sequence", "age"), [(1565880016, 15), (1565880017, 15), (1565880018, 16)]
)
def test_the_greater_sequence_wins(api: ImportApi, sequence: int, age: int) -> None:
    send(api, customers(), customers(), customers(sequence=sequence, data={"age": 16}))
    assert api.query("SELECT id, age FROM import_api.customers") == [(1, age)]


def test_order_of_arrival_does_not_matter(api: ImportApi) -> None:
    send(
        api,
        batch(
            "t",
            upsert({"id": 1}, 1574807356000),
            upsert({"id": 2, "has_magic": False}, 1574807445000),
            upsert({"id": 2, "has_magic": True}, 1574807395000),
            keys=("id",),
        ),
        batch(
            "u",
            upsert({"id": 10, "v": "a"}, 100),
            upsert({"id": 10, "v": "b"}, 101),
            upsert({"id": 10, "v": "c"}, 99),
            upsert({"id": 22, "v": "d"}, 90),
            keys=("id",),
        ),
    )
    assert api.query("SELECT id, has_magic FROM import_api.t ORDER BY id") == [
        (1, None),
        (2, False),
    ]
    assert api.query("SELECT id, v FROM import_api.u ORDER BY id") == [(10, "b"), (22, "d")]


def test_keyless_records_are_appended_in_order(api: ImportApi) -> None:
    send(api, batch("t", upsert({"n": 2}), upsert({"n": 1})), batch("t", upsert({"n": 2})))
    rows = api.query("SELECT n, __sdc_primary_key FROM import_api.t")
    assert [n for n, _ in rows] == [2, 1, 2]
    assert len({key for _, key in rows}) == 3


def test_keys_of_several_columns_or_types_keep_rows_apart(api: ImportApi) -> None:
    """A key value of a second type splits the key column, and rows stay apart."""
    send(
        api,
        batch("t", upsert({"a": 1, "b": "x", "v": 1}, 1), keys=("a", "b")),
        batch("t", upsert({"a": "1", "b": "x", "v": 2}, 1), keys=("a", "b")),
        batch("t", upsert({"a": "1", "b": "x", "v": 3}, 2), keys=("a", "b")),
        batch("t", upsert({"a": 1, "b": "y", "v": 4}, 1), keys=("a", "b")),
    )
    assert api.query("SELECT a, a__st, b, v FROM import_api.t ORDER BY v") == [
        (1, None, "x", 1),
        (None, "1", "x", 3),
        (1, None, "y", 4),
    ]


def test_changed_keys_make_the_table_append_only(api: ImportApi) -> None:
    send(
        api,
        batch("t", upsert({"id": 1, "n": 1}, 1), keys=("id",)),
        batch("t", upsert({"id": 1, "n": 1}, 2), keys=("id", "n")),
        batch("t", upsert({"id": 1, "n": 1}, 3), keys=("id",)),
    )
    assert api.query("SELECT count(*) FROM import_api.t") == [(3,)]


def test_reordering_the_keys_is_not_a_change(api: ImportApi) -> None:
    for sequence, keys in enumerate([("a", "b"), ("b", "a")]):
        send(api, batch("t", upsert({"a": 1, "b": 2, "n": sequence}, sequence), keys=keys))
    assert api.query("SELECT n FROM import_api.t") == [(1,)]


# --- system columns and types


def test_each_row_has_the_system_columns(api: ImportApi) -> None:
    send(
        api,
        batch(
            "t",
            upsert({"id": 1}, 7, time_extracted="2020-01-13T21:25:03.123456Z"),
            keys=("id",),
            table_version=5,
        ),
    )
    assert columns(api, "t", system=True) == {
        "id": "BIGINT",
        "_sdc_received_at": "TIMESTAMP",
        "_sdc_batched_at": "TIMESTAMP",
        "_sdc_sequence": "BIGINT",
        "_sdc_table_version": "BIGINT",
        "_sdc_extracted_at": "TIMESTAMP",
    }
    [(received, batched, *rest)] = api.query(
        "SELECT _sdc_received_at, _sdc_batched_at, _sdc_sequence, _sdc_table_version,"
        " _sdc_extracted_at FROM import_api.t"
    )
    assert received <= batched
    assert rest == [7, 5, utc(2020, 1, 13, 21, 25, 3, 123456)]


@pytest.mark.parametrize(
    ("schema", "value", "type_", "stored"),
    [
        ({"type": "integer"}, 9223372036854775807, "BIGINT", 9223372036854775807),
        ({"type": "number"}, 15, "DOUBLE", 15.0),
        ({"type": "number"}, Decimal("0.1"), "DOUBLE", 0.1),
        ({"type": "number"}, Decimal("1e-7"), "DOUBLE", 1e-7),
        ({"type": "number"}, Decimal("123456789.123456789"), "DECIMAL(38,9)",
         Decimal("123456789.123456789")),
        ({"type": "number"}, 12345678901234567890, "DECIMAL(38,0)",
         Decimal(12345678901234567890)),
        ({"type": "number", "multipleOf": Decimal("0.01")}, Decimal("0.29"), "DECIMAL(38,2)",
         Decimal("0.29")),
        ({"type": "boolean"}, False, "BOOLEAN", False),
        ({"type": "string"}, "2020-01-01T00:00:00Z", "VARCHAR", "2020-01-01T00:00:00Z"),
        ({"type": "string"}, "nul \0, quote \" ' and \N{SNOWMAN} \U0001f600", "VARCHAR",
         "nul \0, quote \" ' and \N{SNOWMAN} \U0001f600"),
        ({"type": "string", "format": "date-time"}, "2020-01-13T21:25:03+0230", "TIMESTAMP",
         utc(2020, 1, 13, 18, 55, 3)),
        ({"type": "string", "format": "date-time"}, "2020-01-13T21:25:03.5-08:00", "TIMESTAMP",
         utc(2020, 1, 14, 5, 25, 3, 500000)),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}, "soon",
         "VARCHAR", "soon"),
        ({"$ref": "#/definitions/at"}, "9999-12-31T23:59:59Z", "TIMESTAMP",
         utc(9999, 12, 31, 23, 59, 59)),
        ({}, True, "BOOLEAN", True),
    ],
)  # fmt: skip
def test_a_value_is_stored_exactly_in_a_column_of_its_type(
    api: ImportApi, schema: dict[str, Any], value: Any, type_: str, stored: Any
) -> None:
    """A column has the type of its schema, and exactly the value that was sent."""
    import msgspec  # noqa: PLC0415 - writes Decimal as a number

    definitions = {"at": {"type": "string", "format": "date-time"}}
    body = batch(
        "t", upsert({"v": value}), schema={"properties": {"v": schema}, "definitions": definitions}
    )
    data = msgspec.json.Encoder(decimal_format="number").encode(body)
    answer = call(api, data=data)
    assert answer.status_code == 201, answer.text
    assert columns(api, "t") == {"v": type_}
    assert api.query("SELECT v FROM import_api.t") == [(stored,)]


# --- columns over time


def test_a_column_is_created_by_its_first_value(api: ImportApi) -> None:
    null = {"properties": {"a": {"type": ["null", "string"]}, "b": {"type": ["null", "integer"]}}}
    send(api, batch("t", upsert({"a": None}), schema=null))
    assert tables(api) == []
    send(api, batch("t", upsert({"a": "x", "b": None}), schema=null))
    assert columns(api, "t") == {"a": "VARCHAR"}
    send(
        api, batch("t", upsert({"b": 1}), schema=null), batch("t", upsert({"b": None}), schema=null)
    )
    assert api.query("SELECT a, b FROM import_api.t") == [("x", None), (None, 1), (None, None)]


def test_push_splits_columns_by_the_type_of_each_value(api: ImportApi) -> None:
    records = [
        {**PUSHED[0], "sequence": at, "data": {"id": at, "cost": cost}}
        for at, cost in enumerate([3.14, 10, 5.61, "free", True], 1)
    ]
    assert call(api, "/v2/import/push", records).status_code == 201
    rows = api.query(
        "SELECT cost, cost__it, cost__st, cost__bo FROM import_api.customers ORDER BY id"
    )
    assert rows == [
        (3.14, None, None, None),
        (None, 10, None, None),
        (5.61, None, None, None),
        (None, None, "free", None),
        (None, None, None, True),
    ]


@pytest.mark.parametrize("values", list(itertools.permutations([1, 1.5, "one", True])))
def test_the_first_type_gets_the_columns_own_name(api: ImportApi, values: tuple[Any, ...]) -> None:
    """Independent of the order of types within this process."""
    records = [
        {**PUSHED[0], "data": {"id": at, "v": None if at == 0 else values[at - 1]}}
        for at in range(5)
    ]
    assert call(api, "/v2/import/push", records).status_code == 201
    names = {int: "v__it", float: "v__do", str: "v__st", bool: "v__bo"}
    expected = ["id", "v", *(names[type(value)] for value in values[1:])]
    assert list(columns(api, "customers")) == expected


def test_one_push_loads_several_tables(api: ImportApi) -> None:
    records = [{**PUSHED[0], "table_name": name} for name in ("a", "b", "a")]
    assert call(api, "/v2/import/push", records).status_code == 201
    assert tables(api) == ["a", "b"]


# --- versions


def version(number: int, *ids: int, activate: bool = False) -> dict[str, Any]:
    """Return a batch of one table version."""
    messages = [upsert({"id": each, "xs": [each]}, each) for each in ids]
    if activate:
        messages.append({"action": "activate_version", "sequence": 99})
    return batch("t", *messages, keys=("id",), table_version=number)


def visible(api: ImportApi) -> tuple[list[int], list[int]]:
    """Return the visible ids of the table and of its subtable."""
    return (
        [each for (each,) in api.query("SELECT id FROM import_api.t ORDER BY id")],
        [each for (each,) in api.query("SELECT value FROM import_api.t__xs ORDER BY value")],
    )


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        ([version(1, 1), version(1, activate=True), version(2, 2)], [1]),
        ([version(1, 1), version(2, 2), version(2, activate=True)], [2]),
        ([version(1, 1), version(2, 2, 3, activate=True)], [2, 3]),
        ([version(1, 1), version(2, 2), version(3, 3), version(2, activate=True)], [2]),
        ([version(1, 1), version(2, 2), version(3, 3), version(2, activate=True),
          version(3, activate=True)], [3]),
        ([version(2, 2), version(1, 1), version(1, activate=True)], [2]),
        ([version(1, 1), version(2, activate=True)], []),
        ([version(1, 1, activate=True), version(1, 2)], [1, 2]),
    ],
)  # fmt: skip
def test_only_rows_of_the_active_version_are_visible(
    api: ImportApi, bodies: list[dict[str, Any]], expected: list[int]
) -> None:
    send(api, *bodies)
    assert visible(api) == (expected, expected)


def test_staged_rows_follow_columns_that_appear_meanwhile(api: ImportApi) -> None:
    wide = batch("t", upsert({"id": 5, "w": 1.5}, 5), keys=("id",), table_version=1)
    send(api, version(1, 1), version(2, 2), wide, version(2, activate=True))
    assert api.query("SELECT id, w FROM import_api.t") == [(2, None)]


# --- keys that are hard to match


def test_two_forms_of_one_moment_are_the_same_key(api: ImportApi) -> None:
    """Two forms of one moment are the same key, also within a batch."""
    schema = {"properties": {"at": {"type": "string", "format": "date-time"}}}
    messages = [
        upsert({"at": "2024-01-01T00:00:00Z", "v": 1}, 1),
        upsert({"at": "2024-01-01T01:00:00+01:00", "v": 2}, 2),
    ]
    send(api, batch("t", *messages, schema=schema, keys=("at",)))
    assert api.query("SELECT v FROM import_api.t") == [(2,)]


# --- memory


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_collection_is_paused_during_a_load(*, collecting: bool) -> None:
    """It would scan thousands of objects in use; afterwards its state is as before."""
    warehouse = Warehouse(None, profiles()["postgresql"], flatten=True)
    records = [{"id": at, "n": 2**63} for at in range(5_000)]
    runs: list[str] = []

    def note(phase: str, _: object) -> None:
        runs.append(phase)

    gc.callbacks.append(note)
    (gc.enable if collecting else gc.disable)()
    try:
        loaded = warehouse.load(
            "s", [Load("t", ("id",), 0, records, [1] * 5_000, None, {})], utc(2024, 1, 1)
        )
        enabled = gc.isenabled()
    finally:
        gc.callbacks.remove(note)
        gc.enable()
        warehouse.close()
    assert (loaded.rejected, enabled) == (5_000, collecting)
    assert runs.count("start") <= 1
