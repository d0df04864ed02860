"""The exact check of one record: `jsonschema` (Draft 4) on exact decimals, and the API's own rules.

Law: its words name field and rule, and hold nothing of the record but names and types.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from target_stitch_import.errors import InputError, KeyMissingError, quoted
from target_stitch_import.limits import MAX_KEY_CHARACTERS
from target_stitch_import.schema.date_times import is_date_time
from target_stitch_import.schema.record_type import MAX_PLAIN_KEY_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import ValidationError
    from msgspec import Raw

    from target_stitch_import.schema.draft4 import JsonSchema

_LONGEST_NUMBER = 4_000


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a record cannot be sent: `field` is a JSON Pointer into it, empty for the whole.

    `error` is what a run ends with that sets nothing aside.
    """

    field: str
    reason: str
    error: type[InputError] = InputError

    def __str__(self) -> str:
        return f"field {quoted(self.field)}: {self.reason}" if self.field else self.reason


def exact_decimal(text: str) -> Decimal:
    """Return a number exactly; refuse what would fill the memory once it is written out."""
    number = Decimal(text)
    if len(text) > _LONGEST_NUMBER or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise ValueError("it is too long, or its exponent too large")
    return number


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("it is too long")
    return int(text)


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def parse_exactly(record: Raw | bytes) -> tuple[Any, Refused | None]:
    """Return the value of a record with exact numbers, or why it has none."""
    try:
        value = json.loads(
            bytes(record), parse_float=exact_decimal, parse_int=_integer, parse_constant=_not_json
        )
    except RecursionError:
        return None, Refused("", "it is nested too deeply")
    except json.JSONDecodeError:
        return None, Refused("", "it is not JSON")
    except ValueError as error:
        return None, Refused("", f"it holds a number that cannot be checked: {error}")
    return value, None


def data_points(value: object) -> int:
    """Count scalars, `null` included, as the Import API counts data points."""
    points = 0
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        else:
            points += 1
    return points


def json_type(value: object) -> str:
    """Return the JSON Schema name of a parsed value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, Decimal):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"


def refused_key(key: str, record: dict[str, Any], notes: dict[str, str]) -> Refused | None:
    """Return why a key property cannot be sent, or None; `notes` takes what is unusual of it."""
    field = f"/{key}"
    if key not in record:
        return Refused(field, "the key property is missing", KeyMissingError)
    value = record[key]
    if value is None or isinstance(value, dict | list):
        return Refused(field, f"a key property cannot be {json_type(value)}")
    if isinstance(value, str) and len(value) > MAX_KEY_CHARACTERS:
        return Refused(
            field,
            f"the key is {len(value):,} characters long; "
            f"the Import API takes {MAX_KEY_CHARACTERS:,}",
        )
    if value == "":
        notes[field] = "some keys are empty strings"
    elif isinstance(value, str) and len(value) > MAX_PLAIN_KEY_CHARACTERS:
        notes[field] = (
            f"some keys are longer than {MAX_PLAIN_KEY_CHARACTERS} characters, "
            "which some destinations cut or refuse"
        )
    return None


def refused_by_schema(schema: JsonSchema, record: dict[str, Any]) -> Refused | None:
    """Return which rule of an enforced schema a record breaks, or None."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - slow to import, rarely needed

    try:
        error = best_match(_exact_validator()(schema).iter_errors(record))
    except RecursionError:
        return Refused("", "it is nested too deeply")
    if error is None:
        return None
    path = "".join(f"/{part}" for part in error.absolute_path)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return Refused(f"{path}/{missing[0]}", "a required member is missing")
    return Refused(path, _words(str(error.validator), error.validator_value, error.instance))


def _words(keyword: str, expected: Any, found: Any) -> str:
    """Say which rule was broken, in words that hold nothing of the record but its types."""
    if keyword == "type":
        types = expected if isinstance(expected, list) else [expected]
        return f"expected {' or '.join(types)}, found {json_type(found)}"
    if keyword == "format":
        return "expected a date-time with an offset, as in 2024-01-31T23:59:59Z"
    if keyword in {"anyOf", "oneOf"}:
        return f"it fits none, or too many, of the {len(expected)} alternatives of `{keyword}`"
    if keyword == "additionalProperties":
        return "it has a member that the schema does not allow"
    if keyword == "enum":
        return f"it is none of the {len(expected)} values of `enum`"
    if isinstance(expected, int | Decimal | str | bool):
        return f"it breaks `{keyword}`: {quoted(str(expected), mark='')}"
    return f"it breaks `{keyword}`"


@lru_cache(maxsize=1)
def _exact_validator() -> Any:
    """Return Draft 4 with exact `multipleOf`, patterns that cannot hang, and our date-times."""
    from jsonschema import Draft4Validator, FormatChecker, ValidationError  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415

    formats = FormatChecker(formats=())
    formats.checks("date-time")(is_date_time)

    def multiple_of(_: Any, factor: Any, number: Any, __: Any) -> Iterator[ValidationError]:
        if json_type(number) in {"integer", "number"} and not _is_multiple(number, factor):
            yield ValidationError("")

    def pattern(_: Any, expression: str, text: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(text, str) and not _matches(expression, text):
            yield ValidationError("")

    def additional_properties(
        validator: Any, rest: Any, record: Any, schema: JsonSchema
    ) -> Iterator[ValidationError]:
        extra = _extra_properties(schema, record)
        if extra and rest is False:
            yield ValidationError("")
        if isinstance(rest, dict):
            yield from _below(validator, record, extra, rest)

    changed = {
        "additionalProperties": additional_properties,
        "multipleOf": multiple_of,
        "pattern": pattern,
        "patternProperties": _pattern_properties,
    }
    validator = extend(Draft4Validator, changed)  # type: ignore[no-untyped-call]
    return lambda schema: validator(schema, format_checker=formats)


def _pattern_properties(
    validator: Any, patterns: dict[str, JsonSchema], record: Any, _: Any
) -> Iterator[ValidationError]:
    for expression, schema in patterns.items():
        if isinstance(record, dict):
            names = [name for name in record if _matches(expression, name)]
            yield from _below(validator, record, names, schema)


def _extra_properties(schema: JsonSchema, record: Any) -> list[str]:
    """Return the members of an object that neither a name nor a pattern of the schema covers."""
    if not isinstance(record, dict):
        return []
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return [
        name
        for name in record
        if name not in known and not any(_matches(expression, name) for expression in patterns)
    ]


def _below(
    validator: Any, record: dict[str, Any], names: list[str], schema: JsonSchema
) -> Iterator[ValidationError]:
    for name in names:
        yield from validator.descend(record[name], schema, path=name)


def _is_multiple(number: int | Decimal, factor: int | Decimal) -> bool:
    with localcontext() as context:
        # Both have at most this many digits before and behind the point.
        context.prec = 4 * _LONGEST_NUMBER
        return bool(Decimal(number) % Decimal(factor) == 0)


@lru_cache(maxsize=256)
def _pattern(expression: str) -> Any:
    import jsonschema_rs  # noqa: PLC0415 - only where a schema needs it

    schema = {"pattern": expression}
    try:
        return jsonschema_rs.Draft4Validator(schema, pattern_options=jsonschema_rs.RegexOptions())
    except ValueError:
        pass
    try:
        options = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000)
        return jsonschema_rs.Draft4Validator(schema, pattern_options=options)
    except ValueError:
        return None


def _matches(expression: str, text: str) -> bool:
    """Search `text`; an expression that no engine takes is not enforced."""
    validator = _pattern(expression)
    return validator is None or bool(validator.is_valid(text))
