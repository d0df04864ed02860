"""A stream's schema as a `msgspec` type, which a decoder checks while it parses.

Law: the type accepts nothing that the schema refuses, but in the columns that it leaves open. It
may refuse what the schema accepts; a schema that it cannot express at all has no type.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeGuard,
    get_args,
    get_origin,
)

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from target_stitch_import.schema.date_times import DATE_TIME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from target_stitch_import.schema.node import Node

# Longer keys are rare and looked at one by one: they may deserve a warning or a refusal.
MAX_PLAIN_KEY_CHARACTERS = 255

_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_LENGTHS = frozenset({"minLength", "maxLength"})
_EXPRESSED = _BOUNDS | _LENGTHS | {"type", "required", "format"}
_MOST_NESTED = 128
"""Members of an object within a record: a list may hold 200,000, each with room for them all."""
_INT64 = range(-(2**63), 2**63)


class _InexpressibleError(Exception):
    pass


class RecordType(NamedTuple):
    """A type for records; what is in the columns `left_open` is to be checked by other means.

    So are the texts in `date_times`, which are fields of the type.
    """

    type: Any
    left_open: frozenset[str]
    date_times: tuple[str, ...]


def record_type(schema: Node, keys: Sequence[str]) -> RecordType | None:
    """Return a type for records under a schema, or None where it has none."""
    if not _is_plain(schema) or "object" not in schema.types:
        return None
    left_open: set[str] = set()
    try:
        types = _Types()
        record = types.struct(schema, frozenset(keys), left_open)
    except (_InexpressibleError, RecursionError):
        return None
    return RecordType(record, frozenset(left_open), tuple(types.date_times))


def key_type(keys: Sequence[str]) -> Any | None:
    """Return a type for objects whose `keys` are there, plain scalars and not null."""
    try:
        return _object({key: _key(None) for key in keys}, frozenset(keys), is_open=True)
    except _InexpressibleError:
        return None


def _is_plain(node: Node) -> bool:
    """Tell whether a node says nothing of a value but what can be expressed."""
    return node.rules.keys() <= _EXPRESSED and not (
        node.combined or node.patterns or node.dependencies
    )


class _Types:
    """Makes types; what was made for a node is remembered by it."""

    def __init__(self) -> None:
        self._known: dict[Node, Any] = {}
        self.date_times: list[str] = []
        """Fields of the record itself that are left to be date-times or null."""

    def struct(
        self, node: Node, keys: frozenset[str] = frozenset(), left_open: set[str] | None = None
    ) -> Any:
        """Return a type for objects.

        What it cannot express of a member is left open, and its name put there; or an error.
        """
        required = keys.union(node.rules.get("required", ()))
        if not isinstance(node.rest, bool):
            raise _InexpressibleError
        if node.rest is False and not required <= node.properties.keys():
            raise _InexpressibleError
        kinds: dict[str, Any] = {}
        for name in [*node.properties, *sorted(required - node.properties.keys())]:
            below = node.properties.get(name)
            if left_open is not None and name not in keys and _is_date_time(below):
                # All those of a run are looked at together, in a third of the time.
                self.date_times.append(f"f{len(kinds)}")
                kinds[name] = str | None if "null" in below.types else str
                continue
            try:
                kinds[name] = _key(below) if name in keys else self._of(below)
            except _InexpressibleError:
                if left_open is None or name in keys:
                    raise
                left_open.add(name)
                kinds[name] = Raw
        return _object(kinds, required, is_open=node.rest)

    def _of(self, node: Node | None) -> Any:
        """Return the type of a node; anything will do where there is none."""
        if node is None:
            return Raw
        if node not in self._known:
            # It stands there before it is made: what leads back to itself has no type.
            self._known[node] = _InexpressibleError
            self._known[node] = self._type(node)
        if self._known[node] is _InexpressibleError:
            raise _InexpressibleError
        return self._known[node]

    def _type(self, node: Node) -> Any:
        if node.any_of or node.one_of:
            return self._alternatives(node)
        if "enum" in node.rules:
            return _enumeration(node)
        if not _is_plain(node):
            raise _InexpressibleError
        if "type" in node.rules:
            return self._of_types(node)
        if node.rules or _leads_on(node):
            raise _InexpressibleError
        return Raw

    def _of_types(self, node: Node) -> Any:
        kinds = _numbers_and_booleans(node)
        if "null" in node.types:
            kinds.append(None)
        if "string" in node.types:
            kinds.append(_date_time(node) if node.is_date_time else _string(node))
        if "object" in node.types:
            kinds.append(self._object(node))
        if "array" in node.types:
            if isinstance(node.items, tuple):
                raise _InexpressibleError
            kinds.append(list[self._of(node.items)])  # type: ignore[misc]  # made at run time
        return _union(kinds)

    def _object(self, node: Node) -> Any:
        if len(node.properties) > _MOST_NESTED:
            raise _InexpressibleError
        is_map = not (isinstance(node.rest, bool) or node.properties or "required" in node.rules)
        if is_map:
            return dict[str, self._of(node.rest)]  # type: ignore[misc,arg-type]  # likewise
        return self.struct(node)

    def _alternatives(self, node: Node) -> Any:
        """Return a union, where no two alternatives can take the same value."""
        alternatives = node.any_of or node.one_of
        is_all = alternatives == tuple(node.beside()) and not node.rules
        if not is_all or node.patterns or node.dependencies or _leads_on(node):
            raise _InexpressibleError
        seen: set[str] = set()
        for each in alternatives:
            types = {"number" if name == "integer" else name for name in each.types}
            if "type" not in each.rules or types & seen:
                raise _InexpressibleError
            seen |= types
        return _union([self._of(each) for each in alternatives])


def _leads_on(node: Node) -> bool:
    """Tell whether a node says something of members or items."""
    return bool(node.properties) or node.items is not None or node.rest is not True


def _object(kinds: Mapping[str, Any], required: AbstractSet[str], *, is_open: bool) -> Any:
    """Return a type for objects with such members."""
    fields: list[Any] = []
    names: dict[str, str] = {}
    for at, (name, kind) in enumerate(kinds.items()):
        if not name.isprintable() or '"' in name or "\\" in name:
            raise _InexpressibleError  # such names cannot be those of fields
        names[f"f{at}"] = name
        if name in required:
            fields.append((f"f{at}", kind))
        else:
            fields.append((f"f{at}", kind | UnsetType if kind is not Raw else kind, UNSET))
    fields.sort(key=len)
    return msgspec.defstruct(
        "Record", fields, rename=names, forbid_unknown_fields=not is_open, gc=False
    )


def _key(node: Node | None) -> Any:
    if node is None:
        return _union([bool, float, int, _text(1, MAX_PLAIN_KEY_CHARACTERS)])
    if not _is_plain(node):
        raise _InexpressibleError
    if node.is_date_time and "string" in node.types:
        return _date_time(node)
    kinds = _numbers_and_booleans(node)
    if "string" in node.types:
        kinds.append(_string(node, at_least=1, at_most=MAX_PLAIN_KEY_CHARACTERS))
    return _union(kinds)


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
        if _BOUNDS & node.rules.keys():
            raise _InexpressibleError  # what is a hair below a bound may be rounded up to it
        kinds.append(float)
    if "integer" in node.types:
        kinds.append(_integer(node))
    return kinds


def _integer(node: Node) -> Any:
    bounds: dict[str, Any] = {}
    for name, keyword, step in (("ge", "minimum", 1), ("le", "maximum", -1)):
        if keyword in node.rules:
            excluded = f"exclusive{keyword.capitalize()}" in node.rules
            bound = node.rules[keyword]
            if not isinstance(bound, int) or bound + step not in _INT64 or bound not in _INT64:
                raise _InexpressibleError
            bounds[name] = bound + step if excluded else bound
    return Annotated[int, Meta(**bounds)] if bounds else int


def _string(node: Node, at_least: int = 0, at_most: int | None = None) -> Any:
    lengths = [each for each in (at_most, node.rules.get("maxLength")) if each is not None]
    return _text(max(at_least, node.rules.get("minLength", 0)), min(lengths, default=None))


def _text(at_least: int, at_most: int | None) -> Any:
    if not at_least and at_most is None:
        return str
    if at_least not in _INT64 or (at_most or 0) not in _INT64:
        raise _InexpressibleError
    return Annotated[str, Meta(min_length=at_least, max_length=at_most)]


def _is_date_time(node: Node | None) -> TypeGuard[Node]:
    """Tell whether a node asks for a date-time, or null, and for nothing else."""
    return (
        node is not None
        and _is_plain(node)
        and node.is_date_time
        and node.rules.keys() == {"type", "format"}
        and {"string"} <= node.types <= {"string", "null"}
        and not _leads_on(node)
    )


def _date_time(node: Node) -> Any:
    if _LENGTHS & node.rules.keys():
        raise _InexpressibleError
    return Annotated[str, Meta(pattern=DATE_TIME_PATTERN)]


def _union(kinds: list[Any]) -> Any:
    if not kinds:
        raise _InexpressibleError
    union = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    if _has_pattern(union) and any(get_origin(each) in {list, dict} for each in get_args(union)):
        raise _InexpressibleError  # `msgspec` up to 0.22 frees such a type wrongly, and crashes
    return union


def _has_pattern(union: Any) -> bool:
    """Tell whether a text in a union must match a pattern."""
    return any(
        isinstance(about, Meta) and about.pattern is not None
        for each in get_args(union)
        for about in getattr(each, "__metadata__", ())
    )
