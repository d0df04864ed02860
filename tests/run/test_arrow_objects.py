"""Arrow columns become exactly the JSON that writing the rows one by one would give."""

from __future__ import annotations

import datetime as dt
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from target_stitch_import.batching.payload import Upsert, UpsertEncoder
from target_stitch_import.run.arrow_objects import encoded
from target_stitch_import.run.arrow_portions import portions_of
from target_stitch_import.run.arrow_types import InexactError, is_exact, raw_json
from tests.support.rows_as_json import rows_as_json

if TYPE_CHECKING:
    from collections.abc import Callable

NAN = float("nan")
WIDE = Context(prec=80)
UTC = dt.timezone.utc
MOMENTS = st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30))  # noqa: DTZ001
SECONDS = MOMENTS.map(lambda moment: moment.replace(microsecond=0))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "\x00", "\x1f\n", "\x7f", "\u2028", 'a"b\\c', "null", ""]
)
DOUBLES = (
    st.floats()
    | st.sampled_from([0.0, -0.0, 1e-4, 9.999e-5, 1e9, 999999999.0, 1e15, 1e16, 1e22, 5e-324])
    | st.sampled_from([NAN, float("inf"), float("-inf")])
    | st.integers(-(10**17), 10**17).map(float)
    | st.decimals(-10000, 10000, places=3).map(float)
)


def decimal_type(kind: Any, most: int) -> st.SearchStrategy[Any]:
    def of(precision: int, share: float) -> tuple[Any, Any]:
        scale = round(precision * share)
        units = st.integers(1 - 10**precision, 10**precision - 1)
        return kind(precision, scale), units.map(lambda each: Decimal(each).scaleb(-scale, WIDE))

    return st.builds(of, st.integers(1, most), st.floats(0, 1))


def sampled(*pairs: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(pairs)


def times(unit: str) -> st.SearchStrategy[dt.time]:
    if unit == "s":
        return st.times().map(lambda time: time.replace(microsecond=0))
    if unit == "ms":
        return st.times().map(
            lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
        )
    return st.times()


NANOSECOND_MOMENTS = st.datetimes(
    min_value=dt.datetime(1700, 1, 1),  # noqa: DTZ001
    max_value=dt.datetime(2200, 1, 1),  # noqa: DTZ001
)
MILLISECONDS = MOMENTS.map(lambda m: m.replace(microsecond=m.microsecond // 1000 * 1000))
SCALARS = sampled(
    *((kind, st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)) for kind, bits in (
        (pa.int8(), 8), (pa.int16(), 16), (pa.int32(), 32), (pa.int64(), 64))),
    *((kind, st.integers(0, 2**bits - 1)) for kind, bits in (
        (pa.uint8(), 8), (pa.uint16(), 16), (pa.uint32(), 32), (pa.uint64(), 64))),
    (pa.float64(), DOUBLES),
    (pa.float32(), st.floats(width=32)),
    (pa.float16(), st.floats(width=16)),
    (pa.bool_(), st.booleans()),
    (pa.null(), st.none()),
    *((kind, TEXTS) for kind in (
        pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()))),
    (pa.date32(), st.dates()),
    (pa.date64(), st.dates()),
    (pa.timestamp("s"), SECONDS),
    (pa.timestamp("s", "UTC"), SECONDS.map(lambda moment: moment.replace(tzinfo=UTC))),
    (pa.timestamp("ms"), MILLISECONDS),
    (pa.timestamp("ms", "+02:00"), MILLISECONDS.map(lambda moment: moment.replace(tzinfo=UTC))),
    (pa.timestamp("us"), MOMENTS),
    (pa.timestamp("us"), SECONDS),
    (pa.timestamp("us", "Europe/Zurich"), MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))),
    (pa.timestamp("ns"), NANOSECOND_MOMENTS),
    (pa.time32("s"), times("s")),
    (pa.time32("ms"), times("ms")),
    (pa.time64("us"), times("us")),
    (pa.time64("ns"), times("us")),
    (
        pa.struct([("n", pa.float64()), ("t", pa.string())]),
        st.fixed_dictionaries({"n": DOUBLES, "t": st.none() | TEXTS}),
    ),
) | decimal_type(pa.decimal128, 38) | decimal_type(pa.decimal256, 76)  # fmt: skip


def nested(kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return lists, structs and maps of the given types with their values."""

    def struct(members: dict[str, Any]) -> Any:
        fields = [pa.field(name, kind) for name, (kind, _) in members.items()]
        values = {name: st.none() | values for name, (_, values) in members.items()}
        return pa.struct(fields), st.fixed_dictionaries(values)

    def listed(inner: Any, kind: Any) -> Any:
        return kind(inner[0]), st.lists(st.none() | inner[1], max_size=3)

    def fixed(inner: Any) -> Any:
        return pa.list_(inner[0], 2), st.lists(st.none() | inner[1], min_size=2, max_size=2)

    def mapped(inner: Any) -> Any:
        values = st.dictionaries(TEXTS, st.none() | inner[1], max_size=3)
        return pa.map_(pa.string(), inner[0]), values.map(lambda each: list(each.items()))

    return (
        st.dictionaries(TEXTS, kinds, max_size=3).map(struct)
        | st.builds(listed, kinds, sampled(pa.list_, pa.large_list, pa.list_view))
        | kinds.map(fixed)
        | kinds.map(mapped)
    )


TYPES = st.recursive(SCALARS, nested, max_leaves=5)


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    """A few columns of any types, some of their values null, perhaps cut out of longer ones."""
    columns = draw(st.dictionaries(TEXTS, TYPES, min_size=1, max_size=3))
    count = draw(st.integers(0, 5))
    arrays = []
    for kind, values in columns.values():
        drawn = draw(st.lists(st.none() | values, min_size=count, max_size=count))
        arrays.append(pa.array(drawn, kind))
    rows = pa.record_batch(arrays, names=list(columns))
    start = draw(st.integers(0, count))
    return rows.slice(start, draw(st.integers(0, count)))


@settings(max_examples=500, deadline=None)
@given(batches())
def test_columns_give_the_same_json_as_rows_one_by_one(rows: pa.RecordBatch) -> None:
    assert all(is_exact(kind) for kind in rows.schema.types)
    result = encoded(rows)
    reference = rows_as_json(rows)
    assert [text.decode() for text in result.texts()] == reference
    not_json = {at for at, text in enumerate(reference) if not is_json(text)}
    assert set(result.not_finite) == not_json


def is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(batches(), st.integers(0, 3), st.integers(0, 10**18))
@example(pa.record_batch([pa.array(["a", "b", "c"])], names=["n"]), 1, 7)
def test_messages_of_columns_equal_those_of_records(
    rows: pa.RecordBatch, start: int, first: int
) -> None:
    """Also for some of the rows of a batch."""
    texts = [text.encode() for text in rows_as_json(rows)][start:]
    numbers = range(first, first + len(texts))
    upserts = list(map(Upsert, numbers, map(Raw, texts)))
    if not texts:
        return
    messages, longest = encoded(rows).messages(start, start + len(texts), numbers)
    assert messages == UpsertEncoder().encode(upserts)
    assert longest == max(len(msgspec.json.encode(each)) for each in upserts)


@pytest.mark.parametrize(
    "values",
    [
        [NAN, None, 1.0],
        [[1.0, NAN], None, [1.0, None]],
        [{"n": NAN, "t": "a"}, None, {"n": 1.0, "t": None}],
    ],
    ids=["numbers", "lists", "structs"],
)
def test_a_null_next_to_nan_is_valid_json(values: list[Any]) -> None:
    assert encoded(pa.record_batch({"a": pa.array(values)})).not_finite == {0}


def not_utf8(indices: list[int]) -> pa.RecordBatch:
    texts = pa.array([b"good", b"b\xffd"]).view(pa.string())
    return pa.record_batch([pa.DictionaryArray.from_arrays(indices, texts)], names=["a"])


def test_a_value_without_exact_form_is_reported_with_its_row() -> None:
    with pytest.raises(InexactError) as caught:
        encoded(not_utf8([0, 0, 1]))
    assert caught.value.row == 2
    assert encoded(not_utf8([0, 0, 1]).slice(0, 2)).texts() == [b'{"a":"good"}'] * 2


@pytest.mark.parametrize("within", [lambda kind: pa.list_(kind, 2), pa.list_, pa.large_list])
def test_nested_maps_with_null_values_are_written(within: Callable[[Any], Any]) -> None:
    """Arrow's cast of such maps returns invalid arrays."""
    kind = within(pa.map_(pa.string(), pa.map_(pa.string(), pa.null())))
    maps = [("", [("a", None), ("b", None), ("c", None)]), ("d", None)]
    rows = pa.record_batch([pa.array([None, [maps, None]], kind)], names=["m"])
    assert encoded(rows.slice(1)).texts() == [
        b'{"m":[{"":{"a":null,"b":null,"c":null},"d":null},null]}'
    ]
    (portion,) = portions_of(rows, 1_000, 1_000)
    assert portion.num_rows == 2


LONG_TEXT = "x" * 1_000


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[LONG_TEXT]] * 3, pa.list_(pa.string(), 1)),
        pa.ExtensionArray.from_storage(pa.json_(), pa.array([f'"{LONG_TEXT}"'] * 3)),
        raw_json([f'"{LONG_TEXT}"'] * 3),
    ],
    ids=["lists of fixed size", "JSON", "raw JSON"],
)
def test_long_values_of_any_type_are_measured(column: Any) -> None:
    rows = pa.record_batch({"a": column})
    assert [each.num_rows for each in portions_of(rows, 1_500, 1_500)] == [1, 1, 1]
    with pytest.raises(InexactError, match="makes the row longer than 900 bytes"):
        list(portions_of(rows, 900, 900))
