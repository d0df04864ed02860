"""What the warehouse holds after requests were accepted, through HTTP and SQL alone."""

from __future__ import annotations

import itertools
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from target_stitch_import.local import ImportApi
from target_stitch_import.local.warehouse.profiles import profiles
from tests.local.calls import (
    PUSHED,
    batch,
    call,
    columns,
    customers,
    rejected,
    send,
    tables,
    upsert,
)


def utc(*parts: int) -> datetime:
    """Give a moment as the warehouse does: in UTC, without saying so."""
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


def test_composite_and_mixed_type_keys(api: ImportApi) -> None:
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


def test_the_order_of_keys_is_no_change(api: ImportApi) -> None:
    for sequence, keys in enumerate([("a", "b"), ("b", "a")]):
        send(api, batch("t", upsert({"a": 1, "b": 2, "n": sequence}, sequence), keys=keys))
    assert api.query("SELECT n FROM import_api.t") == [(1,)]


# --- system columns and types


def test_system_columns(api: ImportApi) -> None:
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
def test_types(api: ImportApi, schema: dict[str, Any], value: Any, type_: str, stored: Any) -> None:
    """A column has the type its schema asks for and holds the very value."""
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


def test_number_columns_widen_without_losing_a_digit(api: ImportApi) -> None:
    """A DOUBLE column becomes a DECIMAL where a value needs it, later one of greater scale."""
    lexemes = ["0.1", "2", "1234567890.0123456789", "0.000000000000001"]
    for at, lexeme in enumerate(lexemes):
        body = (
            '{"table_name":"t","schema":{"properties":{"v":{"type":"number"}}},"messages":'
            f'[{{"action":"upsert","sequence":{at},"data":{{"v":{lexeme}}}}}]}}'
        )
        assert call(api, data=body.encode()).status_code == 201
    assert columns(api, "t") == {"v": "DECIMAL(38,15)"}
    rows = api.query("SELECT v FROM import_api.t ORDER BY _sdc_sequence")
    assert [value for (value,) in rows] == [Decimal(lexeme) for lexeme in lexemes]


@pytest.mark.parametrize(
    ("type_", "lexeme", "reason"),
    [
        ("integer", "9223372036854775808", "integer out of range for PostgreSQL on"),
        ("integer", "1" * 400, "integer out of range for PostgreSQL on"),
        ("number", "1e131073", "decimal out of range for PostgreSQL on"),
        ("number", "1e-16384", "decimal out of range for PostgreSQL on"),
    ],
)
def test_values_no_column_can_hold(api: ImportApi, type_: str, lexeme: str, reason: str) -> None:
    """The batch is accepted; the record with the value is rejected, its neighbours load."""
    body = (
        f'{{"table_name":"t","schema":{{"properties":{{"v":{{"type":"{type_}"}}}}}},"messages":['
        '{"action":"upsert","sequence":1,"data":{"v":1}},'
        f'{{"action":"upsert","sequence":2,"data":{{"v":{lexeme}}}}},'
        '{"action":"upsert","sequence":3,"data":{"v":3}}]}'
    )
    assert call(api, data=body.encode()).status_code == 201
    assert api.query("SELECT v FROM import_api.t") == [(1,), (3,)]
    [(table, why)] = rejected(api)
    assert table == "t"
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("destination", "lexeme", "loads"),
    [
        ("postgresql", "1e400", True),
        ("postgresql", "1" * 30 + "." + "1" * 30, True),
        ("postgresql", "1" * 400, True),
        ("postgresql", "9" * 4000 + "." + "1" * 4000, True),
        ("postgresql", "1e131071", True),
        ("postgresql", "-1e-16383", True),
        ("redshift", "1e37", True),
        ("redshift", "1" * 38, True),
        ("redshift", "1" * 39, False),
        ("redshift", "1e300", True),  # a double holds it
        ("redshift", "1.5e400", False),
        ("snowflake", "1" * 19 + "." + "1" * 19, True),
        ("snowflake", "1" * 20 + "." + "1" * 19, False),
        ("bigquery", "1" * 29 + "." + "1" * 9, True),
        ("bigquery", "1" * 29 + "." + "1" * 10, False),
        ("bigquery", "1" * 30 + ".1", False),
    ],
    ids=lambda value: str(value)[:24],
)
def test_numbers_are_kept_exactly_within_the_destinations_range(
    destination: str,
    lexeme: str,
    loads: bool,  # noqa: FBT001
) -> None:
    """Whatever DuckDB's own types hold; only what the destination would refuse is rejected."""
    body = (
        '{"table_name":"t","schema":{"properties":{"v":{"type":"number"}}},"messages":['
        f'{{"action":"upsert","sequence":1,"data":{{"v":{lexeme}}}}}]}}'
    )
    with ImportApi(destination=destination) as api:
        assert call(api, data=body.encode()).status_code == 201
        if loads:
            [(value,)] = api.query("SELECT v FROM import_api.t")
            stored = Decimal(repr(value) if isinstance(value, float) else value)
            assert stored == Decimal(lexeme)
        else:
            assert api.tables() == []
            [(_, why)] = rejected(api)
            assert why.startswith(f"decimal out of range for {profiles()[destination].title} on")


WITHOUT_SCALE = [
    *("0.5", "1.5", "1234.56", "250000.25", "1E-20", "0.0000001"),
    "123456789012345678901234567890.5",
]


@pytest.mark.parametrize("together", [True, False])
def test_numeric_without_scale(api: ImportApi, together: bool) -> None:  # noqa: FBT001
    """`multipleOf: 1e-38` bounds the digits after the point; the values decide."""
    decimal = '{"type":["null","number"],"multipleOf":1e-38}'
    head = f'{{"table_name":"t","schema":{{"properties":{{"v":{decimal}}}}},"messages":['
    messages = [
        f'{{"action":"upsert","sequence":{at},"data":{{"v":{lexeme}}}}}'
        for at, lexeme in enumerate(WITHOUT_SCALE)
    ]
    for part in [messages] if together else [[each] for each in messages]:
        assert call(api, data=f"{head}{','.join(part)}]}}".encode()).status_code == 201
    rows = api.query("SELECT v FROM import_api.t ORDER BY _sdc_sequence")
    assert [Decimal(value) for (value,) in rows] == list(map(Decimal, WITHOUT_SCALE))
    assert rejected(api) == []
    assert columns(api, "t") == {"v": "VARCHAR"}


def test_a_declared_scale_is_kept_where_it_leaves_room(api: ImportApi) -> None:
    for lexeme, type_ in (("2", "DECIMAL(38,2)"), ("1e30", "DECIMAL(38,2)")):
        body = (
            '{"table_name":"t","schema":{"properties":{"v":{"type":"number","multipleOf":0.01}}},'
            f'"messages":[{{"action":"upsert","sequence":1,"data":{{"v":{lexeme}}}}}]}}'
        )
        assert call(api, data=body.encode()).status_code == 201
        assert columns(api, "t") == {"v": type_}


def test_a_number_column_that_becomes_text_writes_each_number_one_way(api: ImportApi) -> None:
    """So that a key is found again, in its subtable too, however it was written and stored."""
    big = "1" * 40 + ".5"
    for at, key in enumerate(["1.50", "2", "1e22", big, "1.5", "2.0", "1e22", big + "0"]):
        body = (
            '{"table_name":"t","schema":{"properties":{"id":{"type":"number"}}},'
            f'"messages":[{{"action":"upsert","sequence":{at},'
            f'"data":{{"id":{key},"xs":[{at}]}}}}],"key_names":["id"]}}'
        )
        assert call(api, data=body.encode()).status_code == 201
    expected = [("1.5", 4), ("2", 5), ("1" + "0" * 22, 6), (big, 7)]
    assert api.query("SELECT id, _sdc_sequence FROM import_api.t ORDER BY 2") == expected
    assert (
        api.query("SELECT _sdc_source_key_id, value FROM import_api.t__xs ORDER BY 2") == expected
    )


# --- columns over time


def test_columns_come_with_their_first_value(api: ImportApi) -> None:
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
    """Whatever order types happen to have inside this process."""
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


# --- nesting

ORDER = {
    "id": 1,
    "customer": {"name": "Finn", "address": {"city": "Ooo"}},
    "line_items": [
        {"sku": "a", "tax_lines": [{"price": 0.5}]},
        {"sku": "b", "tax_lines": [{"price": 0.25}]},
    ],
    "tags": ["new", 7, None],
}


def test_objects_flatten_and_arrays_become_subtables(api: ImportApi) -> None:
    send(api, batch("orders", upsert(ORDER), keys=("id",)))
    assert tables(api) == [
        "orders",
        "orders__line_items",
        "orders__line_items__tax_lines",
        "orders__tags",
    ]
    assert api.query(
        "SELECT id, customer__name, customer__address__city FROM import_api.orders"
    ) == [(1, "Finn", "Ooo")]
    assert api.query(
        "SELECT _sdc_source_key_id, _sdc_level_0_id, sku FROM import_api.orders__line_items"
    ) == [(1, 0, "a"), (1, 1, "b")]
    assert api.query(
        "SELECT _sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, price"
        " FROM import_api.orders__line_items__tax_lines"
    ) == [(1, 0, 0, 0.5), (1, 1, 0, 0.25)]
    assert api.query("SELECT _sdc_level_0_id, value, value__it FROM import_api.orders__tags") == [
        (0, "new", None),
        (1, None, 7),
        (2, None, None),
    ]


def test_an_update_replaces_all_subtable_rows_of_its_key(api: ImportApi) -> None:
    other = {**ORDER, "id": 2}
    send(
        api,
        batch("orders", upsert(ORDER, 1), upsert(other, 1), keys=("id",)),
        batch("orders", upsert({"id": 1, "line_items": [{"sku": "c"}]}, 2), keys=("id",)),
        batch("orders", upsert({"id": 1, "line_items": [{"sku": "late"}] * 9}, 1), keys=("id",)),
    )
    assert api.query(
        "SELECT _sdc_source_key_id, sku FROM import_api.orders__line_items ORDER BY ALL"
    ) == [(1, "c"), (2, "a"), (2, "b")]
    assert api.query(
        "SELECT DISTINCT _sdc_source_key_id FROM import_api.orders__line_items__tax_lines"
    ) == [(2,)]


def test_a_record_of_many_arrays(api: ImportApi) -> None:
    """Subtables of several forms, and of several depths, come in together and are replaced."""
    forms = ([1, 2], ["a"], [{"x": 1}, {"y": "z"}], [[1], [2, 3]])

    def arrays(number: int) -> dict[str, Any]:
        return {f"a{at}": forms[(at + number) % 4] for at in range(120)}

    for number in range(2):
        messages = [upsert({"id": each, **arrays(number)}, number + 1) for each in (1, 2)]
        send(api, batch("t", *messages, keys=("id",)))
    rows = {table["table"]: table["rows"] for table in api.tables()}
    inner = {name for name in rows if name.endswith("__value")}
    assert len(rows) == 1 + 120 + len(inner)
    assert len(inner) == 60, "a fourth of the arrays holds arrays, in each of the two loads"
    for at in (0, 1, 3, 119):
        form = forms[(at + 1) % 4]
        assert rows[f"t__a{at}"] == 2 * len(form), "only rows of the later records are left"
    assert api.query("SELECT value FROM import_api.t__a3 ORDER BY _sdc_source_key_id, value") == [
        (1,), (2,), (1,), (2,)
    ]  # fmt: skip
    assert api.query(
        "SELECT _sdc_source_key_id, _sdc_level_0_id, _sdc_level_1_id, value"
        " FROM import_api.t__a2__value WHERE _sdc_source_key_id = 2 ORDER BY ALL"
    ) == [(2, 0, 0, 1), (2, 1, 0, 2), (2, 1, 1, 3)]


def test_subtables_of_keyless_tables_join_by_the_generated_key(api: ImportApi) -> None:
    send(api, batch("t", upsert({"n": 1, "xs": [1, 2]}), upsert({"n": 2, "xs": [3]})))
    assert api.query(
        "SELECT n, value FROM import_api.t JOIN import_api.t__xs x"
        " ON x._sdc_source_key___sdc_primary_key = t.__sdc_primary_key ORDER BY value"
    ) == [(1, 1), (1, 2), (2, 3)]


# --- versions


def version(number: int, *ids: int, activate: bool = False) -> dict[str, Any]:
    """Give a batch of one table version."""
    messages = [upsert({"id": each, "xs": [each]}, each) for each in ids]
    if activate:
        messages.append({"action": "activate_version", "sequence": 99})
    return batch("t", *messages, keys=("id",), table_version=number)


def visible(api: ImportApi) -> tuple[list[int], list[int]]:
    """Give the visible ids of the table and of its subtable."""
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
def test_table_versions(api: ImportApi, bodies: list[dict[str, Any]], expected: list[int]) -> None:
    send(api, *bodies)
    assert visible(api) == (expected, expected)


def test_staged_rows_follow_columns_that_appear_meanwhile(api: ImportApi) -> None:
    wide = batch("t", upsert({"id": 5, "w": 1.5}, 5), keys=("id",), table_version=1)
    send(api, version(1, 1), version(2, 2), wide, version(2, activate=True))
    assert api.query("SELECT id, w FROM import_api.t") == [(2, None)]


# --- keys that are hard to match


def test_keys_that_are_points_in_time(api: ImportApi) -> None:
    """Two spellings of one moment are one key, also within a batch."""
    schema = {"properties": {"at": {"type": "string", "format": "date-time"}}}
    messages = [
        upsert({"at": "2024-01-01T00:00:00Z", "v": 1}, 1),
        upsert({"at": "2024-01-01T01:00:00+01:00", "v": 2}, 2),
    ]
    send(api, batch("t", *messages, schema=schema, keys=("at",)))
    assert api.query("SELECT v FROM import_api.t") == [(2,)]


def test_subtables_follow_a_key_that_widens_or_splits(api: ImportApi) -> None:
    """A key that is a number of more digits, then a text, still finds its subtable's rows."""
    for at, key in enumerate(["1.5", "0.12345678901234567890", "1.5", '"one"', '"one"', "1.5"]):
        body = (
            '{"table_name":"t","schema":{"properties":{"id":{"type":["number","string"]}}},'
            f'"messages":[{{"action":"upsert","sequence":{at},'
            f'"data":{{"id":{key},"xs":[{at}]}}}}],"key_names":["id"]}}'
        )
        assert call(api, data=body.encode()).status_code == 201
    assert api.query(
        "SELECT _sdc_source_key_id, _sdc_source_key_id__st, value FROM import_api.t__xs"
        " ORDER BY value"
    ) == [
        (Decimal("0.12345678901234567890"), None, 1),
        (None, "one", 4),
        (Decimal("1.5"), None, 5),
    ]
