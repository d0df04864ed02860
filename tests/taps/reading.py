"""What a source says of its rows, and what the warehouse has of them, in terms that compare."""

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
    """How the texts of one type are read: the source's as what is right, and the warehouse's."""

    source: Callable[[str], Any]
    loaded: Callable[[str], Any]
    null: Any = None
    """What a null of the source arrives as."""
    term: str = "{}"
    """What to ask the source for, `{}` being the column."""


def _boolean(text: str) -> str:
    return {"t": "true", "f": "false", "1": "true", "0": "false"}.get(text, text)


def moment(text: str) -> str:
    """Write a date or a point in time, in UTC, as the warehouse does."""
    date, _, time = text.removesuffix("+00").partition(" ")
    if "." in time:
        time = time.rstrip("0").rstrip(".")
    return f"{date} {time or '00:00:00'}"


def tree(text: str) -> str:
    """Write JSON so that equal values are equal texts: members sorted, numbers to the digit."""
    return _written(json.loads(text, parse_float=Decimal, parse_int=Decimal))


def tree_of_doubles(text: str) -> str:
    """Write JSON whose fractions went through doubles."""
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
"""A number that went through a double."""
TEXT = Kind(str, str)
BOOLEAN = Kind(_boolean, _boolean)
MOMENT = Kind(moment, moment)
TREE = Kind(tree, tree)


def text_of(written: Callable[[str], str]) -> Kind:
    """Return the kind of what arrives as another text than the source's own."""
    return Kind(written, str)


class Warehouse(Protocol):
    """A database that the local Import API has loaded."""

    def query(self, sql: str, /) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""


Table = Counter[tuple[Any, ...]]
"""A table's rows, in any order."""


def expected(rows: Sequence[Row], kinds: Sequence[Kind]) -> Table:
    """Return what is right of the source's rows."""
    return Counter(
        tuple(
            kind.null if text is None else kind.source(text)
            for text, kind in zip(row, kinds, strict=True)
        )
        for row in rows
    )


def loaded(api: Warehouse, stream: str, columns: Mapping[str, Kind], where: str = "true") -> Table:
    """Return a stream's rows of the warehouse; a column that has no value yet is null."""
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
    """Return a stream's columns: the names that a property's values of each type went to."""
    columns: dict[str, list[str]] = {}
    for raw_name, name in api.query(
        "SELECT raw_name, name FROM _stitch_import.columns WHERE table_name IN"  # noqa: S608
        f" (SELECT name FROM _stitch_import.tables WHERE raw_name = '{_in_sql(stream)}')"
    ):
        columns.setdefault(raw_name, []).append(name)
    return columns


def differences(right: Table, there: Table) -> str:
    """Say which rows are missing and which should not be there; nothing where all is right."""
    said = [f"missing: {row!r:.2000}" for row in (right - there).elements()]
    said += [f"not right: {row!r:.2000}" for row in (there - right).elements()]
    return "\n".join(said[:20])


def _term(names: list[str]) -> str:
    texts = [f"CAST({_quoted(name)} AS VARCHAR)" for name in names]
    return f"coalesce({', '.join(texts)})" if texts else "NULL"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _in_sql(text: str) -> str:
    return text.replace("'", "''")


def tables(script: str, schema: str) -> list[str]:
    """Return the tables and views that a script makes in a schema."""
    part = re.split(rf"^(?:SET search_path =|USE) {schema}\b.*;$", script, flags=re.MULTILINE)[1]
    part = re.split(r"^(?:SET search_path =|USE) .*;$", part, flags=re.MULTILINE)[0]
    made = r'^CREATE (?:TABLE|VIEW|MATERIALIZED VIEW) ("[^"]+"|`[^`]+`|\w+)'
    return [name.strip('"`') for name in re.findall(made, part, flags=re.MULTILINE)]
