"""Reads a stream's JSON Schema into nodes, like the Import API: by the rules of Draft 4.

Invariant: nodes are sound. Every type is known, every reference is resolved, and no schema leads
back to itself without a step into the value, so every validation ends.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from urllib.parse import unquote

from msgspec import Struct

from target_stitch_import.errors import quoted
from target_stitch_import.pointers import at, escaped
from target_stitch_import.schema.node import ACCEPTS_ALL, MAX_DEPTH, TYPES, Node
from target_stitch_import.schema.patterns import MAX_PATTERN_COST, compile_cost, pattern
from target_stitch_import.schema.values import LONGEST_NUMBER, canonical, json_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Json: TypeAlias = dict[str, Any]
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_EXCLUSIVE = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


class SchemaDefectError(Exception):
    """A schema that the Import API would refuse; `place` is a JSON Pointer into it."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"at {quoted(f'#{place}')}: {reason}")


class ReadSchema(Struct, frozen=True):
    """A schema that was read.

    `has_properties` is whether it has the keyword `properties`. `references` maps the place of each
    `$ref` to the place that it refers to, `warnings` maps each warning to the places it is about.
    """

    root: Node
    has_properties: bool
    references: Mapping[str, str]
    warnings: Mapping[str, tuple[str, ...]]


def read_schema(text: bytes) -> ReadSchema:
    """Read those parts of a schema that the Import API enforces.

    Raises:
        SchemaDefectError: The API would refuse the schema, or records could not be validated.
    """
    try:
        document = json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_Unreadable
        )
    except RecursionError:
        raise SchemaDefectError("", "it is nested too deeply") from None
    except ValueError:
        raise SchemaDefectError("", "it is not JSON") from None
    return _Reader(document).read()


class _Unreadable:
    """A number that is too long to compute with; a defect only in keywords that need its value."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def _number(text: str) -> int | Decimal | _Unreadable:
    if len(text) > LONGEST_NUMBER:
        return _Unreadable(text)
    if text.lstrip("-").isdigit():
        return int(text)
    try:
        return Decimal(text)
    except ArithmeticError:
        return _Unreadable(text)


class _Reader:
    """Reads a document breadth first, so that nesting needs no recursion."""

    def __init__(self, document: Any) -> None:
        self._document = document
        # Keyed by the identity of the source object; nodes are filled after all are found.
        self._nodes: dict[int, Node] = {}
        self._fields: dict[int, dict[str, Any]] = {}
        self._waiting: deque[tuple[_Json, str, int]] = deque()
        self._uses: Counter[int] = Counter()
        self._targets: dict[str, tuple[Any, str]] = {}
        self._references: dict[str, str] = {}
        self._ends: dict[str, tuple[Any, str]] = {}
        """The final targets of the chains of references that were followed."""
        self._pattern_cost_left = MAX_PATTERN_COST
        self._patterns_known: dict[str, bool] = {}
        self._warnings: dict[str, list[str]] = {}
        self._depth = 0

    def read(self) -> ReadSchema:
        root = self._node(self._document, "")
        has_properties = "properties" in self._waiting[0][0]
        if "" in self._references:
            # The root is a reference, which replaces everything beside it except for definitions.
            self._by_name(self._document.get("definitions", {}), "/definitions", counts=False)
        while self._waiting:
            source, place, self._depth = self._waiting.popleft()
            if self._depth > MAX_DEPTH:
                raise SchemaDefectError(place, "it is nested too deeply")
            if "definitions" in source:
                # Unused definitions are read as well, because the service checks them, too.
                self._by_name(source["definitions"], f"{place}/definitions", counts=False)
            self._fields[id(source)] = self._read(source, place)
        for key, node in self._nodes.items():
            Node.__init__(node, **self._fields[key], is_shared=self._uses[key] > 1)
        _refuse_circles(self._nodes.values())
        warnings = {text: tuple(places) for text, places in self._warnings.items()}
        return ReadSchema(root, has_properties, self._references, warnings)

    def _node(self, source: Any, place: str, *, counts: bool = True) -> Node:
        """Return the node of a subschema, or of the one that it refers to; it is filled later.

        `counts` is whether values are validated at this place; at a mere definition, none are.
        """
        source, place = self._referred(source, place)
        if not isinstance(source, dict):
            found = "number" if isinstance(source, _Unreadable) else json_type(source)
            raise SchemaDefectError(place, f"expected a schema object, found {found}")
        key = id(source)
        self._uses[key] += counts
        if key not in self._nodes:
            self._nodes[key] = Node.__new__(Node)
            self._waiting.append((source, place, self._depth + 1))
        return self._nodes[key]

    def _referred(self, source: Any, place: str) -> tuple[Any, str]:
        """Follow references; in Draft 4 each replaces everything beside it."""
        passed: dict[str, None] = {}
        while isinstance(source, dict) and isinstance(source.get("$ref"), str):
            if place in self._ends:
                source, place = self._ends[place]
                break
            if place in passed:
                raise SchemaDefectError(place, "a chain of `$ref` is circular")
            passed[place] = None
            source, target = self._target(source["$ref"], place)
            self._references[place] = target
            place = target
        self._ends |= dict.fromkeys(passed, (source, place))
        return source, place

    def _target(self, reference: str, place: str) -> tuple[Any, str]:
        if reference not in self._targets:
            if not reference.startswith("#"):
                raise SchemaDefectError(
                    place,
                    f"`$ref` {quoted(reference)} is not local; remote references are not fetched",
                )
            pointer = unquote(reference[1:])
            try:
                self._targets[reference] = at(self._document, pointer), pointer
            except LookupError:
                text = f"`$ref` {quoted(reference)} cannot be resolved"
                raise SchemaDefectError(place, text) from None
        return self._targets[reference]

    def _read(self, source: _Json, place: str) -> dict[str, Any]:
        """Return the fields of a node."""
        rules: dict[str, Any] = {}
        fields = {**ACCEPTS_ALL, "place": place, "rules": MappingProxyType(rules)}
        for keyword, value in source.items():
            if keyword in _SOUND:
                self._rule(keyword, value, rules, f"{place}/{keyword}")
            elif keyword in self._SCHEMA_KEYWORDS:
                field, read = self._SCHEMA_KEYWORDS[keyword]
                fields[field] = read(self, value, f"{place}/{keyword}")
        for keyword, bound in _EXCLUSIVE:
            if keyword in source:
                self._exclusive(keyword, source[keyword], bound, rules, f"{place}/{keyword}")
        if len(fields["patterns"]) < len(source.get("patternProperties", ())):
            fields["rest"] = True  # unknown patterns could cover any member
        return fields | self._refined(rules, place)

    def _refined(self, rules: dict[str, Any], place: str) -> dict[str, Any]:
        """Convert rules to the form that nodes have; return the fields that follow from them."""
        fields: dict[str, Any] = {}
        if "type" in rules:
            rules["type"] = _types(rules["type"], f"{place}/type")
            fields["types"] = frozenset(rules["type"])
        if "required" in rules:
            names = _names(rules["required"], f"{place}/required")
            rules["required"] = tuple(dict.fromkeys(names))
        if "enum" in rules:
            fields["enum"] = frozenset(_canonical(each, f"{place}/enum") for each in rules["enum"])
        if "pattern" in rules and not self._is_known(rules["pattern"], f"{place}/pattern"):
            del rules["pattern"]
        return fields

    def _rule(self, keyword: str, value: Any, rules: dict[str, Any], place: str) -> None:
        if isinstance(value, _Unreadable):
            raise _uncomputable(place)
        if _SOUND[keyword](value):
            rules[keyword] = value
        elif keyword != "format" and (keyword != "required" or value != []):
            # Other formats are annotations, and an empty `required` is accepted everywhere.
            self._not_draft_4(place)

    def _exclusive(
        self, keyword: str, value: Any, bound: str, rules: dict[str, Any], place: str
    ) -> None:
        if isinstance(value, _Unreadable) or _is_number(value):
            self._warning(
                "numeric `exclusiveMinimum` and `exclusiveMaximum` (Draft 6) are not enforced: "
                "the Import API uses Draft 4",
                place,
            )
        elif not isinstance(value, bool):
            self._not_draft_4(place)
        elif value and bound in rules:
            rules[keyword] = True

    def _by_name(self, schemas: Any, place: str, *, counts: bool = True) -> Mapping[str, Node]:
        if not isinstance(schemas, dict):
            raise SchemaDefectError(place, "expected an object of schemas")
        return MappingProxyType(
            {
                name: self._node(value, f"{place}/{escaped(name)}", counts=counts)
                for name, value in schemas.items()
            }
        )

    def _patterns(self, schemas: Any, place: str) -> tuple[tuple[str, Node], ...]:
        nodes = self._by_name(schemas, place)
        return tuple(
            (expression, node)
            for expression, node in nodes.items()
            if self._is_known(expression, f"{place}/{escaped(expression)}")
        )

    def _is_known(self, expression: str, place: str) -> bool:
        is_known = self._patterns_known.get(expression)
        if is_known is None:
            self._pattern_cost_left -= compile_cost(expression)
            known = pattern(expression) if self._pattern_cost_left >= 0 else None
            if known and not known.is_sound:
                raise SchemaDefectError(place, "it is not a valid regular expression")
            is_known = known is not None and known.is_known
            self._patterns_known[expression] = is_known
        if not is_known:
            self._warning(
                "patterns that cannot be checked before sending are left to the Import API", place
            )
        return is_known

    def _list(self, schemas: Any, place: str) -> tuple[Node, ...]:
        if not isinstance(schemas, list) or not schemas:
            raise SchemaDefectError(place, "expected a non-empty list of schemas")
        return tuple(self._node(value, f"{place}/{index}") for index, value in enumerate(schemas))

    def _set(self, schemas: Any, place: str) -> tuple[Node, ...]:
        """Return the schemas without duplicates, which matter only for `oneOf`."""
        return tuple(dict.fromkeys(self._list(schemas, place)))

    def _items(self, items: Any, place: str) -> Node | tuple[Node, ...]:
        return self._list(items, place) if isinstance(items, list) else self._node(items, place)

    def _or_boolean(self, rest: Any, place: str) -> Node | bool:
        return rest if isinstance(rest, bool) else self._node(rest, place)

    def _dependencies(
        self, dependencies: Any, place: str
    ) -> tuple[tuple[str, Node | tuple[str, ...]], ...]:
        if not isinstance(dependencies, dict):
            raise SchemaDefectError(place, "expected an object of schemas")
        found: dict[str, Node | tuple[str, ...]] = {}
        for name, value in dependencies.items():
            where = f"{place}/{escaped(name)}"
            if not isinstance(value, list):
                found[name] = self._node(value, where)
            else:
                found[name] = tuple(dict.fromkeys(_names(value, where)))
        return tuple(found.items())

    def _not_draft_4(self, place: str) -> None:
        self._warning("keywords that differ from Draft 4 are not enforced", place)

    def _warning(self, text: str, place: str) -> None:
        self._warnings.setdefault(text, []).append(f"#{place}")

    _SCHEMA_KEYWORDS: ClassVar[dict[str, tuple[str, Callable[[_Reader, Any, str], Any]]]] = {
        # Keywords that contain schemas, with the node's field for them, and how to read them.
        "properties": ("properties", _by_name),
        "patternProperties": ("patterns", _patterns),
        "additionalProperties": ("rest", _or_boolean),
        "dependencies": ("dependencies", _dependencies),
        "items": ("items", _items),
        "additionalItems": ("other_items", _or_boolean),
        "allOf": ("all_of", _set),
        "anyOf": ("any_of", _set),
        "oneOf": ("one_of", _list),
        "not": ("none_of", _node),
    }


def _refuse_circles(nodes: Any) -> None:
    """Raise `SchemaDefectError` for schemas that recur without a step into the value."""
    heights: dict[Node, int] = {}
    for start in (each for each in nodes if each not in heights):
        path = [(start, start.beside())]
        on_path = {start}
        while path:
            node, others = path[-1]
            other = next(others, None)
            if other is None:
                path.pop()
                on_path.discard(node)
                heights[node] = 1 + max((heights[each] for each in node.beside()), default=0)
                if heights[node] > MAX_DEPTH:
                    raise SchemaDefectError(node.place, "it is nested too deeply")
            elif other in on_path:
                raise SchemaDefectError(other.place, "a chain of `$ref` is circular")
            elif other not in heights:
                path.append((other, other.beside()))
                on_path.add(other)


def _types(types: Any, place: str) -> tuple[str, ...]:
    names = types if isinstance(types, list) else [types]
    if not names:
        raise SchemaDefectError(place, "expected a non-empty list of types")
    for name in names:
        if not isinstance(name, str) or name not in TYPES:
            shown = quoted(json.dumps(name, default=str), mark="")
            raise SchemaDefectError(place, f"unknown type {shown}")
    return tuple(dict.fromkeys(names))


def _names(names: list[Any], place: str) -> list[str]:
    if not all(isinstance(name, str) for name in names):
        raise SchemaDefectError(place, "expected a list of names")
    return names


def _uncomputable(place: str) -> SchemaDefectError:
    return SchemaDefectError(
        place, "it contains a number with too many digits or too large an exponent"
    )


def _canonical(value: Any, place: str) -> str:
    try:
        return canonical(value)
    except (TypeError, ValueError, RecursionError):
        raise _uncomputable(place) from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_SOUND: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_COUNTS, _is_count),
    "type": lambda _: True,
    "minimum": _is_number,
    "maximum": _is_number,
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "pattern": lambda value: isinstance(value, str),
    "uniqueItems": lambda value: isinstance(value, bool),
    "enum": lambda value: isinstance(value, list) and bool(value),
    "required": lambda value: isinstance(value, list) and bool(value),
    "format": lambda value: value == "date-time",
}
"""Keywords that contain no schema, with a check of their value."""
