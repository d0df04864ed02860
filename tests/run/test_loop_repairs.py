"""Repairs from the tap to the tables: values that real taps write and the Import API refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.support.target import delivered

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi
    from tests.support.target import Target

DATE_TIME = {"type": ["null", "string"], "format": "date-time"}
CENTS = {"type": ["null", "number"], "multipleOf": 0.01, "exclusiveMaximum": True, "maximum": 10}
TEXT = {"type": ["null", "string"]}

Case: TypeAlias = "tuple[dict[str, Any], list[str], list[str], list[Any], dict[str, int]]"
"""The schema of field `f`, its values, `repairs`, what arrives, and what is counted."""

CASES: list[Case] = [
    (
        DATE_TIME,
        ['"2024-01-01 01:01:00+01"', '"2024-01-01T00:01:00z"', '"1890-01-01T00:53:28+00:53:28"'],
        [],
        ["2024-01-01T01:01:00+01:00", "2024-01-01T00:01:00Z", "1890-01-01T00:00:00Z"],
        {"date_time_spelling": 3},
    ),
    (
        DATE_TIME,
        ['"0000-00-00 00:00:00"', '"2024-01-01T00:00:00+00:00"'],
        ["invalid_dates_to_null"],
        [None, "2024-01-01T00:00:00+00:00"],
        {"invalid_dates_to_null": 1},
    ),
    (
        DATE_TIME,
        ['"12024-01-01T00:00:00Z"'],
        ["clamp_dates"],
        ["9999-12-31T23:59:59.999999Z"],
        {"clamp_dates": 1},
    ),
    (
        CENTS,
        ["0.7600000000000000088", "2.5"],
        ["round_decimals"],
        [0.76, 2.5],
        {"round_decimals": 1},
    ),
    (CENTS, ["NaN", "-Infinity", "1"], ["nan_to_null"], [None, None, 1], {"nan_to_null": 2}),
    (
        TEXT,
        [r'"a\u0000b"', r'"broken \ud83d emoji"', r'"whole \ud83d\ude00"'],
        ["strip_nul", "replace_surrogates"],
        ["ab", "broken \ufffd emoji", "whole \U0001f600"],
        {"strip_nul": 1, "replace_surrogates": 1},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case[-1]))
def test_repaired_values_arrive_and_are_counted(
    target: Target, api: ImportApi, tmp_path: Path, case: Case
) -> None:
    schema, values, repairs, sent, counts = case
    messages = tap(schema, values)
    summary = tmp_path / "summary.json"
    outcome = target.run(messages, repairs=repairs, summary_path=str(summary))
    assert (outcome.status, outcome.states) == (0, ['{"done":1}']), outcome.log
    assert [each["f"] for each in delivered(api, "s")] == sent
    written = json.loads(summary.read_text())
    assert written["streams"]["s"]["repaired"] == {"/f": counts}
    assert written["repaired"] == sum(counts.values())
    for repair in repairs:
        assert outcome.log.count(f"values are repaired by `{repair}`") == 1
    if not repairs:
        return
    refused = target.run(messages)
    assert refused.status == 65
    assert "field `/f`" in refused.log


def test_values_that_are_not_json_are_repaired_without_validation(
    target: Target, api: ImportApi
) -> None:
    values = ["NaN", r'"\ud83d"', r'"\u0000 as it came"']
    repairs = ["nan_to_null", "replace_surrogates"]
    outcome = target.run(tap({}, values), repairs=repairs, validate_records=False)
    assert (outcome.status, outcome.states) == (0, ['{"done":1}'])
    assert [each["f"] for each in delivered(api, "s")] == [None, "\ufffd", "\0 as it came"]
    assert outcome.log.count("values are repaired by") == 2


def tap(schema: dict[str, Any], values: list[str]) -> bytes:
    columns = {"properties": {"id": {"type": "integer"}, "f": schema}}
    opening = {"type": "SCHEMA", "stream": "s", "key_properties": ["id"], "schema": columns}
    lines = [json.dumps(opening)]
    for at, value in enumerate(values):
        lines.append(f'{{"type":"RECORD","stream":"s","record":{{"id":{at},"f":{value}}}}}')
    lines.append('{"type":"STATE","value":{"done":1}}')
    return "".join(f"{line}\n" for line in lines).encode()


def test_a_record_is_repaired_before_it_is_mapped(target: Target, api: ImportApi) -> None:
    maps = {"s": {"__alias__": "t", "twice": "int(id * 2)"}}
    outcome = target.run(tap(CENTS, ["NaN"]), repairs=["nan_to_null"], stream_maps=maps)
    assert outcome.status == 0, outcome.log
    assert delivered(api, "t") == [{"id": 0, "f": None, "twice": 0}]
