"""Arrow types: which have an exact form in JSON, and which JSON types their values have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from target_stitch_import.schema.node import TYPES

if TYPE_CHECKING:
    from pyarrow import Array, DataType, RecordBatch


class InexactError(Exception):
    """A value has no exact form in JSON, or makes its row too long.

    Args:
        row: The index of its row in the rows that are being converted.
        reason: The reason, as the end of a sentence that begins with the column.
        column: The name of its column, once that is known.
    """

    def __init__(self, row: int, reason: str, column: str = "") -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason
        self.column = column


def is_exact(kind: DataType) -> bool:
    """Return whether all values of a type have an exact form in JSON."""
    if types.is_map(kind):
        return is_text(kind.key_type) and is_exact(kind.item_type)
    if types.is_nested(kind):
        members = (kind.field(at).type for at in range(kind.num_fields))
        return not types.is_union(kind) and all(map(is_exact, members))
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return is_exact(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return kind.extension_name in {"arrow.uuid", "arrow.json"}
    return not (types.is_duration(kind) or types.is_interval(kind) or is_binary(kind))


def is_text(kind: DataType) -> bool:
    """Return whether values of this type are text."""
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_binary(kind: DataType) -> bool:
    """Return whether values of this type are bytes."""
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def is_list(kind: DataType) -> bool:
    """Return whether values of this type are lists, except list views."""
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


class RawJson(pa.ExtensionType):  # type: ignore[misc] # pyarrow has no type hints
    """The type of texts that are JSON already, and are sent unchanged."""

    def __init__(self) -> None:
        super().__init__(pa.large_string(), "target_stitch_import.json")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: DataType, serialized: bytes) -> RawJson:
        """Return the type; it has no parameters."""
        return cls()


def raw_json(texts: list[str | None]) -> Array:
    """Return a column of texts that are JSON already."""
    return pa.ExtensionArray.from_storage(RawJson(), pa.array(texts, pa.large_string()))


def map_items(array: Array) -> Array:
    """Return maps as lists of pairs.

    The lists are rebuilt, because Arrow's cast of maps with values of the type null returns arrays
    whose members differ in length, and reading those can crash the process.
    """
    kind = array.type
    pairs = pa.StructArray.from_arrays(
        [array.keys, array.items], fields=[kind.key_field, kind.item_field]
    )
    if not len(array):
        return pa.array([], pa.list_(pairs.type))
    first = array.offsets[0].as_py()
    offsets = pc.subtract(array.offsets, first)
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(offsets, pairs.slice(first), mask=mask)


def known_types(rows: RecordBatch) -> dict[str, frozenset[str]]:
    """Return the JSON types of each column's values; all types if the Arrow type leaves it open.

    `date-time` means strings that the Import API accepts as date-times.
    """
    found = {}
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        values = column.dictionary if types.is_dictionary(column.type) else column
        known = _json_type(values.type)
        nulls = {"null"} if column.null_count or values.null_count else set()
        found[name] = frozenset({known, *nulls}) if known else TYPES
    return found


def _json_type(kind: DataType) -> str | None:
    """Return the JSON type of values that are not null; None if it depends on the value."""
    if types.is_integer(kind):
        return "integer"
    if types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_timestamp(kind):
        return "date-time" if kind.tz else "string"
    return "string" if is_text(kind) or types.is_date(kind) or types.is_time(kind) else None
