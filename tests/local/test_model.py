"""The warehouse compared with a small model, and the naming rules of every destination."""

from __future__ import annotations

import math
import threading
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from target_stitch_import.local import ImportApi
from target_stitch_import.local.api.batch import Load
from target_stitch_import.local.warehouse import insight
from target_stitch_import.local.warehouse.digits import extent, survives_double
from target_stitch_import.local.warehouse.profiles import profiles
from target_stitch_import.local.warehouse.warehouse import Warehouse
from tests.local.calls import batch, send, upsert

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTGRESQL = profiles()["postgresql"]
NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)


class Model:
    """The documented rules for sequences and versions, without a database."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.rows: dict[tuple[int, Any], tuple[int, Any, tuple[int, ...]]] = {}

    def load(self, load: Load) -> None:
        """Load one batch."""
        if self.version is None:
            self.version = load.version
        if load.version < self.version:
            return
        for record, sequence in zip(load.records, load.sequences, strict=True):
            where = load.version, record["id"]
            if where not in self.rows or sequence > self.rows[where][0]:
                self.rows[where] = sequence, record.get("v"), tuple(record.get("xs", ()))
        if load.activate:
            self.version = load.version
            self.rows = {key: row for key, row in self.rows.items() if key[0] >= load.version}

    def visible(self) -> list[tuple[Any, ...]]:
        """Return key, sequence and value of the current version."""
        return sorted(
            (key[1], row[0], row[1]) for key, row in self.rows.items() if key[0] == self.version
        )

    def elements(self) -> list[tuple[Any, ...]]:
        """Return the rows of the subtable of the current version."""
        return sorted(
            (key[1], at, each)
            for key, row in self.rows.items()
            if key[0] == self.version
            for at, each in enumerate(row[2])
        )


RECORDS = st.fixed_dictionaries(
    {"id": st.integers(1, 4)},
    optional={
        "v": st.integers(0, 9),
        "xs": st.lists(st.integers(0, 9), min_size=1, max_size=3),
    },
)


@st.composite
def loads(draw: st.DrawFn) -> Load:
    """Return a batch of one of a few versions, with colliding keys and sequences."""
    records = draw(st.lists(RECORDS, max_size=6))
    sequences = [draw(st.integers(0, 6)) for _ in records]
    activate = draw(st.booleans()) if records else True
    return Load(
        "t", ("id",), draw(st.integers(0, 3)), records, sequences, None, {}, activate=activate
    )


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Warehouse]:
    """One warehouse in memory."""
    made = Warehouse(None, POSTGRESQL, flatten=True)
    yield made
    made.close()


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(loads(), min_size=1, max_size=5), together=st.booleans())
def test_any_batches_are_loaded_as_in_the_model(
    warehouse: Warehouse, batches: list[Load], *, together: bool
) -> None:
    """One by one, or several in one transaction as a push brings them."""
    warehouse.reset()
    model = Model()
    for load in batches:
        model.load(load)
        if not together:
            warehouse.load("s", [load], NOW)
    if together:
        warehouse.load("s", batches, NOW)
    columns = {table.name: set(table.columns) for table in warehouse.tables()}
    visible: list[Any] = []
    elements: list[Any] = []
    if "t" in columns:
        value = "v" if "v" in columns["t"] else "NULL"
        visible = warehouse.query(f"SELECT id, _sdc_sequence, {value} FROM s.t")  # noqa: S608
    if "t__xs" in columns:
        elements = warehouse.query("SELECT _sdc_source_key_id, _sdc_level_0_id, value FROM s.t__xs")

    def key(row: tuple[Any, ...]) -> Any:
        return [(each is not None, each) for each in row]

    assert sorted(visible, key=key) == sorted(model.rows and model.visible(), key=key)
    assert sorted(elements) == model.elements()
    assert insight.rejected(warehouse) == []


def test_a_record_that_only_the_database_refuses_is_rejected(warehouse: Warehouse) -> None:
    """It is found by halving and rejected with the database's message; the others are stored."""
    warehouse.reset()
    warehouse.load("s", [Load("t", (), 0, [{"n": 0}], [0])], NOW)
    warehouse.query("ALTER TABLE s.t ALTER n TYPE SMALLINT")
    values = [1, 2, 10**5, 4, 5, 10**6, 7]
    load = Load("t", (), 0, [{"n": each} for each in values], list(range(7)), None, {})
    loaded = warehouse.load("s", [load, Load("u", (), 0, [{"a": 1}], [1])], NOW)
    assert (loaded.rows, loaded.rejected) == (6, 2)
    assert warehouse.query("SELECT n FROM s.t") == [(0,), (1,), (2,), (4,), (5,), (7,)]
    assert warehouse.query("SELECT a FROM s.u") == [(1,)]
    found = warehouse.query("SELECT record FROM s._sdc_rejected ORDER BY record")
    assert sorted(found) == [('{"n":1000000}',), ('{"n":100000}',)]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None) | st.integers())
def test_the_digits_of_any_number_are_counted(value: Any) -> None:
    """`extent` counts the digits; `survives_double` agrees with exact fractions."""
    measured = extent(value)
    if measured.whole + measured.scale <= 400:
        text = f"{Decimal(value).copy_abs():f}"
        whole, _, fraction = text.partition(".")
        assert measured.whole == len(whole.lstrip("0"))
        assert measured.scale == len(fraction.rstrip("0"))
    try:
        double = float(value)
    except OverflowError:
        double = math.inf
    same = math.isfinite(double) and Fraction(value) in (Fraction(double), Fraction(repr(double)))
    assert survives_double(value) == same


@pytest.mark.timeout(60)
def test_the_greatest_sequence_of_concurrent_senders_wins() -> None:
    """Whatever the order in which four senders' batches arrive, the greatest sequence stays."""
    with ImportApi() as api:

        def sender(number: int) -> None:
            with requests.Session() as session:
                for at in range(12):
                    sequence = at * 4 + number
                    answer = session.post(
                        f"{api.url}/v2/import/batch",
                        json=batch(
                            "t",
                            *[upsert({"id": each, "s": sequence}, sequence) for each in range(50)],
                            keys=("id",),
                        ),
                        headers={"Authorization": "Bearer x"},
                        timeout=30,
                    )
                    assert answer.status_code == 201

        senders = [threading.Thread(target=sender, args=(each,)) for each in range(4)]
        for each in senders:
            each.start()
        for each in senders:
            each.join()
        assert api.query("SELECT count(*), min(s), max(s) FROM import_api.t") == [(50, 47, 47)]
        assert len(api.requests()) == 48
        assert [each["number"] for each in api.requests()] == list(range(1, 49))


# --- destinations


# Examples of Stitch's destination pages; `loading/` and `destinations/` are where they differ.
@pytest.mark.parametrize(
    ("destination", "raw", "name"),
    [
        # https://www.stitchdata.com/docs/replication/loading/destination-guides/postgresql
        ("postgresql", "CuStOmErId", "CuStOmErId"),
        ("postgresql", "customer id", "customer id"),
        ("postgresql", "CUSTOMER ID", "CUSTOMER ID"),
        ("postgresql", "!customerid", "customerid"),
        ("postgresql", "customer!id", "customerid"),
        ("postgresql", "CUSTOMER! ID", "CUSTOMER ID"),
        ("postgresql", "123customerid", "customerid"),
        ("postgresql", "_customerid", "_customerid"),
        ("postgresql", "_987CUSTOMERID", "_987CUSTOMERID"),
        ("postgresql", "4customerid", "customerid"),
        ("postgresql", " 4 customer", "customer"),
        # .../redshift; the destination page alone removes leading `_`
        ("redshift", "CuStOmErId", "customerid"),
        ("redshift", "CUSTOMER ID", "customer id"),
        ("redshift", "customer!id", "customerid"),
        ("redshift", "!CUSTOMERID", "customerid"),
        ("redshift", "customer#id", "customerid"),
        ("redshift", "4customerid", "customerid"),
        ("redshift", "a$b_c", "a$b_c"),
        # .../bigquery
        ("bigquery", "customerID", "customerid"),
        ("bigquery", "CUSTOMER ID", "customer_id"),
        ("bigquery", "customer!id", "customer_id"),
        ("bigquery", "customer#id", "customer_id"),
        ("bigquery", "!CUSTOMERID", "_customerid"),
        ("bigquery", "123customerid", "_customerid"),
        ("bigquery", "4customerid", "_customerid"),
        ("bigquery", "_customerid", "_customerid"),
        ("bigquery", "_987CUSTOMERID", "_987customerid"),
        # .../microsoft-sql-server
        ("sqlserver", "CuStOmErId", "customerid"),
        ("sqlserver", "customer id", "customer_id"),
        ("sqlserver", "CUSTOMER ID ", "customer_id"),
        ("sqlserver", "customerid ", "customerid"),
        ("sqlserver", " customerid ", "customerid"),
        ("sqlserver", "customer!id", "customer_id"),
        ("sqlserver", "customer#id", "customer#id"),
        ("sqlserver", "customer-id", "customer_id"),
        ("sqlserver", "!customerid", "customerid"),
        ("sqlserver", "_customerid", "_customerid"),
        ("sqlserver", "4customerid", "4customerid"),
        ("sqlserver", "order", "order"),
        # https://www.stitchdata.com/docs/destinations/mysql/reference
        ("mysql", " customerid ", "customerid"),
        ("mysql", "customer-id", "customer_id"),
        ("mysql", "CustomerID", "customerid"),
        ("mysql", "customer$id", "customer$id"),
        ("mysql", "4customerid", "4customerid"),
        # .../snowflake
        ("snowflake", "customer id", "CUSTOMER_ID"),
        ("snowflake", "_customer!id", "CUSTOMERID"),
        ("snowflake", "!CUSTOMERID", "CUSTOMERID"),
        ("snowflake", "123customerid", "CUSTOMERID"),
        ("snowflake", "_987CUSTOMERID", "CUSTOMERID"),
        # .../databricks-delta
        ("databricks", "CUSTOMER!ID", "customer_id"),
        ("databricks", "!CUSTOMERID", "_customerid"),
        ("databricks", "123customerid", "_123customerid"),
        ("databricks", "_987CUSTOMERID", "_987customerid"),
        # https://www.stitchdata.com/docs/destinations/azure-synapse/reference
        ("synapse", "customer id", "customer_id"),
        ("synapse", "customer#id", "customer_id"),
        ("synapse", "!CuStOMerID", "_CuStOMerID"),
        ("synapse", "4customerid", "_customerid"),
    ],
)
def test_column_names_follow_the_rules_of_the_destination(
    destination: str, raw: str, name: str
) -> None:
    assert profiles()[destination].name(raw) == name


@pytest.mark.parametrize(
    ("destination", "raw", "name"),
    [
        ("sqlserver", "0-customers", "customers"),
        ("sqlserver", " customers ", "customers"),
        ("sqlserver", "cus!tomers", "cus_tomers"),
        ("sqlserver", "Customers", "customers"),
        ("mysql", " customers ", "customers"),
        ("mysql", "customer-id", "customer_id"),
        ("mysql", "Customers", "customers"),
        # the page has no rules for tables
        ("postgresql", "4 Customers-x!", "4 Customers-x!"),
        ("redshift", "4 Customers-x!", "customersx"),
    ],
)
def test_table_names_follow_the_rules_of_the_destination(
    destination: str, raw: str, name: str
) -> None:
    assert profiles()[destination].name(raw, table=True) == name


@pytest.mark.parametrize("destination", sorted(profiles()))
def test_every_destination_loads(destination: str) -> None:
    """Its profile decides on nesting and on a change of keys."""
    profile = profiles()[destination]
    with ImportApi(destination=destination) as api:
        send(
            api,
            batch("t", upsert({"id": 1, "o": {"a": [1, {"b": None}]}}, 1), keys=("id",)),
            batch("t", upsert({"id": 1, "x": 1}, 2), keys=("id",)),
            batch("t", upsert({"id": "one", "x": "1"}, 3), keys=("id",)),
        )
        names = {table["table"].lower(): table for table in api.tables()}
        columns = {name.lower() for name in names["t"]["columns"]}
        if profile.nested == "flatten":
            assert set(names) == {"t", "t__o__a"}
            assert "o" not in columns
        else:
            assert set(names) == {"t"}
            assert "o" in columns
        assert {"id", "id__st", "x", "x__st", "_sdc_sequence"} <= columns
        assert api.query("SELECT x FROM import_api.t WHERE id = 1") == [(1,)]
        send(api, batch("t", upsert({"id": 1}, 4)))
        expected = 3 if profile.on_key_change == "append" else 2
        assert api.query("SELECT count(*) FROM import_api.t") == [(expected,)]


@pytest.mark.parametrize("nested", ["flatten", "json"])
def test_the_option_nested_decides_between_subtables_and_json(nested: str) -> None:
    with ImportApi(nested=nested) as api:
        send(api, batch("t", upsert({"id": 1, "o": {"n": 1.50}, "a": [1]}), keys=("id",)))
        tables = [table["table"] for table in api.tables()]
        if nested == "json":
            assert tables == ["t"]
            assert api.query("SELECT o, a FROM import_api.t") == [('{"n":1.5}', "[1]")]
        else:
            assert tables == ["t", "t__a"]


def test_lower_casing_makes_fields_collide() -> None:
    with ImportApi(destination="redshift") as api:
        send(api, batch("t", upsert({"id": 1, "CustomerId": 1, "customerid": 2}), keys=("id",)))
        assert api.tables() == []
        assert api.query("SELECT table_name, reason FROM import_api._sdc_rejected") == [
            ("t", "Field collision on [customerid]")
        ]


def test_an_integer_column_widens_to_38_digits_on_snowflake() -> None:
    """Snowflake holds integers of 38 digits: the column widens, and older rows stay."""
    with ImportApi(destination="snowflake") as api:
        send(
            api,
            batch("t", upsert({"id": 1, "n": 1}, 1), keys=("id",)),
            batch("t", upsert({"id": 2, "n": 10**37}, 2), keys=("id",)),
            batch("t", upsert({"id": 3, "n": 10**38}, 3), keys=("id",)),
        )
        assert api.query("SELECT n FROM import_api.t ORDER BY id") == [(1,), (10**37,)]
        assert api.query("SELECT count(*) FROM import_api._sdc_rejected") == [(1,)]


@pytest.mark.parametrize(
    ("option", "body", "status"),
    [
        ({}, batch("t", upsert({"id": "k" * 256}), keys=("id",)), 201),
        ({"strict_keys": True}, batch("t", upsert({"id": "k" * 256}), keys=("id",)), 400),
        ({"count_data_points": False}, batch("t", upsert({"xs": [1] * 10_001})), 201),
        (
            {"strict_datetime": True},
            batch(
                "t",
                upsert({"a": "2020-01-01T00:00:00+0000"}),
                schema={"properties": {"a": {"type": "string", "format": "date-time"}}},
            ),
            400,
        ),
    ],
)
def test_an_option_of_strictness_decides_what_is_accepted(
    option: dict[str, bool], body: dict[str, Any], status: int
) -> None:
    from target_stitch_import.local import Strictness  # noqa: PLC0415 - inside

    with ImportApi(strictness=Strictness(**option)) as api:
        answer = requests.post(
            f"{api.url}/v2/import/batch",
            json=body,
            headers={"Authorization": "Bearer x"},
            timeout=10,
        )
        assert answer.status_code == status


def test_live_messages_have_the_wording_of_stitch() -> None:
    from target_stitch_import.local import Strictness  # noqa: PLC0415 - inside

    with ImportApi(strictness=Strictness(live_messages=True)) as api:
        answer = requests.post(
            f"{api.url}/v2/import/batch",
            json=batch("t", upsert({"n": 5}), schema={"properties": {"n": {"type": "string"}}}),
            headers={"Authorization": "Bearer x"},
            timeout=10,
        )
        assert answer.json() == {
            "error": "Record 0 did not conform to schema:\n#/n: expected type: String, found:"
            " Integer\n"
        }
