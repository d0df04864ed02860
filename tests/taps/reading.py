"""Reads rows from source and warehouse, and converts their values to a comparable form."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.taps.servers import Row


@dataclass(frozen=True)
class Kind:
    """How to convert the texts of one type: those of the source, and those of the warehouse."""

    source: Callable[[str], Any]
    loaded: Callable[[str], Any]
    null: Any = None
    """The value that a null of the source becomes."""
    term: str = "{}"
    """The SQL expression to read from the source; `{}` is the column."""


def _boolean(text: str) -> str:
    return {"t": "true", "f": "false", "1": "true", "0": "false"}.get(text, text)


def moment(text: str) -> str:
    """Return a date or a moment as the warehouse writes it, in UTC."""
    date, _, time = text.removesuffix("+00").partition(" ")
    if "." in time:
        time = time.rstrip("0").rstrip(".")
    return f"{date} {time or '00:00:00'}"


def tree(text: str) -> str:
    """Return JSON in a canonical form: members sorted, numbers exact."""
    return _written(json.loads(text, parse_float=Decimal, parse_int=Decimal))


def tree_of_doubles(text: str) -> str:
    """Return JSON in a canonical form, with fractions rounded to doubles."""
    return _written(json.loads(text, parse_float=lambda each: Decimal(repr(float(each)))))


def _written(value: Any) -> str:
    match value:
        case dict():
            members = sorted(f"{json.dumps(key)}: {_written(each)}" for key, each in value.items())
            return "{" + ", ".join(members) + "}"
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case Decimal():
            return f"{value.normalize():f}"
        case int() if not isinstance(value, bool):
            return str(value)
    return json.dumps(value)


NUMBER = Kind(Decimal, Decimal)
DOUBLE = Kind(float, float)
"""A number that was converted to a double."""
TEXT = Kind(str, str)
BOOLEAN = Kind(_boolean, _boolean)
MOMENT = Kind(moment, moment)
TREE = Kind(tree, tree)


def text_of(written: Callable[[str], str]) -> Kind:
    """Return the kind of values that arrive as the text that `written` makes of the source's."""
    return Kind(written, str)


class Warehouse(Protocol):
    """A database that the local Import API has loaded."""

    def query(self, sql: str, /) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""


Table = Counter[tuple[Any, ...]]
"""A table's rows, in any order."""


def expected(rows: Sequence[Row], kinds: Sequence[Kind]) -> Table:
    """Return the rows that the warehouse should have, given the source's."""
    return Counter(
        tuple(
            kind.null if text is None else kind.source(text)
            for text, kind in zip(row, kinds, strict=True)
        )
        for row in rows
    )


def loaded(api: Warehouse, stream: str, columns: Mapping[str, Kind], where: str = "true") -> Table:
    """Return a stream's rows in the warehouse; a column without any value is null."""
    found = api.query(
        f"SELECT name FROM _stitch_import.tables WHERE raw_name = '{_in_sql(stream)}'"  # noqa: S608
    )
    if not found:
        return Counter()
    ((name,),) = found
    real = {
        each
        for (each,) in api.query(
            "SELECT column_name FROM information_schema.columns"  # noqa: S608
            f" WHERE table_schema = 'import_api' AND table_name = '{_in_sql(name)}'"
        )
    }
    if not real:
        return Counter()
    there = loaded_columns(api, stream)
    terms = ", ".join(_term(there.get(each, [each] if each in real else [])) for each in columns)
    rows = api.query(f"SELECT {terms} FROM import_api.{_quoted(name)} WHERE {where}")  # noqa: S608
    reads = [kind.loaded for kind in columns.values()]
    return Counter(
        tuple(None if text is None else read(text) for text, read in zip(row, reads, strict=True))
        for row in rows
    )


def loaded_columns(api: Warehouse, stream: str) -> dict[str, list[str]]:
    """Return a stream's columns by property: a name for each type of its values."""
    columns: dict[str, list[str]] = {}
    for raw_name, name in api.query(
        "SELECT raw_name, name FROM _stitch_import.columns WHERE table_name IN"  # noqa: S608
        f" (SELECT name FROM _stitch_import.tables WHERE raw_name = '{_in_sql(stream)}')"
    ):
        columns.setdefault(raw_name, []).append(name)
    return columns


def differences(right: Table, there: Table) -> str:
    """Return which rows are missing or wrong; empty if there are no differences."""
    said = [f"missing: {row!r:.2000}" for row in (right - there).elements()]
    said += [f"wrong: {row!r:.2000}" for row in (there - right).elements()]
    return "\n".join(said[:20])


def _term(names: list[str]) -> str:
    texts = [f"CAST({_quoted(name)} AS VARCHAR)" for name in names]
    return f"coalesce({', '.join(texts)})" if texts else "NULL"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _in_sql(text: str) -> str:
    return text.replace("'", "''")


def tables(script: str, schema: str) -> list[str]:
    """Return the tables and views that a script creates in a schema."""
    part = re.split(rf"^(?:SET search_path =|USE) {schema}\b.*;$", script, flags=re.MULTILINE)[1]
    part = re.split(r"^(?:SET search_path =|USE) .*;$", part, flags=re.MULTILINE)[0]
    made = r'^CREATE (?:TABLE|VIEW|MATERIALIZED VIEW) ("[^"]+"|`[^`]+`|\w+)'
    return [name.strip('"`') for name in re.findall(made, part, flags=re.MULTILINE)]
