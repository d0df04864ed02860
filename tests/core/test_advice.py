"""Advice about a stream: each warning only where it applies, once, and cheaply."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.schema.advice import Advice, advice
from target_stitch_import.schema.draft4 import read_schema
from tests.support.defaults import pipeline
from tests.support.pipelines import feed
from tests.support.singer import record, schema

if TYPE_CHECKING:
    from tests.support.target import Target

INTEGER = {"type": "integer"}


def advised(stream: str, keys: tuple[str, ...], schema: Any) -> list[Advice]:
    return advice(stream, keys, read_schema(json.dumps(schema).encode()).root)


def said(stream: str = "people", keys: tuple[str, ...] = ("id",), **columns: Any) -> list[str]:
    """Return the advice about a stream with an `id` and `columns`."""
    return [str(each) for each in advised(stream, keys, {"properties": {"id": INTEGER} | columns})]


def columns(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, INTEGER)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["_sdc_batched_at"], "Stitch fills columns with these names"),
        (["_SDC_source_key_id", "_sdc_level_12_id"], "Stitch fills columns"),
        (["__sdc_primary_key", "_rjm_x"], "Stitch fills columns with these names"),
        (["_partition_day"], "BigQuery reserves such column names"),
        (["cost__it"], "a column that Stitch splits by type"),
        (["Cost__ST", "a__b__bo"], "a column that Stitch splits by type"),
        (["x" * 60], "are longer than their limit"),
        (["Name", "name"], "differ only by case"),
        (["First Name", "First-Name"], "or by characters that destinations drop or replace"),
        (["1d_click", "28d_click", "d_click"], "or by characters"),
        (["naïve", "na-ve"], "or by characters"),
        (["名前"], "without a letter from A to Z in their names can be dropped"),
        (["12", "__"], "without a letter from A to Z in their names can be dropped"),
    ],
)
def test_a_problematic_column_name_gets_a_warning(names: list[str], words: str) -> None:
    (text,) = said(**columns(*names, "fine"))
    assert words in text
    for name in names:
        assert f"`{name}`" in text
    assert "`fine`" not in text


@pytest.mark.parametrize(
    "names",
    [
        ["x" * 59, "st", "cost_it", "cost__item", "it__", "sdc_x", "a_sdc", "table_", "_row"],
        ["naïve", "日本x", "_1a"],
        [
            "_sdc_deleted_at",
            "_sdc_lsn",
            "_sdc_extra",
            "_SDC",
            "_sdc_level_x_id",
            "_sdc_customer_id",
        ],
        [],
    ],
)
def test_an_ordinary_column_name_gets_no_warning(names: list[str]) -> None:
    assert said(**columns(*names)) == []


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ("_sdc_people", "such a table"),
        ("people_old", "MySQL"),
        ("x" * 61, "has 61 characters"),
        ("名前", "has neither a letter from A to Z nor an underscore"),
        ("12", "has neither a letter from A to Z nor an underscore"),
    ],
)
def test_a_problematic_table_name_gets_a_warning(stream: str, words: str) -> None:
    (text,) = said(stream)
    assert words in text
    assert not said("x" * 60)


@pytest.mark.parametrize(("count", "is_said"), [(1_016, False), (1_017, True)])
def test_too_many_columns_get_a_warning(count: int, *, is_said: bool) -> None:
    text = " ".join(said(**columns(*(f"c{number}" for number in range(count)))))
    assert ("it has 1,018 columns" in text) is is_said


def test_a_schema_without_columns_or_keys_gets_warnings() -> None:
    no_key, no_columns = map(str, advised("people", (), {"properties": {}}))
    assert no_columns == "the schema has no properties"
    assert no_key.startswith("no key properties")


@pytest.mark.parametrize(
    "key", [{"type": ["integer", "null"]}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}]
)
def test_a_nullable_key_gets_no_warning(key: dict[str, Any]) -> None:
    assert not advised("people", ("key",), {"properties": {"key": key}})


def test_a_referenced_schema_is_examined() -> None:
    referred = {"properties": {"a__st": INTEGER}}
    (text,) = advised(
        "people", ("a__st",), {"$ref": "#/definitions/0", "definitions": {"0": referred}}
    )
    assert text.fields == ("`a__st`",)


def test_many_fields_are_counted_and_names_shown_as_they_are() -> None:
    (text,) = said(**columns(*(f"c{number}__st" for number in range(500))))
    assert text.endswith("`c4__st` and 495 more")
    assert len(text) < 300
    assert str(Advice("x", ("a",))) == "x: a"
    (text,) = said(**columns("a\x1b[2J\n__st"))
    assert text.endswith(": `a\\x1b[2J\\n__st`")


def test_advice_is_given_once_for_each_field() -> None:
    of = pipeline()
    feed(of, [schema(a__st=INTEGER), schema(a__st=INTEGER, b__st=INTEGER), schema(a__st=INTEGER)])
    first, second = (notice.text for notice in of.notices)
    assert first.endswith("while loading: `a__st`")
    assert second.endswith("while loading: `b__st`")


def test_streams_that_differ_only_by_case_get_a_warning() -> None:
    of = pipeline()
    feed(of, [schema("Orders"), schema("orders"), schema("Orders", x=INTEGER), schema("people")])
    (notice,) = of.notices
    assert notice.stream == "orders"
    assert "differs from that of stream `Orders` only by case" in notice.text


def test_a_run_logs_advice(target: Target) -> None:
    outcome = target.run([schema(cost__st=INTEGER, 名前=INTEGER), record(1)])
    assert outcome.status == 0
    assert outcome.log.count("Stream `people`: names with the suffix") == 1
    assert outcome.log.count("replace each character with an underscore: `名前`") == 1


NESTED = {
    "address": {
        "type": ["null", "object"],
        "properties": {"zip code": INTEGER, "x" * 51: INTEGER, "st": INTEGER, "cost__st": INTEGER},
    },
    "address__zip-code": INTEGER,
    "lines": {
        "type": "array",
        "items": {"anyOf": [{"type": "null"}, {"properties": {"A": INTEGER, "a": INTEGER}}]},
    },
    "x" * 54: {"items": INTEGER},
}


def test_names_are_examined_in_their_flattened_form() -> None:
    found = {
        re.split("[,;]| \\(", each.text)[0]: each.fields
        for each in advised("people", ("id",), of(NESTED))
    }
    long = f"address__{'x' * 51}"
    assert found == {
        "names with the suffix of a column that Stitch splits by type": ("`address__cost__st`",),
        "destinations drop columns whose names": (f"`{long}` (60)",),
        "names that differ only by case": (
            "`address__zip code`",
            "`address__zip-code`",
            "`lines.A`",
            "`lines.a`",
        ),
        "arrays become tables with these names": (f"`people__{'x' * 54}` (62)",),
    }


def of(properties: dict[str, Any], **definitions: Any) -> dict[str, Any]:
    return {"properties": properties, "definitions": definitions}


@pytest.mark.parametrize(
    "schema",
    [
        of({"a": {"$ref": "#"}, "b": {"items": {"$ref": "#"}}}),
        of(
            {"a": {"$ref": "#/definitions/d0"}},
            **{
                f"d{n}": {"properties": {x: {"$ref": f"#/definitions/d{n + 1}"} for x in "ab"}}
                for n in range(50)
            },
            d50={"type": "object"},
        ),
    ],
)
def test_advice_ends_on_schemas_with_many_or_circular_references(schema: dict[str, Any]) -> None:
    assert not [each for each in advised("people", ("id",), schema) if "differ" in each.text]
