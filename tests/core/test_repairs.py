"""Values rewritten in a record: formats of date-times, and each of `repairs`."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.batching.examining import RepairCount
from target_stitch_import.batching.malformed import with_repairs
from target_stitch_import.local.api import date_times as service
from target_stitch_import.schema.checks import Passed, RecordCheck
from target_stitch_import.schema.date_times import are_date_times, is_date_time, respelled
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.raw_flaws import MAX_STEPS, repaired_text
from target_stitch_import.singer.messages import MessageLines
from target_stitch_import.singer.reader import Reader
from tests.support.defaults import pipeline
from tests.support.pipelines import take

if TYPE_CHECKING:
    from target_stitch_import.batching.pipeline import Pipeline

DATE_TIME = {"type": ["null", "string"], "format": "date-time"}
CENTS = {"type": ["null", "number"], "multipleOf": 0.01, "maximum": 100}


def examined(
    schema: dict[str, Any], record: str, *repairs: str, naive: str = "utc"
) -> Passed | Refused:
    root = read_schema(json.dumps({"type": "object", "properties": schema}).encode()).root
    check = RecordCheck(
        root, (), naive_datetimes=naive, repairs=repairs, max_record_bytes=1_000_000
    )
    return check.examine(Raw(record.encode()))


def sent(examination: Passed | Refused) -> str:
    assert isinstance(examination, Passed), str(examination)
    return bytes(examination.record).decode()


SPELLINGS = [
    ("2024-01-01 01:01:00+01", "2024-01-01T01:01:00+01:00"),
    ("2024-01-01 01:01:00 +01:00", "2024-01-01T01:01:00+01:00"),
    ("2024-01-01T01:01:00-0130", "2024-01-01T01:01:00-01:30"),
    ("2024-01-01t01:01:00z", "2024-01-01T01:01:00Z"),
    ("2024-01-01T01:01:59.9999999999Z", "2024-01-01T01:01:59.999999999Z"),
    ("2024-01-01T01:01:59,5Z", "2024-01-01T01:01:59.5Z"),
    ("2018-05-15T19:30Z", "2018-05-15T19:30:00Z"),
    ("2024-01-01 01:01:00 UTC", "2024-01-01T01:01:00Z"),
    ("1890-01-01T00:53:28+00:53:28", "1890-01-01T00:00:00Z"),
    ("1889-12-31T23:06:32.25-00:53:28", "1890-01-01T00:00:00.25Z"),
    ("2024-01-01T00:00:00+01:00:00", "2024-01-01T00:00:00+01:00"),
]


@pytest.mark.parametrize(("given_text", "text"), SPELLINGS)
@pytest.mark.parametrize("naive", ["utc", "keep", "fail"])
def test_an_instant_is_rewritten_and_nothing_else_changes(
    given_text: str, text: str, naive: str
) -> None:
    record = '{ "n":1.10, "at" : "%s","o":{"at":"%s"}, "s":"2024-01-01 01:01:00+01", "n":1.20 }'
    schema = {"at": DATE_TIME, "o": {"properties": {"at": DATE_TIME}}, "s": {"type": "string"}}
    passed = examined(schema, record % (given_text, "2024-01-01T00:00:00Z"), naive=naive)
    if given_text != "2024-01-01 01:01:00+01":  # where it stands twice, spaces may go
        assert sent(passed) == record % (text, "2024-01-01T00:00:00Z")
    assert json.loads(sent(passed))["at"] == text
    assert isinstance(passed, Passed)
    assert passed.repaired == {("/at", "date_time_spelling"): 1}
    assert not passed.notes


def test_a_date_time_without_offset_is_kept_beside_one_that_is_rewritten() -> None:
    record = '{"a":"2024-01-01 00:00:00","b":"2024-01-01 00:00:00Z"}'
    passed = examined({"a": DATE_TIME, "b": DATE_TIME}, record, naive="keep")
    assert sent(passed) == '{"a":"2024-01-01 00:00:00","b":"2024-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31",
        "2024-02-30T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00+24:00",
        "0001-01-01T00:00:00+00:00:01",
        "2024-01-01T00:00:00 CET",
        "tomorrow",
    ],
)
def test_an_ambiguous_instant_is_refused(text: str) -> None:
    assert isinstance(examined({"at": DATE_TIME}, json.dumps({"at": text})), Refused)


MOMENTS = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 12, 31))  # noqa: DTZ001 - see OFFSETS
OFFSETS = st.integers(-86_399, 86_399)


@given(MOMENTS, OFFSETS, st.sampled_from("Tt "), st.sampled_from(["", " "]), st.booleans())
def test_a_rewritten_date_time_is_the_same_instant(
    moment: dt.datetime,
    seconds: int,
    mark: str,
    space: str,
    colons: bool,  # noqa: FBT001
) -> None:
    zone = dt.timezone(dt.timedelta(seconds=seconds))
    sign, (minutes, rest) = "-" if seconds < 0 else "+", divmod(abs(seconds), 60)
    parts = [f"{minutes // 60:02}", f"{minutes % 60:02}", *([f"{rest:02}"] if rest else [])]
    offset = sign + (":" if colons else "").join(parts)
    text = respelled(f"{moment.isoformat(mark)}{space}{offset}")
    assert text is not None
    assert service.is_date_time(text)
    assert service.is_strict_date_time(text)
    reference = moment.replace(tzinfo=zone)
    assert dt.datetime.fromisoformat(text.replace("Z", "+00:00")) == reference


TEXTS = st.from_regex(
    r"\A(0000|0001|20[02]4|1900|9999)-(0[0-9]|1[0-3])-([0-2][0-9]|3[0-2])[Tt ](0[0-9]|2[3-5])"
    r":[0-6][0-9]:[0-6][0-9](\.[0-9]{0,11})?(Z|z|[+-][0-2][0-9]:?[0-6][0-9])?\Z"
)


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_the_target_accepts_no_date_time_that_the_service_refuses(texts: list[str]) -> None:
    for text in texts:
        assert not is_date_time(text) or service.is_strict_date_time(text)
        for schema in (DATE_TIME, {"anyOf": [DATE_TIME | {"type": "string"}, {"type": "null"}]}):
            passed = examined({"at": schema}, json.dumps({"at": text}))
            if isinstance(passed, Passed):
                assert service.is_strict_date_time(json.loads(bytes(passed.record))["at"])
    joined = ",".join(map(json.dumps, texts)).encode()
    assert not are_date_times(joined, null=False) or all(map(is_date_time, texts))


REPAIRS = [
    (DATE_TIME, '"0000-00-00 00:00:00"', "invalid_dates_to_null", "null"),
    (DATE_TIME, '"2024-13-01T00:00:00Z"', "invalid_dates_to_null", "null"),
    (DATE_TIME, '"2024-01-01T25:00:00Z"', "invalid_dates_to_null", "null"),
    (DATE_TIME, '"0000-01-01T00:00:00Z"', "invalid_dates_to_null", "null"),
    (DATE_TIME, '"2024-01-31"', "invalid_dates_to_null", None),
    (DATE_TIME, '"tomorrow"', "invalid_dates_to_null", None),
    (DATE_TIME, '"0000-01-01T00:00:00Z"', "clamp_dates", '"0001-01-01T00:00:00Z"'),
    (DATE_TIME, '"0044-03-15 00:00:00 BC"', "clamp_dates", '"0001-01-01T00:00:00Z"'),
    (DATE_TIME, '"12024-01-01 00:00:00"', "clamp_dates", '"9999-12-31T23:59:59.999999Z"'),
    (DATE_TIME, '"0000-00-00 00:00:00"', "clamp_dates", None),
    (CENTS, "0.76000000000000000888178", "round_decimals", "0.76"),
    (CENTS, "0.125", "round_decimals", "0.12"),
    (CENTS, "-0.135", "round_decimals", "-0.14"),
    (CENTS, "-1e-9", "round_decimals", "0.00"),
    (CENTS | {"multipleOf": 0.05}, "0.07", "round_decimals", None),
    (CENTS | {"multipleOf": 0.05}, "0.074", "round_decimals", "0.05"),
    (CENTS, '"0.125"', "round_decimals", None),
    ({"type": "string"}, r'"a\u0000b\u0000"', "strip_nul", '"ab"'),
    ({"type": "string"}, r'"a\u0000b"', "replace_surrogates", None),
]


@pytest.mark.parametrize(("schema", "value", "repair", "new"), REPAIRS)
def test_a_configured_repair_is_applied(
    schema: dict[str, Any], value: str, repair: str, new: str | None
) -> None:
    record = '{"a":1.10, "f":%s}'
    assert isinstance(examined({"f": schema}, record % value), Refused)
    passed = examined({"f": schema}, record % value, repair)
    if new is None:
        assert isinstance(passed, Refused)
        return
    assert sent(passed) == record % new
    assert isinstance(passed, Passed)
    assert passed.repaired == {("/f", repair): 1}


def test_valid_values_are_unchanged() -> None:
    record = r'{"at":"2024-01-01T00:00:00Z","n":0.10,"s":"\\u0000 \ud83d\ude00","t":2.500}'
    schema = {"at": DATE_TIME, "n": CENTS, "t": CENTS}
    every = ("strip_nul", "round_decimals", "clamp_dates", "invalid_dates_to_null")
    passed = examined(schema, record, *every)
    assert (sent(passed), isinstance(passed, Passed) and passed.repaired) == (record, {})


def test_a_repair_to_a_forbidden_null_is_named_in_the_error() -> None:
    schema = {"type": "string", "format": "date-time"}
    record = '{"f":"0000-00-00T00:00:00Z"}'
    words = str(examined({"f": schema}, record, "invalid_dates_to_null"))
    assert words == ("field `/f`: repaired by `invalid_dates_to_null`, expected string, found null")


@pytest.mark.parametrize("repairs", [(), ("strip_nul",)], ids=["no repair", "strip_nul"])
@pytest.mark.parametrize("text", [r"\u0000", r"\\\u0000"], ids=["NUL", "backslash and NUL"])
def test_a_record_is_refused_if_nul_is_beyond_what_is_examined(
    text: str, repairs: tuple[str, ...]
) -> None:
    schema, examined_escapes = {"f": {"type": "string"}}, r"\n" * MAX_STEPS
    refused = examined(schema, f'{{"f":"{examined_escapes}{text}"}}', *repairs)
    assert isinstance(refused, Refused)
    without_nul = f'{{"f":"{examined_escapes}' + r'\\u0000"}'
    assert sent(examined(schema, without_nul, *repairs)) == without_nul


def test_a_name_with_nul_is_refused() -> None:
    words = str(examined({}, r'{"o":{"a\u0000":1}}', "strip_nul"))
    assert "field `/o`: a property name contains U+0000" in words


NAN_SCHEMA = {
    "type": "SCHEMA",
    "stream": "s",
    "key_properties": [],
    "schema": {"properties": {"f": {"type": ["null", "number"]}, "n": {"type": "number"}}},
}


def fed(record: bytes, *repairs: str, **rules: Any) -> Pipeline:
    to = pipeline(repairs=repairs, **rules)
    reader = Reader(MessageLines())
    message = b'{"type":"RECORD","stream":"s","time_extracted":"2024-01-01T00:00:00Z","record":%b}'
    text = json.dumps(NAN_SCHEMA).encode() + b"\n" + message % record + b"\n"
    for event in with_repairs([*reader.feed(text), *reader.close()], repairs):
        to.receive(event, 0.0, 10**18)
    to.end()
    return to


def test_a_record_that_is_not_json_is_sent_after_its_repair() -> None:
    of = fed(b'{"f": NaN ,"n":1.10}', "nan_to_null")
    (batch,) = take(of)
    assert b'"data":{"f": null ,"n":1.10}' in batch.body
    assert b"00:00:00.000000Z" in batch.body
    assert list(of.repaired) == [RepairCount("s", "/f", "nan_to_null", 1)]


def test_a_record_that_is_invalid_after_its_repair_is_set_aside_unrepaired() -> None:
    of = fed(b'{"f":1,"n":NaN}', "nan_to_null", dead_letter=True)
    (dead_letter,) = of.to_set_aside
    assert dead_letter.record == b'{"f":1,"n":NaN}'
    assert dead_letter.reason == (
        "field `/n`: repaired by `nan_to_null`, expected number, found null"
    )
    assert not of.repaired


def test_without_a_repair_values_are_refused() -> None:
    of = fed(b'{"f":NaN,"s":"\\ud83d"}', "nan_to_null", dead_letter=True)
    (dead_letter,) = of.to_set_aside
    assert dead_letter.record == b'{"f":NaN,"s":"\\ud83d"}'
    assert dead_letter.reason.startswith("field `/s`: it contains an unpaired surrogate")


TEXTS_REPAIRED = [
    (rb'{"a":"\ud83d x","b":"\ud83d\ude00"}', rb'{"a":"\ufffd x","b":"\ud83d\ude00"}', ("a",)),
    (rb'{"a":["\\ud83d","\ude00\ud83d"]}', rb'{"a":["\\ud83d","\ufffd\ufffd"]}', ("a", 1)),
    (rb'{"a":{"b":[1,-Infinity]},"c":"NaN"}', rb'{"a":{"b":[1,null]},"c":"NaN"}', ("a", "b", 1)),
    (rb'{"a,b":[{"c":1},{"d":"\u0000"}]}', rb'{"a,b":[{"c":1},{"d":""}]}', ("a,b", 1, "d")),
]


@pytest.mark.parametrize(("text", "new", "path"), TEXTS_REPAIRED)
def test_only_the_invalid_parts_of_a_text_are_repaired(
    text: bytes, new: bytes, path: tuple[str | int, ...]
) -> None:
    done = repaired_text(text, ("nan_to_null", "strip_nul", "replace_surrogates"))
    assert (done.text, [each for each, _ in done.repairs], done.left) == (new, [path], None)
    untouched = repaired_text(text, ())
    assert untouched.text == text
    assert untouched.left is not None
    assert untouched.left.path == path


def test_rounding_has_a_budget() -> None:
    """Thousands of numbers of thousands of digits would take minutes; the rest is refused."""
    number = "7" * 3_990 + ".555"
    schema = {"items": {"multipleOf": 0.01}}
    few = examined({"f": schema}, f'{{"f":[{number}]}}', "round_decimals")
    many = examined({"f": schema}, f'{{"f":[{",".join([number] * 240)}]}}', "round_decimals")
    assert not isinstance(few, Refused)
    assert isinstance(many, Refused)
    huge = examined({"f": {"multipleOf": 1}}, '{"f":0.5}', "round_decimals")
    assert not isinstance(huge, Refused)


def test_repairs_deep_inside_have_a_budget() -> None:
    text = "[" * 900 + ",".join(["NaN"] * 100_000) + "]" * 900
    done = repaired_text(text.encode(), ("nan_to_null",))
    assert 100 < len(done.repairs) < 10_000
    assert b"NaN" in done.text
