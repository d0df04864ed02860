"""Converts Spark types to JSON Schema, as a Singer tap would declare them.

Invariant: the JSON Schema allows every value of the type, so records need no check against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Raw
from pyspark.sql import types as spark

from target_stitch_import.errors import InputError, quoted

if TYPE_CHECKING:
    from pyspark.sql.types import DataType, StructType

_INTEGERS = {
    spark.ByteType: 8,
    spark.ShortType: 16,
    spark.IntegerType: 32,
    spark.LongType: 64,
}
_DATE_TIMES = (spark.TimestampType, spark.TimestampNTZType, spark.DateType)
"""A date is sent as its midnight in UTC, because the Import API has no dates without a time."""
_TEXTS: tuple[type[DataType], ...] = (
    spark.StringType,
    spark.BinaryType,
    spark.NullType,
)
if hasattr(spark, "TimeType"):  # since Spark 4.1
    _TEXTS = (*_TEXTS, spark.TimeType)


def json_schema(columns: StructType, *, nan_to_null: bool = False) -> bytes:
    """Return the JSON Schema of rows with these columns.

    Args:
        columns: Spark's schema of the rows.
        nan_to_null: Whether every float may be null, because NaN is sent as null.

    Raises:
        InputError: A column's type has no JSON form, or two columns have the same name.
    """
    names = columns.fieldNames()
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"The data has two columns {quoted(name)}: rename one of them.")
    properties = {
        each.name: {}  # a variant may be anything
        if isinstance(each.dataType, spark.VariantType)
        else _Column(each.name, nan_to_null).schema(each.dataType, nullable=each.nullable)
        for each in columns
    }
    return msgspec.json.encode({"type": "object", "properties": properties})


def contains(kind: DataType, wanted: type[DataType]) -> bool:
    """Return whether `kind` is of the type `wanted`, or has values of that type at any depth."""
    if isinstance(kind, spark.ArrayType):
        return contains(kind.elementType, wanted)
    if isinstance(kind, spark.MapType):
        return contains(kind.valueType, wanted)  # keys are strings
    if isinstance(kind, spark.StructType):
        return any(contains(each.dataType, wanted) for each in kind)
    return isinstance(kind, wanted)


class _Column(NamedTuple):
    name: str
    nan_to_null: bool

    def schema(self, kind: DataType, *, nullable: bool = True) -> dict[str, Any]:
        schema = self._not_null(kind)
        is_float = isinstance(kind, (spark.FloatType, spark.DoubleType))
        if (nullable or (is_float and self.nan_to_null)) and "type" in schema:
            schema["type"] = ["null", schema["type"]]
        return schema

    def _not_null(self, kind: DataType) -> dict[str, Any]:
        if bits := _INTEGERS.get(type(kind)):
            most = 2 ** (bits - 1)
            return {"type": "integer", "minimum": -most, "maximum": most - 1}
        if isinstance(kind, spark.DecimalType):
            if not kind.scale:
                return {"type": "integer"}
            step = f"0.{'0' * (kind.scale - 1)}1"
            return {"type": "number", "multipleOf": Raw(step.encode())}
        if isinstance(kind, spark.FractionalType):
            return {"type": "number"}
        if isinstance(kind, spark.BooleanType):
            return {"type": "boolean"}
        if isinstance(kind, _DATE_TIMES):
            return {"type": "string", "format": "date-time"}
        if isinstance(kind, _TEXTS):
            return {"type": "string"}
        return self._nested(kind)

    def _nested(self, kind: DataType) -> dict[str, Any]:
        if isinstance(kind, spark.ArrayType):
            items = self.schema(kind.elementType, nullable=kind.containsNull)
            return {"type": "array", "items": items}
        if isinstance(kind, spark.StructType):
            names = kind.fieldNames()
            if len(set(names)) < len(names):
                raise InputError(
                    f"Column {quoted(self.name)} has a struct with two fields of the same name: "
                    "rename one of them."
                )
            members = {
                each.name: self.schema(each.dataType, nullable=each.nullable) for each in kind
            }
            return {"type": "object", "properties": members}
        if isinstance(kind, spark.MapType) and isinstance(kind.keyType, spark.StringType):
            values = self.schema(kind.valueType, nullable=kind.valueContainsNull)
            return {"type": "object", "additionalProperties": values}
        shown = quoted(kind.simpleString(), mark="")
        raise InputError(
            f"Column {quoted(self.name)} has or contains the type {shown}, which has no JSON form: "
            "cast it to a string, or leave it out."
        )
