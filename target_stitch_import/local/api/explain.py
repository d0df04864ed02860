"""Explains why a record does not fit its schema, in the words of the live service's validator.

Slow and thorough: runs only on a record that the compiled validator has refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from target_stitch_import.local.api.numbers import is_number, number_violations
from target_stitch_import.local.api.schemas import referred
from target_stitch_import.local.api.values import pointer, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is wrong: the text, and JSON Pointers (`#/a/b`) to the invalid values."""

    text: str
    places: tuple[str, ...]


def explain(root: Any, record: Any, is_date_time: Callable[[str], bool]) -> Explanation:
    """List the violations of `record` against schema `root`, joined as the API joins them.

    `root` is what `schemas.usable` returned. The text is empty when nothing is wrong.
    """
    found = list(_Walk(root, is_date_time).violations(root, record, ()))
    texts = [each.text for each in found]
    if len(found) > 1:
        texts.insert(0, f"#: {len(found)} schema violations found")
    return Explanation(" ".join(texts), _places(found))


class _Walk:
    """One walk of a record and its schema side by side."""

    def __init__(self, root: Any, is_date_time: Callable[[str], bool]) -> None:
        self._root = root
        self._is_date_time = is_date_time

    def violations(
        self, schema: Any, value: Any, path: Path, depth: int = 0
    ) -> Iterator[Explanation]:
        """Yield each violation; its text begins with its pointer."""
        if depth > MAX_DEPTH:
            return
        if "$ref" in schema:
            yield from self.violations(referred(self._root, schema), value, path, depth + 1)
            return
        wrong = self._type(schema, value, path)
        if wrong is not None:
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
                yield _violation(pointer(path), words)
        if "enum" in schema and not _fits({"enum": schema["enum"]}, value):
            yield _violation(pointer(path), f"{_shown(value)} is not a valid enum value")
        yield from self._combined(schema, value, path, depth)

    def _type(self, schema: Any, value: Any, path: Path) -> Explanation | None:
        """Check only the type; several types are worded as an any-of, in declared order."""
        expected = schema.get("type")
        if expected is None or _fits({"type": expected}, value):
            return None
        here = pointer(path)
        found = type_name(value)
        if isinstance(expected, str) or len(expected) == 1:
            name = expected if isinstance(expected, str) else expected[0]
            return _violation(here, f"expected: {_NAMES[name]}, found: {found}")
        words = f"#: no subschema matched out of the total {len(expected)} subschemas"
        parts = [_violation(here, f"expected: {_NAMES[name]}, found: {found}") for name in expected]
        return _violation(here, words, parts)

    def _object(self, schema: Any, value: Any, path: Path, depth: int) -> Iterator[Explanation]:
        properties = schema.get("properties", {})
        patterns = schema.get("patternProperties", {})
        rest = [
            name
            for name in value
            if name not in properties and not any(_matches(each, name) for each in patterns)
        ]
        additional = schema.get("additionalProperties", True)
        here = pointer(path)
        yield from (_violation(here, words) for words in _missing_members(schema, value))
        if additional is False:
            for name in rest:
                yield _violation(here, f"extraneous key [{name}] is not permitted")
        least, most = schema.get("minProperties"), schema.get("maxProperties")
        if least is not None and len(value) < least:
            yield _violation(here, f"minimum size: [{least}], found: [{len(value)}]")
        if most is not None and len(value) > most:
            yield _violation(here, f"maximum size: [{most}], found: [{len(value)}]")
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

    def _array(self, schema: Any, value: Any, path: Path, depth: int) -> Iterator[Explanation]:
        here = pointer(path)
        least, most = schema.get("minItems"), schema.get("maxItems")
        if least is not None and len(value) < least:
            yield _violation(here, f"expected minimum item count: {least}, found: {len(value)}")
        if most is not None and len(value) > most:
            yield _violation(here, f"expected maximum item count: {most}, found: {len(value)}")
        if schema.get("uniqueItems") and not _fits({"uniqueItems": True}, value):
            yield _violation(here, "array items are not unique")
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
                yield _violation(
                    here, f"expected: [{len(items)}] array items, found: [{len(value)}]"
                )
                return

    def _string(self, schema: Any, value: str, path: Path) -> Iterator[Explanation]:
        here = pointer(path)
        least, most = schema.get("minLength"), schema.get("maxLength")
        if least is not None and len(value) < least:
            yield _violation(here, f"expected minLength: {least}, actual: {len(value)}")
        if most is not None and len(value) > most:
            yield _violation(here, f"expected maxLength: {most}, actual: {len(value)}")
        pattern = schema.get("pattern")
        if pattern is not None and not _matches(pattern, value):
            yield _violation(here, f"string [{value}] does not match pattern {pattern}")
        if schema.get("format") == "date-time" and not self._is_date_time(value):
            yield _violation(
                here, f"[{value}] is not a valid date-time. Expected {_DATE_TIME_FORMS}"
            )

    def _combined(self, schema: Any, value: Any, path: Path, depth: int) -> Iterator[Explanation]:
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
                inner = [violation for violations in each for violation in violations]
                yield _violation(here, f"#: {words}", inner)
        if "not" in schema and not list(self.violations(schema["not"], value, path, depth + 1)):
            yield _violation(
                here, f"subject must not be valid against schema {_shown(schema['not'])}"
            )


def _violation(here: str, words: str, inner: Sequence[Explanation] = ()) -> Explanation:
    """Return a violation at the pointer `here`, followed by those of its subschemas."""
    text = " ".join([f"{here}: {words}", *(each.text for each in inner)])
    return Explanation(text, (here, *_places(inner)))


def _places(violations: Iterable[Explanation]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place for each in violations for place in each.places))


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
