"""Stream maps and flattening: the SDK's, with exact numbers and the target's own guarantees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.singer import record, schema, state
from tests.support.target import TOKEN, Target, bodies, delivered
from tests.support.toolbox import tool

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

COLUMNS = schema(
    email={"type": "string"},
    amount={"type": "number"},
    address={"type": "object", "properties": {"city": {"type": "string"}}},
)
ROW = (
    '{"type":"RECORD","stream":"people","record":{"id":%d,"name":"n","email":"e@x",'
    '"amount":12345678901234567.10,"address":{"city":"Bern"}}}'
)
MESSAGES = [COLUMNS, *(ROW % number for number in range(4)), state(1)]


@pytest.mark.parametrize(
    ("maps", "table", "expected"),
    [
        pytest.param({"people": {"__alias__": "persons"}}, "persons", None, id="alias"),
        pytest.param({"people": {"__filter__": "id > 1"}}, "people", {"ids": [2, 3]}, id="filter"),
        pytest.param(
            {"people": {"email": None, "twice": "int(id * 2)", "__else__": None, "id": "id"}},
            "people",
            {"columns": {"id", "twice"}},
            id="computed, and all others dropped",
        ),
        pytest.param({"people": {"email": None}}, "people", {"without": "email"}, id="dropped"),
        pytest.param({"people": {}, "__else__": None}, "people", None, id="others removed"),
        pytest.param(
            {"copy": {"__source__": "people", "__filter__": "id == 3"}},
            "copy",
            {"ids": [3]},
            id="a second stream from one",
        ),
    ],
)
def test_a_stream_map_renames_filters_and_computes(
    target: Target, api: ImportApi, maps: Any, table: str, expected: dict[str, Any] | None
) -> None:
    other = [schema("other"), record(1, "other")]
    outcome = target.run([*MESSAGES[:-1], *other, state(1)], stream_maps=maps)
    assert (outcome.status, outcome.states) == (0, ["1"])
    rows = delivered(api, table)
    expected = expected or {}
    assert [row["id"] for row in rows] == expected.get("ids", [0, 1, 2, 3])
    assert "columns" not in expected or set(rows[0]) == expected["columns"]
    assert expected.get("without") not in rows[0]
    assert bool(delivered(api, "other")) == ("__else__" not in maps)
    (body,) = [each for each in bodies(api) if each["table_name"] == table]
    assert set(body["schema"]["properties"]) >= set(rows[0])


def test_mapped_records_keep_exact_decimals(target: Target, api: ImportApi) -> None:
    assert target.run(MESSAGES, stream_maps={"people": {"email": None}}).status == 0
    (request,) = api.requests()
    assert '"amount":12345678901234567.10' in request["body"]


@pytest.mark.parametrize(
    ("settings", "arrives"),
    [
        ({}, '"j":{"b":[%s]}'),
        ({"stream_maps": {"people": {"email": None}}}, '"j":{"b":[%s]}'),
        ({"flattening_enabled": True, "flattening_max_depth": 1}, r'"j__b":"[%s]"'),
        ({"repairs": ["round_decimals", "clamp_dates"]}, '"j":{"b":[%s]}'),
    ],
)
def test_integers_deep_within_a_value_keep_their_digits(
    target: Target, api: ImportApi, settings: Any, arrives: str
) -> None:
    """Beyond the precision of a double, and beyond 64 bits."""
    digits = "9007199254740993,-9223372036854775808,18446744073709551617"
    nested = {"type": "object", "properties": {"b": {"type": "array"}}}
    moment = {"type": "string", "format": "date-time"}
    row = f'{{"id":1,"j":{{"b":[{digits}]}},"at":"2024-01-31 10:00:00Z"}}'
    messages = [
        schema(j=nested, at=moment),
        f'{{"type":"RECORD","stream":"people","record":{row}}}',
    ]
    assert target.run(messages, **settings).status == 0
    (request,) = api.requests()
    assert arrives % digits in request["body"]


def test_nested_properties_are_flattened(target: Target, api: ImportApi) -> None:
    outcome = target.run(MESSAGES, flattening_enabled=True, flattening_max_depth=2)
    assert outcome.status == 0
    assert delivered(api)[0]["address__city"] == "Bern"
    assert "address__city" in bodies(api)[0]["schema"]["properties"]


def test_errors_keep_line_and_stream_through_a_map(target: Target) -> None:
    """The line number is the tap's, also after records that a filter dropped."""
    maps = {"people": {"__filter__": "id != 1"}}
    messages = [*MESSAGES[:4], '{"type":"RECORD","stream":"people","record":{"id":null}}']
    outcome = target.run(messages, stream_maps=maps)
    assert outcome.status == 65
    assert "Line 5: invalid record in stream `people`" in outcome.log


@pytest.mark.parametrize(
    ("maps", "status"),
    [
        ({"people": "what"}, 78),
        ({"people": {"x": "no_such_function("}}, 78),
        ({"people": {"x": "1 / 0"}}, 65),
        ({"people": {"x": "name + 1"}}, 65),
    ],
)
def test_an_unusable_stream_map_is_reported(target: Target, maps: Any, status: int) -> None:
    outcome = target.run(MESSAGES, stream_maps=maps)
    assert (outcome.status, outcome.states) == (status, [])
    assert "Line" in outcome.log
    assert "e@x" not in outcome.log


def test_versions_follow_their_stream(target: Target, api: ImportApi) -> None:
    messages = [
        COLUMNS,
        record(1, message={"version": 5}),
        {"type": "ACTIVATE_VERSION", "stream": "people", "version": 5},
        state(1),
    ]
    outcome = target.run(messages, stream_maps={"people": {"__alias__": "persons"}})
    assert (outcome.status, outcome.states) == (0, ["1"])
    sent = [(body["table_name"], body["table_version"]) for body in bodies(api)]
    assert sent == [("persons", 5)] * 2


@pytest.mark.parametrize(
    ("people", "status", "words"),
    [({"__alias__": "persons"}, 65, "stream `persons`"), (None, 0, "0 records acknowledged")],
)
def test_a_record_that_is_not_json_follows_its_stream(
    target: Target, people: Any, status: int, words: str
) -> None:
    messages = [COLUMNS, '{"type":"RECORD","stream":"people","record":{"id":NaN}}']
    outcome = target.run(messages, stream_maps={"people": people})
    assert outcome.status == status
    assert words in outcome.log


@pytest.mark.parametrize("bad", ['{"id":1,"name":"S3CRET"}', '{"id":1,"name":NaN}'])
def test_a_record_whose_map_failed_is_not_replayed_unmapped(
    target: Target, api: ImportApi, tmp_path: Path, bad: str
) -> None:
    """It has the tap's columns, including those that the map drops."""
    path = tmp_path / "dead.jsonl"
    settings = {
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(path),
        "stream_maps": {"people": {"name": None, "twice": "2 * int(name)"}},
    }
    messages = [schema(), f'{{"type":"RECORD","stream":"people","record":{bad}}}']
    assert target.run(messages, **settings).status == 0
    (line,) = path.read_text().splitlines()
    dead_letter = json.loads(line)
    assert dead_letter.pop("mapped") is False
    dead_letter.pop("record_text", None)
    repaired = dead_letter | {"record": {"id": 1, "twice": "4"}}
    path.write_text(json.dumps(repaired | {"mapped": False}))
    outcome = tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN)
    assert outcome.status == 65
    assert "Line 1 has a record as the tap sent it" in outcome.log
    assert bodies(api) == []
    path.write_text(json.dumps(repaired))
    assert tool(tmp_path, "replay", str(path), api_url=api.url, token=TOKEN).status == 0
    assert delivered(api) == [{"id": 1, "twice": "4"}]


def test_flattening_without_a_depth_is_refused(target: Target) -> None:
    outcome = target.run([], flattening_enabled=True)
    assert outcome.status == 78
    assert "flattening_max_depth" in outcome.log


def test_a_record_without_a_schema_is_refused_when_flattening(target: Target) -> None:
    outcome = target.run([record(1)], flattening_enabled=True, flattening_max_depth=1)
    assert outcome.status == 65
    assert "precedes its SCHEMA" in outcome.log
    assert json.dumps(schema()) not in outcome.log


@pytest.mark.parametrize(
    ("maps", "tables"),
    [
        ({"people": {"__alias__": "persons"}}, {"persons"}),
        ({"copy": {"__source__": "people"}}, {"people", "copy"}),
        ({"people": None}, set()),
    ],
    ids=["alias", "a second stream from one", "removed"],
)
def test_an_activation_before_its_schema_applies_to_the_mapped_streams(
    target: Target, api: ImportApi, maps: Any, tables: set[str]
) -> None:
    activation = {"type": "ACTIVATE_VERSION", "stream": "people", "version": 3}
    messages = [activation, state(0), COLUMNS, record(1, message={"version": 3}), state(1)]
    outcome = target.run(messages, stream_maps=maps)
    assert (outcome.status, outcome.states[-1]) == (0, "1")
    activated = [
        (body["table_name"], body["table_version"])
        for body in bodies(api)
        if body["messages"][0]["action"] == "activate_version"
    ]
    assert sorted(activated) == [(table, 3) for table in sorted(tables)]
    assert "without a SCHEMA" not in outcome.log
