"""Converts a stream's schema to a `msgspec` type, which a decoder checks while it parses.

Invariant: the type and its additional check accept nothing that the schema refuses. They may refuse
what it accepts. A schema that they cannot express has no type.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from msgspec.structs import replace

from target_stitch_import.schema.compiled import Compiler, UncompilableError
from target_stitch_import.schema.members import Each, Items, Members, Values
from target_stitch_import.schema.node import TYPES
from target_stitch_import.schema.text_checks import Bounds, DateTimes, Numbers
from target_stitch_import.schema.values import parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from target_stitch_import.schema.node import Node
    from target_stitch_import.schema.text_checks import ValuesCheck

# Records with longer keys are checked one by one, because they need a warning or a refusal.
MAX_PLAIN_KEY_CHARACTERS = 255
_PLAIN_KEY = {
    "type": ["string", "number", "boolean"],
    "minLength": 1,
    "maxLength": MAX_PLAIN_KEY_CHARACTERS,
}

_OF_NUMBERS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
_OF_TEXTS = frozenset({"minLength", "maxLength", "format"})
_EXPRESSED = _OF_NUMBERS | _OF_TEXTS | {"type", "required"}
_MAX_NESTED = 128
"""The maximum number of members of a nested object's type: a list may have 200,000 such objects,
and each takes memory for all members."""
_INT64 = range(-(2**63), 2**63)


class _InexpressibleError(Exception):
    pass


class RecordType(NamedTuple):
    """A type for records, and an additional check of the decoded records, if one is needed.

    `date_times` names the columns whose values are all date-times, or null. `naive_check` is the
    additional check if their offsets may be missing; None without such columns.
    """

    type: Any
    check: ValuesCheck | None
    naive_check: ValuesCheck | None
    date_times: tuple[str, ...]


class _Kind(NamedTuple):
    """A type for values, and an additional check of the decoded values, if one is needed."""

    type: Any
    check: ValuesCheck | None = None


def record_type(schema: Node, keys: Sequence[str]) -> RecordType | None:
    """Return a type for the records of a schema, or None if it cannot be expressed."""
    if not is_plain(schema) or "object" not in schema.types:
        return None
    types = _Types()
    try:
        record = types.struct(schema, frozenset(keys))
    except (_InexpressibleError, RecursionError):
        return None
    return RecordType(
        record.type, record.check, _accepting_naive(record.check), tuple(types.date_times)
    )


def _accepting_naive(check: ValuesCheck | None) -> ValuesCheck | None:
    """Return a check of records that accepts naive date-times in columns; None without any."""
    if not isinstance(check, Members):
        return None
    naive = {
        name: replace(each, naive=True)
        for name, each in check.checks.items()
        if isinstance(each, DateTimes)
    }
    return Members(check.kind, {**check.checks, **naive}) if naive else None


def key_type(keys: Sequence[str]) -> RecordType | None:
    """Return a type for objects that have all `keys`, with scalar values; None if impossible."""
    try:
        kind = _struct_type(dict.fromkeys(keys, _ANY_KEY), frozenset(keys), is_open=True)
    except _InexpressibleError:
        return None
    return RecordType(kind.type, kind.check, None, ())


def is_plain(node: Node) -> bool:
    """Return whether a node has only rules that a type can express."""
    return node.rules.keys() <= _EXPRESSED and not (
        node.combined or node.patterns or node.dependencies
    )


class _Types:
    """Makes types, and caches them by node."""

    def __init__(self) -> None:
        self._known: dict[Node, _Kind | None] = {}
        self._compiler = Compiler()
        self.date_times: list[str] = []

    def struct(self, node: Node, keys: AbstractSet[str] | None = None) -> _Kind:
        """Return a type for objects; `keys` are a record's keys, None for nested objects."""
        required = frozenset(keys or ()).union(node.rules.get("required", ()))
        if not isinstance(node.rest, bool):
            raise _InexpressibleError
        if node.rest is False and not required <= node.properties.keys():
            raise _InexpressibleError
        kinds: dict[str, _Kind] = {}
        for name in [*node.properties, *sorted(required - node.properties.keys())]:
            below = node.properties.get(name)
            kind = self._key(below) if keys and name in keys else self._member(below)
            if keys is not None and isinstance(kind.check, DateTimes):
                self.date_times.append(name)
            kinds[name] = kind
        return _struct_type(kinds, required, is_open=node.rest)

    def _member(self, node: Node | None) -> _Kind:
        """Return the type of a member or item; without a node, anything is accepted."""
        if node is None:
            return _Kind(Raw)
        if node not in self._known:
            # None while the type is being made: a recursive schema has no type.
            self._known[node] = None
            self._known[node] = self._type(node) or self._compiled(node)
        kind = self._known[node]
        if kind is None:
            raise _InexpressibleError
        return kind

    def _compiled(self, node: Node, extra: dict[str, Any] | None = None) -> _Kind:
        """Return a check by `jsonschema-rs`, for a node that no type expresses."""
        try:
            return _Kind(Raw, self._compiler.values_check(node, extra))
        except UncompilableError:
            raise _InexpressibleError from None

    def _type(self, node: Node) -> _Kind | None:
        """Return a type that a decoder or a text check can validate, or None."""
        try:
            if node.any_of or node.one_of:
                return self._alternatives(node)
            if "enum" in node.rules:
                return _Kind(_enumeration(node))
            if not is_plain(node):
                return None
            if "type" in node.rules:
                return _checked_as_text(node) or self._of_types(node)
        except _InexpressibleError:
            return None
        return None if node.rules or _leads_on(node) else _Kind(Raw)

    def _of_types(self, node: Node) -> _Kind:
        kinds = [_Kind(each) for each in _numbers_and_booleans(node)]
        if "null" in node.types:
            kinds.append(_Kind(None))
        if "string" in node.types:
            kinds.append(_Kind(_string(node)))
        if "object" in node.types:
            kinds.append(self._object(node))
        if "array" in node.types:
            if isinstance(node.items, tuple):
                raise _InexpressibleError
            item = self._member(node.items)
            kinds.append(_Kind(list[item.type], item.check and Items(item.check)))  # type: ignore[name-defined]  # made at run time
        return _union(kinds)

    def _object(self, node: Node) -> _Kind:
        if len(node.properties) > _MAX_NESTED:
            raise _InexpressibleError
        if isinstance(node.rest, bool) or node.properties or "required" in node.rules:
            return self.struct(node)
        member = self._member(node.rest)
        return _Kind(dict[str, member.type], member.check and Values(member.check))  # type: ignore[name-defined]  # likewise

    def _alternatives(self, node: Node) -> _Kind:
        """Return a union; no two alternatives may accept the same value."""
        alternatives = node.any_of or node.one_of
        is_only_rule = alternatives == tuple(node.beside()) and not node.rules
        if not is_only_rule or node.patterns or node.dependencies or _leads_on(node):
            raise _InexpressibleError
        apart = _widest(alternatives) if node.any_of else alternatives
        seen: set[str] = set()
        for each in apart:
            types = {"number" if name == "integer" else name for name in each.types}
            if "type" not in each.rules or types & seen:
                raise _InexpressibleError
            seen |= types
        others = [each for each in apart if not _is_null(each)]
        if len(others) == 1 and (kind := _checked_as_text(others[0], null="null" in seen)):
            return kind
        return _union([self._alternative(each) for each in apart])

    def _alternative(self, node: Node) -> _Kind:
        kind = self._type(node)
        if kind is None:
            raise _InexpressibleError
        return kind

    def _key(self, node: Node | None) -> _Kind:
        if node is None:
            return _ANY_KEY
        try:
            kind = (
                (_checked_as_text(node, null=False) or _plain_key(node)) if is_plain(node) else None
            )
        except _InexpressibleError:
            kind = None
        return kind or self._compiled(node, _PLAIN_KEY)


def _leads_on(node: Node) -> bool:
    """Return whether a node has rules for members or items."""
    return bool(node.properties) or node.items is not None or node.rest is not True


def _is_null(node: Node) -> bool:
    return node.types == {"null"} and node.rules.keys() == {"type"} and not node.combined


def _widest(alternatives: Sequence[Node]) -> list[Node]:
    """Return the alternatives without those whose types are all covered by others."""
    taken = [{name for name in TYPES if takes_all(each, name)} for each in alternatives]
    takers = Counter(chain.from_iterable(taken))
    kept = []
    for each, own in zip(alternatives, taken, strict=True):
        if all(takers[name] > (name in own) for name in each.types):
            takers.subtract(own)
        else:
            kept.append(each)
    return kept


def takes_all(node: Node, name: str) -> bool:
    """Return whether a node accepts every value of a type."""
    if "type" not in node.rules or not is_plain(node):
        return False
    if name not in node.types and not (name == "integer" and "number" in node.types):
        return False
    if name in {"object", "array"}:
        return not _leads_on(node) and "required" not in node.rules
    limits = {"string": _OF_TEXTS, "number": _OF_NUMBERS, "integer": _OF_NUMBERS}
    return node.rules.keys().isdisjoint(limits.get(name, ()))


def _checked_as_text(node: Node, *, null: bool | None = None) -> _Kind | None:
    """Return a check on texts for a date-time or a bounded number; None for other nodes.

    `null` is whether null is accepted; if it is None, the node's types decide.
    """
    if not is_plain(node):
        return None
    null = "null" in node.types if null is None else null
    limits = node.rules.keys() - {"type"}
    types = node.types - {"null"}
    if types == {"string"} and limits == {"format"}:
        return _Kind(Raw, DateTimes(null))
    if "number" in types <= {"number", "integer"} and limits & _OF_NUMBERS:
        rules = node.rules
        bounds = Bounds(
            rules.get("minimum"),
            rules.get("maximum"),
            excludes_least="exclusiveMinimum" in rules,
            excludes_most="exclusiveMaximum" in rules,
        )
        return _Kind(Raw, Numbers(_decimals_of(rules.get("multipleOf")), bounds, null))
    return None


def _decimals_of(step: Any) -> int | None:
    """Return the number of decimals of multiples of `step`, a power of ten; None without one."""
    if step is None:
        return None
    coefficient, exponent = parts_of(step)
    if coefficient != 1 or exponent > 0:
        raise _InexpressibleError
    return -exponent


def _struct_type(kinds: Mapping[str, _Kind], required: AbstractSet[str], *, is_open: bool) -> _Kind:
    """Return a type for objects with these members."""
    fields: list[Any] = []
    names: dict[str, str] = {}
    checks: dict[str, ValuesCheck] = {}
    for at, (name, kind) in enumerate(kinds.items()):
        if not name.isprintable() or '"' in name or "\\" in name:
            raise _InexpressibleError  # msgspec does not support such names
        names[f"f{at}"] = name
        if kind.check:
            checks[f"f{at}"] = kind.check
        if name in required:
            fields.append((f"f{at}", kind.type))
        else:
            type_ = kind.type | UnsetType if kind.type is not Raw else Raw
            fields.append((f"f{at}", type_, UNSET))
    fields.sort(key=len)  # `defstruct` requires that fields with a default come last
    struct = msgspec.defstruct(
        "Record", fields, rename=names, forbid_unknown_fields=not is_open, gc=False
    )
    return _Kind(struct, Members(struct, checks) if checks else None)


def _enumeration(node: Node) -> Any:
    if node.rules.keys() - {"type", "enum"} or node.combined or node.patterns or node.dependencies:
        raise _InexpressibleError
    kinds = {str: "string", int: "integer", type(None): "null"}
    for value in node.rules["enum"]:
        is_large = isinstance(value, int) and value not in _INT64
        if kinds.get(type(value)) not in node.types or is_large:
            raise _InexpressibleError
    return Literal[tuple(node.rules["enum"])]


def _numbers_and_booleans(node: Node) -> list[Any]:
    kinds: list[Any] = [bool] if "boolean" in node.types else []
    if "number" in node.types:
        if _OF_NUMBERS & node.rules.keys():
            raise _InexpressibleError  # rounding to a double could make a number valid
        kinds.append(float)
    if "integer" in node.types:
        kinds.append(_integer(node))
    return kinds


def _integer(node: Node) -> Any:
    about: dict[str, Any] = {}
    for name, keyword, step in (("ge", "minimum", 1), ("le", "maximum", -1)):
        if keyword in node.rules:
            excluded = f"exclusive{keyword.capitalize()}" in node.rules
            bound = node.rules[keyword]
            if not isinstance(bound, int) or bound + step not in _INT64 or bound not in _INT64:
                raise _InexpressibleError
            about[name] = bound + step if excluded else bound
    if "multipleOf" in node.rules:
        factor = node.rules["multipleOf"]
        if not isinstance(factor, int) or factor not in _INT64:
            raise _InexpressibleError
        about["multiple_of"] = factor
    return Annotated[int, Meta(**about)] if about else int


def _plain_key(node: Node) -> _Kind:
    kinds = _numbers_and_booleans(node)
    if "string" in node.types:
        kinds.append(_string(node, at_least=1, at_most=MAX_PLAIN_KEY_CHARACTERS))
    return _union(list(map(_Kind, kinds)))


def _string(node: Node, at_least: int = 0, at_most: int | None = None) -> Any:
    if node.is_date_time:
        raise _InexpressibleError
    lengths = [each for each in (at_most, node.rules.get("maxLength")) if each is not None]
    return _bounded_string(
        max(at_least, node.rules.get("minLength", 0)), min(lengths, default=None)
    )


def _bounded_string(at_least: int, at_most: int | None) -> Any:
    if not at_least and at_most is None:
        return str
    if at_least not in _INT64 or (at_most or 0) not in _INT64:
        raise _InexpressibleError
    return Annotated[str, Meta(min_length=at_least, max_length=at_most)]


_ANY_KEY = _Kind(bool | float | int | _bounded_string(1, MAX_PLAIN_KEY_CHARACTERS))


def _union(kinds: list[_Kind]) -> _Kind:
    if not kinds:
        raise _InexpressibleError
    union = kinds[0].type
    for kind in kinds[1:]:
        union = union | kind.type
    checks = [kind.check for kind in kinds if kind.check]
    if len(kinds) > 1 and any(kind.type is Raw for kind in kinds):
        raise _InexpressibleError  # the union would accept anything
    return _Kind(union, Each(checks) if len(checks) > 1 else next(iter(checks), None))
