"""What is said of a stream beforehand: each reason, only where it applies, and once."""

from __future__ import annotations

from typing import Any

import pytest

from target_stitch_import.schema.advice import Advice, advice
from tests.support.pipelines import feed, pipeline
from tests.support.singer import schema

INTEGER = {"type": "integer"}


def said(stream: str = "people", keys: tuple[str, ...] = ("id",), **columns: Any) -> list[str]:
    """Return what is said of a stream with an `id` and `columns`."""
    return [str(each) for each in advice(stream, keys, {"properties": {"id": INTEGER} | columns})]


def columns(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, INTEGER)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["_sdc_batched_at"], "are Stitch's own, and such columns"),
        (["_SDC"], "are Stitch's own, and such columns"),
        (["_rjm_x"], "are Stitch's own, and such columns"),
        (["_partition_day"], "BigQuery keeps such column names to itself"),
        (["cost__it"], "columns that Stitch splits by type"),
        (["Cost__ST", "a__b__bo"], "columns that Stitch splits by type"),
        (["x" * 60], "whose names are longer than they take"),
        (["Name", "name"], "differ only by case"),
    ],
)
def test_names_that_fare_badly(names: list[str], words: str) -> None:
    (text,) = said(**columns(*names, "fine"))
    assert words in text
    for name in names:
        assert f"`{name}`" in text
    assert "`fine`" not in text


@pytest.mark.parametrize(
    "names",
    [
        ["x" * 59, "st", "cost_it", "cost__item", "it__", "sdc_x", "a_sdc", "table_", "_row"],
        ["naïve", "ß", "日本"],
        [],
    ],
)
def test_names_that_fare_well(names: list[str]) -> None:
    assert said(**columns(*names)) == []


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ("_sdc_people", "such a table"),
        ("people_old", "MySQL"),
        ("x" * 61, "has 61 characters"),
    ],
)
def test_tables_that_fare_badly(stream: str, words: str) -> None:
    (text,) = said(stream)
    assert words in text
    assert not said("x" * 60)


@pytest.mark.parametrize(("count", "is_said"), [(1_016, False), (1_017, True)])
def test_too_many_columns(count: int, *, is_said: bool) -> None:
    text = " ".join(said(**columns(*(f"c{number}" for number in range(count)))))
    assert ("it has 1,018 columns" in text) is is_said


def test_no_columns_and_no_keys() -> None:
    no_columns, no_key = map(str, advice("people", (), {"properties": {}}))
    assert no_columns == "the schema has no properties"
    assert no_key.startswith("there is no key")


@pytest.mark.parametrize(
    ("key", "is_said"),
    [
        ({"type": "integer"}, False),
        ({"type": ["integer", "null"]}, True),
        ({"type": "null"}, True),
        ({}, False),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, True),
        ({"oneOf": [{"$ref": "#/definitions/0"}]}, True),
        ({"anyOf": [{"type": "integer"}, {"oneOf": [{"$ref": "#/definitions/0"}]}]}, True),
        ({"anyOf": [{"anyOf": [{"type": "integer"}]}, {}]}, False),
        ({"$ref": "#/definitions/2"}, False),
        ({"anyOf": [{"type": "integer"}]}, False),
        ({"$ref": "#/definitions/0"}, True),
        ({"$ref": "#/definitions/1"}, False),
    ],
)
def test_keys_that_may_be_null(key: dict[str, Any], *, is_said: bool) -> None:
    in_a_circle = {"anyOf": [{"type": "integer"}, {"$ref": "#/definitions/2"}]}
    definitions = {
        "0": {"type": ["null", "string"]},
        "1": {"type": "string"},
        "2": in_a_circle,
    }
    schema = {"properties": {"key": key, "other": {"type": "null"}}, "definitions": definitions}
    told = [str(each) for each in advice("people", ("key",), schema)]
    assert told == (
        ["the schema lets a key property be null, but records in which it is are refused: `key`"]
        if is_said
        else []
    )


def test_a_schema_behind_a_reference_is_looked_at() -> None:
    referred = {"properties": {"a__st": INTEGER}}
    (text,) = advice(
        "people", ("a__st",), {"$ref": "#/definitions/0", "definitions": {"0": referred}}
    )
    assert text.fields == ("`a__st`",)


def test_many_fields_are_counted_and_names_shown_as_they_are() -> None:
    (text,) = said(**columns(*(f"c{number}__st" for number in range(500))))
    assert text.endswith("`c9__st` and 490 more")
    assert len(text) < 300
    assert str(Advice("x", ("a",))) == "x: a"
    (text,) = said(**columns("a\x1b[2J\n__st"))
    assert text.endswith(": `a\\x1b[2J\\n__st`")


def test_it_is_said_once_of_each_field() -> None:
    of = pipeline()
    feed(of, [schema(a__st=INTEGER), schema(a__st=INTEGER, b__st=INTEGER), schema(a__st=INTEGER)])
    first, second = (notice.text for notice in of.notices)
    assert first.endswith("while loading: `a__st`")
    assert second.endswith("while loading: `b__st`")


def test_streams_that_differ_only_by_case() -> None:
    of = pipeline()
    feed(of, [schema("Orders"), schema("orders"), schema("Orders", x=INTEGER), schema("people")])
    (notice,) = of.notices
    assert notice.stream == "orders"
    assert "differs from that of stream `Orders` only by case" in notice.text
