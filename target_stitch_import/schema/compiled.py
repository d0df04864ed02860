"""A quick check by `jsonschema-rs`, for schemas that no `msgspec` type can express.

Invariant: it supports only schemas whose checks have a known bound: no recursion, a limited size
with references expanded, expressions that cannot backtrack, and numbers in the range of a double.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from target_stitch_import.schema.date_times import is_date_time
from target_stitch_import.schema.node import all_nodes
from target_stitch_import.schema.patterns import MAX_PATTERN_COST, compile_cost, pattern
from target_stitch_import.schema.text_checks import DOUBLE_DIGITS, joined
from target_stitch_import.schema.values import exact_decimal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_stitch_import.schema.node import Node
    from target_stitch_import.schema.text_checks import ValuesCheck

_MAX_EXPONENT = 300
_MAX_NODES = 20_000
_MAX_WORK = 10_000_000
"""Bound on the text's length times the work per character; takes about half a second."""


class QuickCheck:
    """A check that accepts only valid records; what it refuses needs the exact check.

    The base class accepts nothing.
    """

    validates: bool = True
    """Whether records are validated at all."""
    date_times: Sequence[str] = ()
    """The columns whose values are all date-times, or null."""

    def accepts_all(self, messages: bytes, values: int | None = None) -> bool:  # noqa: ARG002
        """Check a JSON list of messages, each with its record in `data`.

        `values` is how many values the columns `date_times` must have, if that is known.
        """
        return False

    def naive_columns(self, messages: bytes) -> Mapping[str, bytes] | None:  # noqa: ARG002
        """Return the texts of the values in each of the columns `date_times`, joined by commas.

        None if records have other faults than missing offsets, or if there are no such columns.
        """
        return None

    def accepts(self, record: Raw) -> bool:  # noqa: ARG002
        """Check one record."""
        return False


class UncompilableError(ValueError):
    """A schema that this check does not support."""


class CompiledCheck(QuickCheck):
    """A quick check by `jsonschema-rs` of whole records.

    Args:
        schema: The schema of records.
        key_check: A check of the key properties, which are not part of a schema.

    Raises:
        UncompilableError: The check does not support the schema.
    """

    def __init__(self, schema: Node, key_check: QuickCheck) -> None:
        self._compiled = _Compiled(_Tree(), schema)
        self._key_check = key_check
        message: Any = msgspec.defstruct("Message", [("data", Raw)], gc=False)
        self._messages = msgspec.json.Decoder(list[message])

    def accepts_all(self, messages: bytes, values: int | None = None) -> bool:  # noqa: ARG002 - it has no such columns
        """Check a JSON list of messages, each with its record in `data`."""
        if not self._compiled.is_small(messages) or not self._key_check.accepts_all(messages):
            return False
        records = [each.data for each in self._messages.decode(messages)]
        return self._compiled.are_valid(b",".join(records))

    def accepts(self, record: Raw) -> bool:
        """Check one record."""
        return self._key_check.accepts(record) and self._compiled.are_valid(bytes(record))


class Compiler:
    """Makes checks for values within records, with one bound on their total size."""

    def __init__(self) -> None:
        self._tree = _Tree()
        self._size = 0

    def values_check(self, node: Node, extra: dict[str, Any] | None = None) -> ValuesCheck:
        """Return a check of `Raw` values by a node, and by the schema `extra`.

        Raises:
            UncompilableError: The check does not support the node.
        """
        compiled = _Compiled(self._tree, node, extra)
        self._size += self._tree.size(node)
        if self._size > _MAX_NODES:
            raise UncompilableError  # too large with references expanded
        return lambda values: compiled.are_valid(joined(values))


class _Compiled:
    """Checks JSON texts of one schema together, by `jsonschema-rs`."""

    def __init__(self, tree: _Tree, node: Node, extra: dict[str, Any] | None = None) -> None:
        import jsonschema_rs  # noqa: PLC0415 - only if a schema needs it

        if tree.size(node) > _MAX_NODES:
            raise UncompilableError  # too large with references expanded
        self._max_bytes = _MAX_WORK // tree.work(node)
        written = tree.of(node)
        # The linear engine cannot hang; expressions that it lacks are left to the exact check.
        try:
            self._is_valid = jsonschema_rs.Draft4Validator(
                {"items": {"allOf": [written, extra]} if extra else written},
                formats={"date-time": is_date_time},
                validate_formats=True,
                pattern_options=jsonschema_rs.RegexOptions(),
                offline=True,
            ).is_valid
        except ValueError as error:
            raise UncompilableError from error
        has_multiples = any("multipleOf" in each.rules for each in all_nodes(node))
        number = _short_decimal if has_multiples else _plain_decimal
        self._values = msgspec.json.Decoder(list[Any], float_hook=number)

    def is_small(self, texts: bytes) -> bool:
        """Return whether the texts are short enough to be checked in bounded time."""
        return len(texts) <= self._max_bytes

    def are_valid(self, texts: bytes) -> bool:
        """Check JSON texts that are joined by commas."""
        try:
            return self.is_small(texts) and self._is_valid(self._values.decode(b"[%b]" % texts))
        except (ValueError, RecursionError):
            return False


class _Tree:
    """Writes nodes as a schema without references."""

    def __init__(self) -> None:
        self._pattern_cost = 0
        self._sizes: dict[Node, int | None] = {}
        self._work: dict[Node, int] = {}

    def size(self, node: Node) -> int:
        """Return the number of nodes if each reference were replaced by a copy.

        Raises:
            UncompilableError: The schema is recursive.
        """
        if node not in self._sizes:
            self._sizes[node] = None
            below = sum(map(self.size, node.below())) + sum(map(self.size, node.beside()))
            self._sizes[node] = 1 + below
        size = self._sizes[node]
        if size is None:
            raise UncompilableError  # recursive
        return size

    def of(self, node: Node) -> dict[str, Any]:
        """Return a node, and all nodes below it, as a schema without references."""
        rules = dict(node.rules)
        for keyword in rules.keys() & {"type", "required"}:
            rules[keyword] = list(rules[keyword])
        _refuse_rounded_numbers(rules)
        for expression in [*(name for name, _ in node.patterns), rules.get("pattern")]:
            self._pattern_cost += compile_cost(expression) if expression else 0
        if self._pattern_cost > MAX_PATTERN_COST:
            raise UncompilableError
        written = rules | self._objects(node) | self._combined(node)
        if isinstance(node.items, tuple):
            written["items"] = [self.of(each) for each in node.items]
            written["additionalItems"] = self._or_boolean(node.other_items)
        elif node.items is not None:
            written["items"] = self.of(node.items)
        return written

    def _objects(self, node: Node) -> dict[str, Any]:
        written: dict[str, Any] = {}
        if node.properties:
            written["properties"] = {name: self.of(each) for name, each in node.properties.items()}
        if node.patterns:
            written["patternProperties"] = {name: self.of(each) for name, each in node.patterns}
        if node.rest is not True:
            written["additionalProperties"] = self._or_boolean(node.rest)
        if node.dependencies:
            written["dependencies"] = {
                name: list(needed) if isinstance(needed, tuple) else self.of(needed)
                for name, needed in node.dependencies
                if needed != ()
            }
        return written

    def _combined(self, node: Node) -> dict[str, Any]:
        lists = {"allOf": node.all_of, "anyOf": node.any_of, "oneOf": node.one_of}
        written: dict[str, Any] = {
            keyword: [self.of(each) for each in nodes] for keyword, nodes in lists.items() if nodes
        }
        if node.none_of:
            written["not"] = self.of(node.none_of)
        return written

    def _or_boolean(self, rest: Node | bool) -> Any:  # noqa: FBT001 - a schema can be one
        return rest if isinstance(rest, bool) else self.of(rest)

    def work(self, node: Node) -> int:
        """Return the maximum work per character: schemas and states of expressions."""
        if node not in self._work:
            own = 1 + _states(node.rules.get("pattern"))
            values = node.rules.get("enum", ())
            if not all(isinstance(each, str) for each in values):
                own += len(values)  # strings are looked up, other values are compared one by one
            named = sum(_states(name) + self.work(each) for name, each in node.patterns)
            below = max(map(self.work, node.below()), default=0)
            self._work[node] = own + sum(map(self.work, node.beside())) + named + below
        return self._work[node]


def _refuse_rounded_numbers(rules: dict[str, Any]) -> None:
    """Raise `UncompilableError` for numbers that this check may round."""
    waiting = [rules.get("enum"), rules.get("multipleOf"), *map(rules.get, ("minimum", "maximum"))]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, int | Decimal) and abs(Decimal(value).adjusted()) > _MAX_EXPONENT:
            raise UncompilableError


def _states(expression: str | None) -> int:
    if expression is None:
        return 0
    known = pattern(expression)
    if not known.is_linear:
        raise UncompilableError  # it may backtrack
    return known.states


def _plain_decimal(text: str) -> Decimal:
    number = exact_decimal(text)
    if "e" in text or "E" in text:
        if str(number).lstrip("-").isdigit():
            raise ValueError("with this exponent, it would be taken for an integer")
        if abs(number.adjusted()) > _MAX_EXPONENT:
            raise ValueError("beyond doubles")
    return number


def _short_decimal(text: str) -> Decimal:
    # Multiples are checked with the precision of a double.
    if len(text) > DOUBLE_DIGITS or "e" in text or "E" in text:
        raise ValueError("beyond the precision of a double")
    return Decimal(text)
