"""The exact check of one record: Draft 4 with exact numbers, and the Import API's own rules.

Invariant: an error names the field and the rule, and nothing of the record except names, types and
lengths. The check ends within `STEPS`, whatever record and schema are.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from target_stitch_import.errors import InputError, KeyMissingError, quoted
from target_stitch_import.limits import MAX_KEY_CHARACTERS
from target_stitch_import.pointers import pointer_to
from target_stitch_import.schema.date_times import is_date_time
from target_stitch_import.schema.patterns import STEPS, TooCostlyError, pattern
from target_stitch_import.schema.record_type import MAX_PLAIN_KEY_CHARACTERS
from target_stitch_import.schema.values import canonical, is_multiple, json_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from target_stitch_import.schema.node import Node


class Refused(Struct, frozen=True):
    """Why a record cannot be sent; `field` is a JSON Pointer into it, empty for the whole record.

    `error` is the type of the error that ends a run which sets no records aside.
    """

    field: str
    reason: str
    error: type[InputError] = InputError

    def __str__(self) -> str:
        return f"field {quoted(self.field)}: {self.reason}" if self.field else self.reason


def refused_key(key: str, record: dict[str, Any], notes: dict[str, str]) -> Refused | None:
    """Return why a key property cannot be sent, or None; notes about unusual keys go to `notes`."""
    field = pointer_to((key,))
    if key not in record:
        return Refused(field, "the key property is missing", KeyMissingError)
    value = record[key]
    if value is None or isinstance(value, dict | list):
        return Refused(
            field, f"a key property cannot be {json_type(value)}, whatever the schema allows"
        )
    if isinstance(value, str) and len(value) > MAX_KEY_CHARACTERS:
        return Refused(
            field,
            f"the key has {len(value):,} characters; the Import API allows {MAX_KEY_CHARACTERS:,}",
        )
    if value == "":
        notes[field] = "some keys are empty strings"
    elif isinstance(value, str) and len(value) > MAX_PLAIN_KEY_CHARACTERS:
        notes[field] = (
            f"some keys are longer than {MAX_PLAIN_KEY_CHARACTERS} characters, which some "
            "destinations truncate or refuse"
        )
    return None


def refused_by_schema(schema: Node, record: dict[str, Any]) -> Refused | None:
    """Return which rule of a schema a record violates, or None if it is valid."""
    evaluation = _Evaluation()
    try:
        fault = evaluation.fault(schema, record)
        while fault and (nearer := _nearer(evaluation, fault)):
            fault = nearer
    except RecursionError:
        return Refused("", "it is nested too deeply")
    except TooCostlyError:
        return too_costly()
    if fault is None:
        return None
    field = pointer_to(fault.path if fault.missing is None else (*fault.path, fault.missing))
    if fault.missing is None:
        return Refused(field, _words(fault.keyword, fault.expected, fault.found))
    if fault.keyword == "required":
        return Refused(field, "a required property is missing")
    depends = quoted(str(fault.expected))
    return Refused(field, f"a property that {depends} depends on is missing")


def too_costly() -> Refused:
    """Return the refusal of a record whose validation would take too long."""
    return Refused("", "validating it against the schema would take too long")


def _words(keyword: str, expected: Any, found: Any) -> str:
    """Return which rule was violated, without values of the record."""
    if keyword == "type":
        return f"expected {' or '.join(expected)}, found {json_type(found)}"
    if keyword == "format":
        return "expected a date-time with an offset, as in 2024-01-31T23:59:59Z"
    if keyword == "anyOf":
        return f"it fits none of the {len(expected)} alternatives of `anyOf`"
    if keyword == "oneOf":
        return f"it fits none, or more than one, of the {len(expected)} alternatives of `oneOf`"
    if keyword == "additionalProperties":
        return "it has a property that the schema does not allow"
    if keyword == "enum":
        return f"it is not one of the {len(expected)} values of `enum`"
    if isinstance(expected, int | Decimal | str | bool):
        return f"it breaks `{keyword}`: {quoted(str(expected), mark='')}"
    return f"it breaks `{keyword}`"


class _Fault(NamedTuple):
    """The violation of a rule; `path` leads from the examined value to the invalid one."""

    keyword: str
    expected: Any
    found: Any
    missing: str | None = None
    path: tuple[str | int, ...] = ()

    def at(self, step: str | int) -> _Fault:
        """Return the fault relative to the surrounding object or list."""
        return self._replace(path=(step, *self.path))


class _Evaluation:
    """The validation of one record against one schema.

    Results of shared schemas are cached for each value, so that many references to a schema cost no
    more than one. All other work costs steps.
    """

    __slots__ = ("_known", "_steps_left")

    def __init__(self) -> None:
        # Keyed by identity, which is safe while the record exists.
        self._known: dict[tuple[int, int], _Fault | None] = {}
        self._steps_left = STEPS

    def spend(self, steps: int) -> None:
        """Subtract the cost of work that is about to be done.

        Raises:
            TooCostlyError: Not enough steps are left.
        """
        self._steps_left -= steps
        if self._steps_left < 0:
            raise TooCostlyError

    def fault(self, node: Node, value: Any) -> _Fault | None:
        """Return the first fault of a value, or None if it is valid."""
        if not node.is_shared:
            return self._fault(node, value)
        key = (id(node), id(value))
        if key not in self._known:
            self._known[key] = self._fault(node, value)
        return self._known[key]

    def _fault(self, node: Node, value: Any) -> _Fault | None:
        self.spend(1)
        for keyword, expected in node.rules.items():
            if not _RULES[keyword](self, node, expected, value):
                missing = None
                if keyword == "required":
                    missing = next(name for name in expected if name not in value)
                return _Fault(keyword, expected, value, missing)
        fault = None
        if type(value) is dict:
            fault = self._in_members(node, value)
        elif type(value) is list:
            fault = self._in_items(node, value)
        return fault or self._combined(node, value)

    def _in_members(self, node: Node, record: dict[str, Any]) -> _Fault | None:
        self.spend(len(node.properties) // 16)
        for name, below in node.properties.items():
            if name in record and (fault := self.fault(below, record[name])):
                return fault.at(name)
        if node.patterns or node.rest is not True:
            return self._in_others(node, record)
        return None

    def _in_others(self, node: Node, record: dict[str, Any]) -> _Fault | None:
        """Check members by patterns, and those that neither a name nor a pattern covers."""
        for name, member in record.items():
            is_covered = name in node.properties
            for expression, below in node.patterns:
                if self.matches(expression, name):
                    is_covered = True
                    if fault := self.fault(below, member):
                        return fault.at(name)
            if is_covered or node.rest is True:
                continue
            if node.rest is False:
                return _Fault("additionalProperties", node.rest, record)
            if fault := self.fault(node.rest, member):
                return fault.at(name)
        return None

    def _in_items(self, node: Node, items: list[Any]) -> _Fault | None:
        if node.items is None:
            return None
        first = node.items if isinstance(node.items, tuple) else ()
        rest = node.other_items if isinstance(node.items, tuple) else node.items
        for at, item in enumerate(items):
            below = first[at] if at < len(first) else rest
            if below is True:
                return None
            if below is False:
                return _Fault("additionalItems", below, items)
            if fault := self.fault(below, item):
                return fault.at(at)
        return None

    def _combined(self, node: Node, value: Any) -> _Fault | None:
        """Check a value against the other schemas that apply to it."""
        for each in node.all_of:
            if fault := self.fault(each, value):
                return fault
        if node.any_of and not any(self.fault(each, value) is None for each in node.any_of):
            return _Fault("anyOf", node.any_of, value)
        if node.one_of:
            fitting = sum(self.fault(each, value) is None for each in node.one_of)
            if fitting != 1:
                return _Fault("oneOf", node.one_of, value)
        if node.none_of and self.fault(node.none_of, value) is None:
            return _Fault("not", None, value)
        return self._by_dependencies(node, value) if type(value) is dict else None

    def _by_dependencies(self, node: Node, record: dict[str, Any]) -> _Fault | None:
        """Check an object against `dependencies`."""
        for name, needed in node.dependencies:
            if name not in record:
                continue
            if isinstance(needed, tuple):
                for missing in (each for each in needed if each not in record):
                    return _Fault("dependencies", name, record, missing)
            elif fault := self.fault(needed, record):
                return fault
        return None

    def matches(self, expression: str, text: str) -> bool:
        """Return whether an expression is found in `text`."""
        known = pattern(expression)
        self.spend(known.cost(len(text)))
        return known.matches(text)

    def canonical(self, value: Any) -> str:
        """Return the canonical text of a value."""
        text = canonical(value)
        self.spend(1 + len(text) // 16)
        return text

    def are_unique(self, items: list[Any]) -> bool:
        """Return whether no two items are equal."""
        return len({self.canonical(item) for item in items}) == len(items)

    def is_multiple(self, number: int | Decimal, factor: int | Decimal) -> bool:
        """Return whether a number is a multiple of `factor`."""
        self.spend(1 + len(str(number)) // 8)
        return is_multiple(number, factor)


def has_type(value: Any, types: Iterable[str]) -> bool:
    """Return whether a value has one of the types; integers are numbers, too."""
    found = json_type(value)
    return found in types or (found == "integer" and "number" in types)


_MAX_COMPARED = 1_000
"""The maximum number of alternatives to rank, which takes far longer than validating them."""


def _nearer(evaluation: _Evaluation, fault: _Fault) -> _Fault | None:
    """Return the fault of the alternative that fits best, or None if none fits best.

    That is the alternative with the deepest fault, or the only one of the value's type.
    """
    if fault.keyword not in {"anyOf", "oneOf"} or len(fault.expected) > _MAX_COMPARED:
        return None
    from jsonschema import Draft4Validator, ValidationError  # noqa: PLC0415 - slow to import
    from jsonschema.exceptions import relevance  # noqa: PLC0415

    found, ranks = [], []
    for node in fault.expected:
        below = evaluation.fault(node, fault.found)
        if below is None:
            return None  # too many alternatives fit
        found.append(below)
        error = ValidationError(
            "",
            validator=below.keyword,
            path=below.path,
            instance=fault.found,
            schema={"type": list(node.types)},
            type_checker=Draft4Validator.TYPE_CHECKER,
        )
        ranks.append(relevance(error))
    nearest = min(ranks)
    if ranks.count(nearest) > 1:
        return None
    below = found[ranks.index(nearest)]
    return below._replace(path=(*fault.path, *below.path))


def _of(kind: Any, fits: Callable[[_Evaluation, Node, Any, Any], bool]) -> Any:
    """Return a rule that applies only to values of one type."""
    return lambda evaluation, node, expected, value: (
        not isinstance(value, kind)
        or isinstance(value, bool)
        or fits(evaluation, node, expected, value)
    )


_NUMBER = (int, Decimal)
_RULES: dict[str, Callable[[_Evaluation, Node, Any, Any], bool]] = {
    "type": lambda _e, _n, types, value: has_type(value, types),
    "enum": lambda e, node, _x, value: e.canonical(value) in node.enum,
    "minimum": _of(
        _NUMBER,
        lambda _e, node, least, number: (
            number > least or (number == least and "exclusiveMinimum" not in node.rules)
        ),
    ),
    "maximum": _of(
        _NUMBER,
        lambda _e, node, most, number: (
            number < most or (number == most and "exclusiveMaximum" not in node.rules)
        ),
    ),
    "exclusiveMinimum": lambda *_: True,
    "exclusiveMaximum": lambda *_: True,
    "multipleOf": _of(_NUMBER, lambda e, _n, factor, number: e.is_multiple(number, factor)),
    "minLength": _of(str, lambda _e, _n, least, text: len(text) >= least),
    "maxLength": _of(str, lambda _e, _n, most, text: len(text) <= most),
    "pattern": _of(str, lambda e, _n, expression, text: e.matches(expression, text)),
    "format": _of(str, lambda _e, _n, _x, text: is_date_time(text)),
    "minItems": _of(list, lambda _e, _n, least, items: len(items) >= least),
    "maxItems": _of(list, lambda _e, _n, most, items: len(items) <= most),
    "uniqueItems": _of(list, lambda e, _n, unique, items: not unique or e.are_unique(items)),
    "minProperties": _of(dict, lambda _e, _n, least, members: len(members) >= least),
    "maxProperties": _of(dict, lambda _e, _n, most, members: len(members) <= most),
    "required": _of(dict, lambda _e, _n, names, members: all(name in members for name in names)),
}
"""Whether a value satisfies a keyword; it does if the keyword is not about values of its type."""
