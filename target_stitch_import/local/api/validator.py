"""Checks records against a schema: by column where possible, else with a compiled validator.

Both checks agree; `explain` finds the reason for a refusal, by walking that record. Patterns
run in an engine that bounds its backtracking, and numbers are compared as exact decimals.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec

from target_stitch_import.local.api.date_times import (
    all_sure,
    is_date_time,
    is_strict_date_time,
)
from target_stitch_import.local.api.explain import Explanation, explain
from target_stitch_import.local.api.numbers import (
    KEYWORDS,
    is_multiple,
    is_number,
    number_violations,
    scale_of_step,
    written_scale,
)
from target_stitch_import.local.api.schemas import (
    COMBINATIONS,
    NAMED,
    REFERRED,
    SINGLE,
    InvalidSchemaError,
    usable,
)
from target_stitch_import.local.api.values import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_stitch_import.local.api.values import Columns

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_NUMBER = "x-number"
"""The keyword that replaces those of numbers in the compiled schema; its value is an index of the
rules, since the compiler would read the bounds themselves as doubles."""
_OF_TYPE: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, Decimal}),
    "boolean": frozenset({bool}),
    "object": frozenset({dict}),
    "array": frozenset({list}),
    "null": frozenset({type(None)}),
}
_ANY = frozenset().union(*_OF_TYPE.values())
_COLUMN_KEYWORDS = frozenset({"type", "format", "minLength", "maxLength", *KEYWORDS})
"""What the check of a column covers in the schema of a property."""
_RECORD_KEYWORDS = frozenset({"type", "properties"})
"""What the checks of all columns cover in the schema of a record."""


class RecordSchema:
    """One schema, compiled: `first_unfit` and `accepts` are quick, `explain` words the error."""

    def __init__(self, schema: Mapping[str, Any], *, strict_date_time: bool = False) -> None:
        self._is_date_time: Callable[[str], bool] = (
            is_strict_date_time if strict_date_time else is_date_time
        )
        self._strict = strict_date_time
        self.schema: dict[str, Any] = usable(schema)
        self.accepts = self._compile(self.schema)
        self._columns, rest = _by_column(self.schema)
        self._rest_accepts = self._compile(rest) if rest is not None else None

    def first_unfit(self, columns: Columns) -> int | None:
        """Return the position of the first record that does not fit, or None."""
        fit = all(
            self._column_fits(schema, columns, name) for name, schema in self._columns.items()
        )
        rest = self._rest_accepts
        if fit and (rest is None or all(map(rest, columns.records))):
            return None
        accepts = self.accepts
        return next((at for at, each in enumerate(columns.records) if not accepts(each)), None)

    def explain(self, record: Any) -> Explanation:
        """Say why `record` was refused, in the words of the live service's validator."""
        return explain(self.schema, record, self._is_date_time)

    def _compile(self, schema: dict[str, Any]) -> Callable[[Any], bool]:
        rules: list[dict[str, Any]] = []

        class Exact:
            """Compares numbers for the validator."""

            def __init__(self, _parent: Any, value: int, _path: Any) -> None:
                self._rule = rules[value]

            def validate(self, instance: Any) -> None:
                if is_number(instance) and next(number_violations(self._rule, instance), None):
                    raise ValueError

        try:
            validator = jsonschema_rs.Draft4Validator(
                _with_exact_numbers(schema, rules),
                validate_formats=True,
                formats={"date-time": self._is_date_time},
                keywords={_NUMBER: Exact},
                retriever=_never_fetch,
            )
        except (jsonschema_rs.ValidationError, ValueError) as error:
            raise InvalidSchemaError(_first_line(error)) from None
        return validator.is_valid

    def _column_fits(self, schema: dict[str, Any], columns: Columns, name: str) -> bool:
        """Return whether all values of a column fit; if not, the full check must decide."""
        values = columns.values.get(name)
        if values is None:
            return True
        kinds = columns.kinds[name] - _types(schema)
        if kinds and (kinds != _OF_TYPE["null"] or columns.has_null(name)):
            return False
        if schema.keys() <= {"type"}:
            return True
        texts: Sequence[str] = [each for each in values if type(each) is str]
        if texts and not self._texts_fit(schema, texts):
            return False
        numbers = [each for each in values if type(each) is int or type(each) is Decimal]
        return not numbers or _numbers_fit(schema, numbers)

    def _texts_fit(self, schema: dict[str, Any], texts: Sequence[str]) -> bool:
        # Checking dates one by one is still cheaper than the full check of every record.
        if (
            "format" in schema
            and (self._strict or not all_sure(texts))
            and not all(map(self._is_date_time, texts))
        ):
            return False
        if "maxLength" in schema and max(map(len, texts)) > schema["maxLength"]:
            return False
        return "minLength" not in schema or min(map(len, texts)) >= schema["minLength"]


def _by_column(
    schema: dict[str, Any],
) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
    """Return the properties that can be checked by column, and the rest of the schema, if any."""
    if "$ref" in schema or REFERRED in schema:
        return {}, schema  # targets of references must stay where they are
    if dict not in _types(schema):
        return {}, schema
    properties = schema.get("properties", {})
    columns = {name: each for name, each in properties.items() if each.keys() <= _COLUMN_KEYWORDS}
    if len(columns) == len(properties) and schema.keys() <= _RECORD_KEYWORDS:
        return columns, None
    # The names stay, because `additionalProperties` applies to all others.
    named: dict[str, Any] = {name: {} for name in columns}
    return columns, {**schema, "properties": {**properties, **named}}


def _types(schema: dict[str, Any]) -> frozenset[type]:
    names = schema.get("type")
    if names is None:
        return _ANY
    if isinstance(names, str):
        return _OF_TYPE[names]
    return frozenset().union(*(_OF_TYPE[name] for name in names))


def _numbers_fit(schema: dict[str, Any], numbers: list[int | Decimal]) -> bool:
    if "minimum" in schema or "maximum" in schema:
        bounds = {name: value for name, value in schema.items() if name != "multipleOf"}
        for each in (min(numbers), max(numbers)):
            if next(number_violations(bounds, each), None):
                return False
    step = schema.get("multipleOf")
    return step is None or _are_multiples(numbers, step)


def _are_multiples(numbers: list[int | Decimal], step: int | Decimal) -> bool:
    """Return whether all numbers are multiples of a step, such as 0.01."""
    scale = scale_of_step(step)
    # Only with a power of ten do the digits after the point decide.
    if step != Decimal((0, (1,), -scale)):
        return all(is_multiple(each, step) for each in numbers)
    longest, others = written_scale(each for each in numbers if type(each) is Decimal)
    return longest <= scale and all(is_multiple(each, step) for each in others)


def _with_exact_numbers(schema: Any, rules: list[dict[str, Any]]) -> Any:
    """Copy a usable schema with the keywords of numbers replaced; enum values stay as they are."""
    if not isinstance(schema, dict):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in (*NAMED, REFERRED, "dependencies"):
            copy[keyword] = {name: _with_exact_numbers(each, rules) for name, each in value.items()}
        elif keyword in COMBINATIONS or (keyword == "items" and isinstance(value, list)):
            copy[keyword] = [_with_exact_numbers(each, rules) for each in value]
        elif keyword in (*SINGLE, "items"):
            copy[keyword] = _with_exact_numbers(value, rules)
        elif keyword not in KEYWORDS:
            copy[keyword] = value
    rule = {keyword: schema[keyword] for keyword in KEYWORDS if keyword in schema}
    if rule:
        copy[_NUMBER] = len(rules)
        rules.append(rule)
    return copy


def compiled(schema: Mapping[str, Any], *, strict_date_time: bool = False) -> RecordSchema:
    """Compile `schema`, or raise InvalidSchemaError; recent ones are cached."""
    return _compiled(_ENCODER.encode(schema), strict_date_time)


@lru_cache(maxsize=256)
def _compiled(text: bytes, strict_date_time: bool) -> RecordSchema:  # noqa: FBT001 - a cache key
    return RecordSchema(parse(text), strict_date_time=strict_date_time)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "invalid")


def _never_fetch(uri: str) -> Any:
    raise ValueError(f"reference to another document: {uri}")
