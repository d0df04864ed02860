"""Arrays become subtables, whose rows are replaced with those of their root."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from target_stitch_import.local import ImportApi
from tests.local.calls import batch, call, columns, rejected, send, tables, upsert

if TYPE_CHECKING:
    from pathlib import Path

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


def test_the_subtables_of_many_arrays_are_replaced_together(api: ImportApi) -> None:
    """Subtables of several types and depths are loaded and replaced together."""
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


def test_a_subtable_without_new_rows_follows_its_key(api: ImportApi) -> None:
    """Its rows are still read and replaced, by the key's new type."""
    for at, (key, arrays) in enumerate(
        [("1.5", '"xs":[1],"ys":[1]'), ("0.12345678901234567890", '"xs":[2]'), ("2.5", '"ys":[3]')]
    ):
        body = (
            '{"table_name":"t","schema":{"properties":{"id":{"type":"number"}}},'
            f'"messages":[{{"action":"upsert","sequence":{at},'
            f'"data":{{"id":{key},{arrays}}}}}],"key_names":["id"]}}'
        )
        assert call(api, data=body.encode()).status_code == 201
        keys = api.query("SELECT _sdc_source_key_id FROM import_api.t__ys ORDER BY value")
        assert keys == [(1.5,), (2.5,)][: 1 + at // 2]
        known = {each["table"]: each["columns"] for each in api.tables()}
        for table in ("t__xs", "t__ys"):
            type_ = columns(api, table, system=True)["_sdc_source_key_id"]
            assert type_ == known[table]["_sdc_source_key_id"] == known["t"]["id"]


def test_a_subtables_column_takes_another_type_beside_its_neighbours(api: ImportApi) -> None:
    """Only its values move to another column of the shelf that the root's subtables share."""
    big = "1" * 40 + ".5"
    for at, number in enumerate(["1.50", "0.12345678901234567890", big]):
        body = (
            '{"table_name":"t","schema":{"properties":{"id":{"type":"integer"}}},"key_names":["id"],'
            f'"messages":[{{"action":"upsert","sequence":{at},"data":{{"id":{at},'
            f'"ns":[{{"n":{number},"s":"1.50"}}],"ps":[{{"a":"1.50","b":"1.50"}}],"ms":[1.25]}}}}]}}'
        )
        assert call(api, data=body.encode()).status_code == 201
    assert columns(api, "t__ns") == {"n": "VARCHAR", "s": "VARCHAR"}
    assert columns(api, "t__ms") == {"value": "DOUBLE"}
    assert api.query("SELECT n, s FROM import_api.t__ns ORDER BY _sdc_source_key_id") == [
        ("1.5", "1.50"),
        ("0.1234567890123456789", "1.50"),
        (big, "1.50"),
    ]
    assert api.query("SELECT DISTINCT a, b FROM import_api.t__ps") == [("1.50", "1.50")]
    assert api.query("SELECT DISTINCT value FROM import_api.t__ms") == [(1.25,)]


def test_elements_may_have_a_time_of_extraction(api: ImportApi) -> None:
    """An element's own time is kept; others get the message's."""
    at = {"type": "string", "format": "date-time"}
    items = {"type": "object", "properties": {"_sdc_extracted_at": at}}
    schema = {"properties": {"id": {"type": "integer"}, "own": {"items": items}}}
    message = "2001-01-01T00:00:00Z"
    for sequence, element in enumerate([{"n": 1}, {"_sdc_extracted_at": "2002-02-02T00:00:00Z"}]):
        record = {"id": sequence, "own": [element], "xs": [1]}
        row = upsert(record, sequence, time_extracted=message)
        send(api, batch("t", row, schema=schema, keys=("id",)))
    years = "SELECT year(_sdc_extracted_at) FROM import_api.{} ORDER BY _sdc_source_key_id"
    assert api.query(years.format("t__own")) == [(2001,), (2002,)]
    assert api.query(years.format("t__xs")) == [(2001,), (2001,)]


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("first", "then", "kept"), [("t", "t__xs", [(1,)]), ("t__xs", "t", [(2,)])]
)
def test_the_later_of_a_table_and_a_subtable_of_one_name_is_rejected(
    api: ImportApi, first: str, then: str, kept: list[Any], version: int
) -> None:
    """The one that came first keeps its rows, and the other's records are rejected.

    This also holds if the first one has a higher version.
    """
    records: dict[str, dict[str, Any]] = {"t": {"id": 1, "xs": [1]}, "t__xs": {"id": 1, "value": 2}}
    send(api, batch(first, upsert(records[first]), keys=("id",), table_version=version))
    send(api, batch(then, upsert(records[then]), keys=("id",)))
    assert [row[1] for row in rejected(api)] == ["Table [t__xs] collides with [t__xs]"]
    assert api.query("SELECT value FROM import_api.t__xs") == kept


def test_subtables_continue_after_a_restart(tmp_path: Path) -> None:
    """The visible rows and the staged ones are read from the file again."""
    file = tmp_path / "w.duckdb"
    bodies = [
        batch("t", upsert({"id": 1, "xs": [1]}), keys=("id",), table_version=1),
        batch("t", upsert({"id": 2, "xs": [2.5]}), keys=("id",), table_version=2),
        batch("t", upsert({"id": 3, "xs": ["a"], "ys": [3]}), keys=("id",), table_version=2),
        batch("t", {"action": "activate_version", "sequence": 9}, keys=("id",), table_version=2),
    ]
    for body in bodies:
        with ImportApi(file) as api:
            send(api, body)
    with ImportApi(file) as api:
        assert api.query("SELECT value, value__do, value__st FROM import_api.t__xs") == [
            (None, 2.5, None),
            (None, None, "a"),
        ]
        assert api.query("SELECT value FROM import_api.t__ys") == [(3,)]
        assert {each["table"]: each["rows"] for each in api.tables()} == {
            "t": 2,
            "t__xs": 2,
            "t__ys": 1,
        }


def test_other_programs_read_subtables(tmp_path: Path) -> None:
    """Whatever they call the database."""
    file = tmp_path / "file.duckdb"
    with ImportApi(file) as api:
        send(api, batch("t", upsert({"id": 1, "xs": [1, 2]}), keys=("id",)))
    with duckdb.connect(str(file), read_only=True) as own:
        assert own.execute("SELECT value FROM import_api.t__xs").fetchall() == [(1,), (2,)]
    with duckdb.connect() as other:
        other.execute(f"ATTACH '{file}' AS elsewhere (READ_ONLY)")
        found = other.execute("SELECT value FROM elsewhere.import_api.t__xs").fetchall()
        assert found == [(1,), (2,)]
