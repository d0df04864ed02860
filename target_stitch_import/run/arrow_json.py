"""Converts whole Arrow columns to JSON texts, for Parquet files and for Spark.

Invariant: values stay exact, or are refused. Decimals and doubles keep their digits. Times are
written in the format of RFC 3339, in UTC if the type has a time zone, else without an offset.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import simplejson
from msgspec import Struct
from pyarrow import types

from target_stitch_import.run.arrow_types import (
    InexactError,
    RawJson,
    is_binary,
    is_list,
    is_text,
    map_items,
)
from target_stitch_import.singer.lines import is_utf8

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyarrow import Array, DataType

_NEEDS_ESCAPES = '["\\\\\x00-\x1f]'
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800
"""Seconds since 1970. RFC 3339 has four digits for a year, and most databases have no year 0."""
NULL = "\0\0"
"""Placeholder for null between quotes until rows are joined, which saves a pass over each column
with nulls. JSON text contains no such character; with quotes it is as long as `null`."""
_DAY_SECONDS = 86_400
_MIN_PLAIN, _MAX_PLAIN = 1e-4, 1e9
"""In this range, Arrow writes a double as Python does, without an exponent."""


class Texts(Struct, frozen=True):
    """One JSON text per value, null for JSON's null; `mark` belongs on both sides of each value.

    The mark, a quotation mark or nothing, is added when values are joined, which saves a pass.
    """

    values: Array
    mark: str = ""
    has_nonfinite: bool = False

    def whole(self) -> Array:
        """Return the texts with their marks."""
        return _joined(self.mark, self.values, self.mark) if self.mark else self.values

    def filled(self) -> Texts:
        """Return the texts with the placeholder `NULL` instead of null, if they have marks."""
        if self.mark and self.values.null_count:
            return Texts(self.values.fill_null(NULL), self.mark, self.has_nonfinite)
        return self


def _joined(*parts: str | Array) -> Array:
    """Join `parts` element by element; the result is null if any part is null."""
    return pc.binary_join_element_wise(*map(as_large, parts), as_large(""))


def as_large(part: str | Array) -> Any:
    """Return text as Arrow's type `large_string`, which has room for more than 2 GB."""
    if isinstance(part, str):
        return pa.scalar(part, pa.large_string())
    return part if types.is_large_string(part.type) else part.cast(pa.large_string())


def _object(names: list[str], columns: list[Texts]) -> Array:
    """Return JSON objects with these members; there must be at least one."""
    return joined_parts(object_parts(names, columns))


def object_parts(names: list[str], columns: list[Texts]) -> list[str | Array]:
    """Return the parts from which objects with these members are joined; the first is a text."""
    parts: list[str | Array] = []
    literal = "{"
    for name, column in zip(names, map(Texts.filled, columns), strict=True):
        parts += [f"{literal}{encode_basestring(name)}:{column.mark}", column.values]
        literal = f"{column.mark},"
    return [*parts, f"{literal[:-1]}}}"] if columns else ["{}"]


def joined_parts(parts: list[str | Array]) -> Array:
    """Join `parts` element by element; null becomes JSON's null."""
    return pc.binary_join_element_wise(
        *map(as_large, parts), as_large(""), null_handling="replace", null_replacement="null"
    )


def texts_of(array: Array) -> Texts:
    """Return the values of a column as JSON texts.

    Raises:
        InexactError: A value has no exact form in JSON; the error has its row.
    """
    kind = array.type
    if types.is_nested(kind) and not types.is_map(kind):
        if types.is_struct(kind):
            return _structs(array)
        if is_list(kind):
            return _lists(array)
        return _by_value(array)
    for is_of, texts in _BY_TYPE:
        if is_of(kind):
            return texts(array)
    return _by_value(array)


def _plain(array: Array) -> Texts:
    return Texts(array.cast(pa.large_string()))


def _strings(array: Array) -> Texts:
    array = as_large(array)
    _check_utf8(array)
    needs = pc.match_substring_regex(array, _NEEDS_ESCAPES)
    if not pc.any(needs).as_py():
        return Texts(array, '"')
    found = array.filter(needs).to_pylist()
    escaped = pa.array([encode_basestring(text)[1:-1] for text in found], pa.large_string())
    return Texts(pc.replace_with_mask(array, needs, escaped), '"')


def _check_utf8(texts: Array) -> None:
    """Raise `InexactError` for a text that is not UTF-8: Arrow does not check what a file says."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        values = texts.cast(pa.large_binary()).to_pylist()
        row = next(at for at, text in enumerate(values) if text and not is_utf8(text))
        raise InexactError(row, "contains a string that is not UTF-8") from None


def _floats(array: Array) -> Texts:
    """Write doubles as Python's `repr` does: with the fewest digits that identify the number."""
    doubles = array.cast(pa.float64())
    size = pc.abs(doubles)
    is_plain = pc.or_(
        pc.and_(pc.greater_equal(size, _MIN_PLAIN), pc.less(size, _MAX_PLAIN)),
        pc.equal(size, 0.0),
    )
    is_whole = pc.and_(is_plain, pc.equal(doubles, pc.trunc(doubles)))
    texts = doubles.cast(pa.large_string())
    if pc.any(is_whole).as_py():
        texts = pc.if_else(is_whole, _joined(texts, ".0"), texts)
    if pc.all(is_plain).as_py() is not False:
        return Texts(texts)
    others = doubles.filter(pc.invert(is_plain))
    written = pa.array(map(_TOLERANT_ENCODER.encode, others.to_pylist()), pa.large_string())
    has_nonfinite = not pc.all(pc.is_finite(others)).as_py()
    texts = pc.replace_with_mask(texts, pc.invert(is_plain), written)
    return Texts(texts, has_nonfinite=has_nonfinite)


def _dates(array: Array) -> Texts:
    days = array
    if types.is_date64(array.type):  # a cast would round towards 1970
        days = pc.floor(pc.divide(array.cast(pa.int64()).cast(pa.float64()), 86_400_000.0))
        days = days.cast(pa.int32()).cast(pa.date32())
    _check_years(days.cast(pa.int32()), _YEAR_1 // _DAY_SECONDS, _YEAR_10000 // _DAY_SECONDS)
    return Texts(days.cast(pa.large_string()), '"')


def _timestamps(array: Array) -> Texts:
    kind = array.type
    # Arrow counts from 1970 in UTC, whatever the time zone, so no zone database is needed.
    array = array.view(pa.timestamp(kind.unit))
    if kind.unit == "ns":
        array = _cast_down(array, pa.timestamp("us"))
    per_second = 1_000_000 // _MICROSECONDS[array.type.unit]
    ticks = array.view(pa.int64())
    _check_years(ticks, _YEAR_1 * per_second, _YEAR_10000 * per_second)
    texts = pc.binary_replace_slice(
        _fractions(array, pa.timestamp("s"), pa.timestamp("us")).cast(pa.large_binary()),
        start=10,
        stop=11,
        replacement=b"T",
    ).cast(pa.large_string())
    return Texts(_joined(texts, "Z") if kind.tz else texts, '"')


def _times(array: Array) -> Texts:
    if array.type == pa.time64("ns"):
        array = _cast_down(array, pa.time64("us"))
    return Texts(_fractions(array, pa.time32("s"), pa.time64("us")), '"')


def _cast_down(array: Array, kind: DataType) -> Array:
    """Cast from nanoseconds to microseconds.

    Raises:
        InexactError: A time is not a whole number of microseconds.
    """
    coarse = array.cast(kind, safe=False)
    is_finer = pc.not_equal(coarse.cast(array.type), array)
    if pc.any(is_finer).as_py():
        raise InexactError(_first(is_finer), "contains a time finer than a microsecond")
    return coarse


def _fractions(array: Array, seconds: DataType, micros: DataType) -> Array:
    """Write times with six digits after the second, or without if all six are zero."""
    whole = array.cast(seconds, safe=False)
    if array.type == seconds:
        return whole.cast(pa.large_string())
    is_whole = pc.equal(whole.cast(array.type), array)
    if pc.all(is_whole).as_py() is not False:
        return whole.cast(pa.large_string())
    texts = array.cast(micros).cast(pa.large_string())
    if not pc.any(is_whole).as_py():
        return texts
    return pc.if_else(is_whole, whole.cast(pa.large_string()), texts)


def _check_years(numbers: Array, least: int, beyond: int) -> None:
    ends = pc.min_max(numbers).as_py()
    if ends["min"] is not None and not least <= ends["min"] <= ends["max"] < beyond:
        is_outside = pc.or_(pc.less(numbers, least), pc.greater_equal(numbers, beyond))
        raise InexactError(_first(is_outside), "contains a date outside the years 1 to 9999")


def _first(flags: Array) -> int:
    """Return the index of the first true value; there must be one."""
    return int(pc.index(flags, True).as_py())


def _dictionaries(array: Array) -> Texts:
    if len(array.dictionary) > len(array):
        return texts_of(array.dictionary_decode())
    try:
        known = texts_of(array.dictionary)
    except InexactError:
        # Decoded, the error names the row that has the value; perhaps no row has it.
        return texts_of(array.dictionary_decode())
    values = known.values.take(array.indices)
    return Texts(values, known.mark, known.has_nonfinite)


def _structs(array: Array) -> Texts:
    kind = array.type
    if not kind.num_fields:
        values = Texts(as_large(pa.array(["{}"] * len(array))))
        return _with_nulls_of(array, values)
    # `flatten` makes members null where their struct is null.
    columns = [texts_of(member) for member in array.flatten()]
    names = [kind.field(at).name for at in range(kind.num_fields)]
    has_nonfinite = any(column.has_nonfinite for column in columns)
    return _with_nulls_of(array, Texts(_object(names, columns), has_nonfinite=has_nonfinite))


def _with_nulls_of(array: Array, texts: Texts) -> Texts:
    if not array.null_count:
        return texts
    null = pa.scalar(None, pa.large_string())
    values = pc.if_else(array.is_valid(), texts.values, null)
    return Texts(values, has_nonfinite=texts.has_nonfinite)


def _lists(array: Array) -> Texts:
    inner = _of_elements(array, lambda: texts_of(array.flatten()))
    return _brackets(array, inner.whole().fill_null("null"), "[]", inner)


def _maps(array: Array) -> Texts:
    items = map_items(array)
    pairs = items.flatten()
    parents = pc.list_parent_indices(items)
    keys, values = pairs.flatten()
    _check_keys(parents, keys)
    inner = _of_elements(items, lambda: texts_of(values))
    members = _joined(_strings(keys).whole(), ":", inner.whole().fill_null("null"))
    return _brackets(items, members, "{}", inner)


def _of_elements(array: Array, texts: Callable[[], Texts]) -> Texts:
    """Return the texts of a list's elements; an `InexactError` gets the row of the list."""
    try:
        return texts()
    except InexactError as error:
        error.row = pc.list_parent_indices(array)[error.row].as_py()
        raise


def _check_keys(parents: Array, keys: Array) -> None:
    """Raise `InexactError` for a map with a duplicate key: one of two members would be lost."""
    pairs = pa.table({"row": parents, "key": keys})
    counts = pairs.group_by(["row", "key"], use_threads=False).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        raise InexactError(twice["row"][0].as_py(), "contains a map that has a key twice")


def _brackets(array: Array, elements: Array, marks: str, inner: Texts) -> Texts:
    """Join the texts of all elements to the texts of their lists."""
    # A null list has no elements in `elements`, whatever its offsets say.
    sizes = pc.list_value_length(array).fill_null(0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(sizes)])
    joined = pc.binary_join(pa.LargeListArray.from_arrays(offsets, elements), as_large(","))
    texts = Texts(_joined(marks[0], joined, marks[1]), has_nonfinite=inner.has_nonfinite)
    return _with_nulls_of(array, texts)


def _nulls(array: Array) -> Texts:
    return Texts(pa.nulls(len(array), pa.large_string()))


def _base64(array: Array) -> Texts:
    import base64  # noqa: PLC0415 - only Spark has such columns

    values = [
        None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()
    ]
    return Texts(pa.array(values, pa.large_string()), '"')


def _extensions(array: Array) -> Texts:
    if isinstance(array.type, RawJson):
        return Texts(array.storage)
    if array.type.extension_name == "arrow.json":
        return _strings(array.storage)
    values = [None if value is None else str(value) for value in array.to_pylist()]
    return Texts(pa.array(values, pa.large_string()), '"')  # UUIDs


def _by_value(array: Array) -> Texts:
    """Write types that need another form first: run-end encoded values, and list views."""
    if types.is_run_end_encoded(array.type):
        return texts_of(pc.run_end_decode(array))
    return texts_of(pa.array(array.to_pylist(), pa.large_list(array.type.value_type)))


_TOLERANT_ENCODER = simplejson.JSONEncoder(allow_nan=True)
_BY_TYPE: tuple[tuple[Callable[[DataType], Any], Callable[[Array], Texts]], ...] = (
    (is_text, _strings),
    (types.is_integer, _plain),
    (types.is_decimal, _plain),
    (types.is_boolean, _plain),
    (types.is_timestamp, _timestamps),
    (types.is_date, _dates),
    (types.is_floating, _floats),
    (types.is_dictionary, _dictionaries),
    (types.is_map, _maps),
    (types.is_time, _times),
    (types.is_null, _nulls),
    (is_binary, _base64),
    (lambda kind: isinstance(kind, pa.BaseExtensionType), _extensions),
)
