"""Explains why a record does not fit its schema, in the words of the live service's validator.

Slow and thorough: runs only on a record that the compiled validator has refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

from target_stitch_import.local.api.numbers import is_number, number_violations
from target_stitch_import.local.api.schemas import referred
from target_stitch_import.local.api.values import pointer, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAMES = {
    "string": "String",
    "integer": "Integer",
    "number": "Number",
    "boolean": "Boolean",
    "object": "JSONObject",
    "array": "JSONArray",
    "null": "null",
}
_DATE_TIME_FORMS = "[yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,9}Z]"
MAX_DEPTH = 200  # of subschemas; deeper violations are left out, or Python's stack would overflow

Path = tuple[str | int, ...]


def explain(root: Any, record: Any, is_date_time: Callable[[str], bool]) -> str:
    """List the violations of `record` against schema `root`, joined as the API joins them.

    `root` is what `schemas.usable` returned. The text is empty when nothing is wrong.
    """
    found = list(_Walk(root, is_date_time).violations(root, record, ()))
    if len(found) > 1:
        found.insert(0, f"#: {len(found)} schema violations found")
    return " ".join(found)


class _Walk:
    """One walk of a record and its schema side by side."""

    def __init__(self, root: Any, is_date_time: Callable[[str], bool]) -> None:
        self._root = root
        self._is_date_time = is_date_time

    def violations(self, schema: Any, value: Any, path: Path, depth: int = 0) -> Iterator[str]:
        """Yield each violation, prefixed by its pointer."""
        if depth > MAX_DEPTH:
            return
        if "$ref" in schema:
            yield from self.violations(referred(self._root, schema), value, path, depth + 1)
            return
        wrong = self._type(schema, value, path)
        if wrong:
            yield wrong
            return
        if isinstance(value, dict):
            yield from self._object(schema, value, path, depth)
        elif isinstance(value, list):
            yield from self._array(schema, value, path, depth)
        elif isinstance(value, str):
            yield from self._string(schema, value, path)
        elif is_number(value):
            for words in number_violations(schema, value):
                yield f"{pointer(path)}: {words}"
        if "enum" in schema and not _fits({"enum": schema["enum"]}, value):
            yield f"{pointer(path)}: {_shown(value)} is not a valid enum value"
        yield from self._combined(schema, value, path, depth)

    def _type(self, schema: Any, value: Any, path: Path) -> str:
        """Check only the type; several types are worded as an any-of, in declared order."""
        expected = schema.get("type")
        if expected is None or _fits({"type": expected}, value):
            return ""
        here = pointer(path)
        found = type_name(value)
        if isinstance(expected, str) or len(expected) == 1:
            name = expected if isinstance(expected, str) else expected[0]
            return f"{here}: expected: {_NAMES[name]}, found: {found}"
        parts = [
            f"{here}: #: no subschema matched out of the total {len(expected)} subschemas",
            *(f"{here}: expected: {_NAMES[name]}, found: {found}" for name in expected),
        ]
        return " ".join(parts)

    def _object(self, schema: Any, value: Any, path: Path, depth: int) -> Iterator[str]:
        properties = schema.get("properties", {})
        patterns = schema.get("patternProperties", {})
        rest = [
            name
            for name in value
            if name not in properties and not any(_matches(each, name) for each in patterns)
        ]
        additional = schema.get("additionalProperties", True)
        here = pointer(path)
        yield from (f"{here}: {words}" for words in _missing_members(schema, value))
        if additional is False:
            for name in rest:
                yield f"{here}: extraneous key [{name}] is not permitted"
        least, most = schema.get("minProperties"), schema.get("maxProperties")
        if least is not None and len(value) < least:
            yield f"{here}: minimum size: [{least}], found: [{len(value)}]"
        if most is not None and len(value) > most:
            yield f"{here}: maximum size: [{most}], found: [{len(value)}]"
        for name, needed in schema.get("dependencies", {}).items():
            if name in value and isinstance(needed, dict):
                yield from self.violations(needed, value, path, depth + 1)
        pairs = [(name, subschema) for name, subschema in properties.items() if name in value]
        pairs += [
            (name, subschema)
            for pattern, subschema in patterns.items()
            for name in value
            if _matches(pattern, name)
        ]
        if isinstance(additional, dict):
            pairs += [(name, additional) for name in rest]
        for name, subschema in pairs:
            yield from self.violations(subschema, value[name], (*path, name), depth + 1)

    def _array(self, schema: Any, value: Any, path: Path, depth: int) -> Iterator[str]:
        here = pointer(path)
        least, most = schema.get("minItems"), schema.get("maxItems")
        if least is not None and len(value) < least:
            yield f"{here}: expected minimum item count: {least}, found: {len(value)}"
        if most is not None and len(value) > most:
            yield f"{here}: expected maximum item count: {most}, found: {len(value)}"
        if schema.get("uniqueItems") and not _fits({"uniqueItems": True}, value):
            yield f"{here}: array items are not unique"
        items = schema.get("items")
        for index, item in enumerate(value):
            subschema = items
            if isinstance(items, list):
                if index < len(items):
                    subschema = items[index]
                else:
                    subschema = schema.get("additionalItems", True)
            if isinstance(subschema, dict):
                yield from self.violations(subschema, item, (*path, index), depth + 1)
            elif subschema is False:
                yield f"{here}: expected: [{len(items)}] array items, found: [{len(value)}]"
                return

    def _string(self, schema: Any, value: str, path: Path) -> Iterator[str]:
        here = pointer(path)
        least, most = schema.get("minLength"), schema.get("maxLength")
        if least is not None and len(value) < least:
            yield f"{here}: expected minLength: {least}, actual: {len(value)}"
        if most is not None and len(value) > most:
            yield f"{here}: expected maxLength: {most}, actual: {len(value)}"
        pattern = schema.get("pattern")
        if pattern is not None and not _matches(pattern, value):
            yield f"{here}: string [{value}] does not match pattern {pattern}"
        if schema.get("format") == "date-time" and not self._is_date_time(value):
            yield f"{here}: [{value}] is not a valid date-time. Expected {_DATE_TIME_FORMS}"

    def _combined(self, schema: Any, value: Any, path: Path, depth: int) -> Iterator[str]:
        here = pointer(path)
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword not in schema:
                continue
            total = len(schema[keyword])
            each = [
                list(self.violations(subschema, value, path, depth + 1))
                for subschema in schema[keyword]
            ]
            passed = sum(not violations for violations in each)
            words = {
                "allOf": f"only {passed} subschema matches out of {total}",
                "anyOf": f"no subschema matched out of the total {total} subschemas",
                "oneOf": f"{passed} subschemas matched instead of one",
            }[keyword]
            fine = {"allOf": passed == total, "anyOf": passed > 0, "oneOf": passed == 1}[keyword]
            if not fine:
                inner = (text for violations in each for text in violations)
                yield " ".join([f"{here}: #: {words}", *inner])
        if "not" in schema and not list(self.violations(schema["not"], value, path, depth + 1)):
            yield f"{here}: subject must not be valid against schema {_shown(schema['not'])}"


def _missing_members(schema: dict[str, Any], value: dict[str, Any]) -> Iterator[str]:
    """Yield an error for each member that is missing."""
    for name in schema.get("required", ()):
        if name not in value:
            yield f"required key [{name}] not found"
    for name, needed in schema.get("dependencies", {}).items():
        if name in value and isinstance(needed, list):
            yield from (f"property [{each}] is required" for each in needed if each not in value)


def _fits(schema: dict[str, Any], value: Any) -> bool:
    """Check one keyword with the validator's library, so that explanation and check agree."""
    return jsonschema_rs.Draft4Validator(schema).is_valid(value)


def _matches(pattern: str, text: str) -> bool:
    return _fits({"pattern": pattern}, text)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
