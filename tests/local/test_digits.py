"""Numbers in the warehouse: no digit is lost; only what the destination excludes is rejected."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_stitch_import.local import ImportApi
from target_stitch_import.local.warehouse.digits import exact_extent, rough_extent
from target_stitch_import.local.warehouse.profiles import profiles
from tests.local.calls import call, columns, rejected


def test_number_columns_widen_without_losing_a_digit(api: ImportApi) -> None:
    """A DOUBLE column becomes a DECIMAL if a value needs it, later one of greater scale."""
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
def test_a_value_that_no_column_can_hold_is_rejected(
    api: ImportApi, type_: str, lexeme: str, reason: str
) -> None:
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
def test_numbers_of_any_scale_are_kept_as_text(api: ImportApi, together: bool) -> None:  # noqa: FBT001
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
    """Trailing zeros need no room, however many there are."""
    for lexeme, type_ in (
        ("1.0000", "DECIMAL(38,2)"),
        ("2", "DECIMAL(38,2)"),
        ("1e30", "DECIMAL(38,2)"),
        ("1." + "0" * 30, "DECIMAL(38,2)"),
    ):
        body = (
            '{"table_name":"t","schema":{"properties":{"v":{"type":"number","multipleOf":0.01}}},'
            f'"messages":[{{"action":"upsert","sequence":1,"data":{{"v":{lexeme}}}}}]}}'
        )
        assert call(api, data=body.encode()).status_code == 201
        assert columns(api, "t") == {"v": type_}


def test_a_number_column_that_becomes_text_writes_each_number_one_way(api: ImportApi) -> None:
    """So that a key matches again, in its subtable too, however it was written and stored."""
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


@given(st.lists(st.none() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False)))
def test_a_rough_extent_has_room_for_every_number(values: list[int | Decimal | None]) -> None:
    """Also where some are written with exponents, as Decimal writes 0.0000000."""
    rough, exact = rough_extent(values), exact_extent(values)
    assert rough | exact == rough
