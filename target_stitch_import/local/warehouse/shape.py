"""Turns records into columns: objects flattened to `a__b`, arrays to subtables, a series per type.

Works column by column, so that a record costs a few list operations per value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from target_stitch_import.local.api.date_times import is_date_time
from target_stitch_import.local.api.numbers import scale_of_step
from target_stitch_import.local.api.schemas import COMBINATIONS, referred
from target_stitch_import.local.api.values import Columns, Moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_stitch_import.local.api.batch import Load
    from target_stitch_import.local.warehouse.profiles import Kind

_NONE = type(None)
_EMPTY: dict[str, Any] = {}
_NESTED = {dict, list}
_TEXT = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


@dataclass(slots=True)
class Series:
    """The values of one column and one type, aligned with its table's rows (None: no value)."""

    raw_name: str
    kind: Kind
    values: Sequence[Any]
    scale: int | None = None
    """The digits after the point that a `multipleOf` allows."""
    leaf: str = ""
    """The property's own name, without those of the objects around it."""


@dataclass(slots=True)
class Rows:
    """Rows of one table: the position of each row's record, and its indices in nested arrays."""

    raw_name: str
    roots: Sequence[int]
    levels: list[tuple[int, ...]] | None = None
    series: list[Series] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Hint:
    """What a property's schema says about loading its values."""

    number: bool = False
    timestamp: bool = False
    text: bool = False
    """Whether strings other than date-times are allowed, too."""
    scale: int | None = None


def shape(load: Load, *, flatten: bool) -> list[Rows]:
    """Lay a load out as tables: first the root's rows, then those of its subtables.

    Columns whose values are all null are left out. With `flatten` false, objects and arrays stay
    whole, as JSON text. Without a schema each value's own type counts.
    """
    root = Rows(load.table_name, range(len(load.records)))
    tables = [root]
    pending: list[tuple[Rows, str, Sequence[Any], _Schemas]] = []
    columns = load.columns or Columns.of(load.records)
    _lay(root, "", columns, _Schemas(load.schema), flatten, pending)
    while pending:
        parent, name, arrays, schemas = pending.pop(0)
        rows = Rows(f"{parent.raw_name}__{name}", [], [])
        elements: list[dict[str, Any]] = []
        roots: list[int] = []
        levels: list[tuple[int, ...]] = []
        for at, array in enumerate(arrays):
            if type(array) is not list:
                continue
            above = parent.levels[at] if parent.levels is not None else ()
            for index, element in enumerate(array):
                roots.append(parent.roots[at])
                levels.append((*above, index))
                elements.append(element if type(element) is dict else {"value": element})
        rows.roots, rows.levels = roots, levels
        _lay(rows, "", Columns.of(elements), schemas.element(), flatten, pending)
        tables.append(rows)
    return tables


def _lay(  # noqa: PLR0913, PLR0917 - what a recursion carries
    rows: Rows,
    prefix: str,
    columns: Columns,
    schemas: _Schemas,
    flatten: bool,  # noqa: FBT001 - passed down a recursion
    pending: list[tuple[Rows, str, Sequence[Any], _Schemas]],
) -> None:
    columns = columns.ordered(schemas.names())
    for name, values in columns.values.items():
        kinds = columns.kinds[name] - {_NONE}
        if not kinds:
            continue
        raw_name = prefix + name
        nested = kinds & _NESTED
        if nested and flatten:
            inside = schemas.property(name)
            if dict in nested:
                objects = [value if type(value) is dict else _EMPTY for value in values]
                _lay(rows, f"{raw_name}__", Columns.of(objects), inside, flatten, pending)
            if list in nested:
                pending.append((rows, raw_name, values, inside))
        elif nested:
            texts = [
                _TEXT.encode(value).decode() if type(value) in _NESTED else None for value in values
            ]
            rows.series.append(Series(raw_name, "json", texts, leaf=name))
        scalars = kinds - _NESTED
        if scalars:
            whole = not nested
            for series in _scalars(raw_name, values, scalars, schemas.hint(name), whole=whole):
                series.leaf = name
                rows.series.append(series)


def _scalars(
    raw_name: str, values: Sequence[Any], kinds: set[type], hint: _Hint, *, whole: bool
) -> Iterable[Series]:
    """Yield a column's scalars as one series per type; `whole`: no value is nested."""
    groups: dict[Kind, set[type]] = {}
    # The first type to appear gets the column's own name, the others one with a suffix.
    ordered = kinds if len(kinds) == 1 else dict.fromkeys(map(type, values))
    for type_ in (each for each in ordered if each in kinds):
        groups.setdefault(_kind(type_, hint), set()).add(type_)
    for kind, types in groups.items():
        only = whole and len(groups) == 1
        kept = values if only else [value if type(value) in types else None for value in values]
        if kind == "timestamp" and hint.text:
            yield from _dated_or_not(raw_name, kept)
        else:
            yield Series(raw_name, kind, kept, hint.scale if kind == "number" else None)


def _dated_or_not(raw_name: str, values: Sequence[str | None]) -> Iterable[Series]:
    """Yield a series of the strings that are date-times, and one of the others."""
    dated = [value if value is not None and is_date_time(value) else None for value in values]
    others = [
        value if moment is None else None for value, moment in zip(values, dated, strict=True)
    ]
    if any(value is not None for value in dated):
        yield Series(raw_name, "timestamp", dated)
    if any(value is not None for value in others):
        yield Series(raw_name, "string", others)


def _kind(type_: type, hint: _Hint) -> Kind:
    if type_ is Moment:
        return "timestamp"
    if type_ is str:
        return "timestamp" if hint.timestamp else "string"
    if type_ is int:
        return "number" if hint.number else "integer"
    return "boolean" if type_ is bool else "number"


class _Schemas:
    """The subschemas for one place in the records; several for combinations."""

    def __init__(self, root: dict[str, Any] | None, here: list[Any] | None = None) -> None:
        self._root = root
        if here is None:
            here = [] if root is None else [root]
        self._here = list(self._spread(here))

    def _spread(self, schemas: list[Any]) -> Iterable[dict[str, Any]]:
        """Follow references and combinations, each subschema once."""
        seen: set[int] = set()
        pending = list(reversed(schemas))
        while pending:
            schema = pending.pop()
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
            if isinstance(schema.get("$ref"), str):
                pending.append(referred(self._root or {}, schema))
                continue
            yield schema
            for keyword in COMBINATIONS:
                pending += reversed(schema.get(keyword, ()))

    def names(self) -> Iterable[str]:
        """Return the properties in declared order."""
        return chain.from_iterable(schema.get("properties", ()) for schema in self._here)

    def property(self, name: str) -> _Schemas:
        """Return the subschemas of a property."""
        found = []
        for schema in self._here:
            subschema = schema.get("properties", _EMPTY).get(name)
            if subschema is None:
                subschema = schema.get("additionalProperties")
            found.append(subschema)
        return self._of(found)

    def _of(self, found: list[Any]) -> _Schemas:
        return _Schemas(self._root, found) if any(found) else _NO_SCHEMAS

    def element(self) -> _Schemas:
        """Return the subschemas of an array's elements, wrapped like the subtable's rows."""
        found: list[Any] = []
        for schema in self._here:
            items = schema.get("items")
            found += items if isinstance(items, list) else [items]
        if not any(found):
            return _NO_SCHEMAS
        inner = _Schemas(self._root, found)
        inner._here.append({"properties": {"value": {"anyOf": [*inner._here]}}})
        return inner

    def hint(self, name: str) -> _Hint:
        """Return what the schemas say about a property's scalars."""
        if not self._here:
            return _NO_HINT
        number = timestamp = text = False
        scale: int | None = None
        for schema in self.property(name)._here:  # noqa: SLF001 - its own class
            types = schema.get("type", ())
            types = {types} if isinstance(types, str) else set(types)
            number = number or "number" in types
            dated = schema.get("format") == "date-time"
            timestamp = timestamp or dated
            text = text or ("string" in types and not dated)
            step = schema.get("multipleOf")
            if step is not None:
                scale = max(scale or 0, scale_of_step(step))
        return _Hint(number, timestamp, text, scale)


_NO_SCHEMAS = _Schemas(None)
_NO_HINT = _Hint()
