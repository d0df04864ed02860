"""Loads rows in bulk: columns of Python values become a temporary table, through a JSON file.

A statement's parameter costs microseconds per value; a file of columns, not rows, costs a
fraction of a microsecond.
"""

# ruff: noqa: S608 - names are the caller's own, never from data

from __future__ import annotations

import os
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

CHUNK_ROWS = 2048
MAX_LINE_BYTES = 1_000_000_000  # a request has 20,000,000 bytes by default; escapes lengthen it
_ENCODER = msgspec.json.Encoder(enc_hook=str)  # Moment is a subclass of str
# The types that JSON is read as; all others come as text and are cast.
_READ_AS = frozenset({"BIGINT", "BOOLEAN", "DOUBLE"})

Field = tuple[str, "Sequence[Any]"]
"""SQL type and values, None for NULL; numbers that JSON readers would round are given as text."""


class Bulk:
    """Loads rows into a connection's database; `scratch` is a directory for the files."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
        self.connection = connection
        self._scratch = scratch

    def create(
        self,
        name: str,
        *blocks: Mapping[str, Field],
        extra: Sequence[str] = (),
        tail: str = "",
    ) -> None:
        """Create the temporary table `name` from blocks of rows.

        Columns are in the order in which the blocks name them; a column that a block lacks is NULL
        there. `extra` are further expressions, `tail` follows the query, such as QUALIFY.
        """
        types = {key: type_ for block in blocks for key, (type_, _) in block.items()}
        read_as = {key: type_ if type_ in _READ_AS else "VARCHAR" for key, type_ in types.items()}
        columns = ", ".join(f"'{key}': '{type_}[]'" for key, type_ in read_as.items())
        casts = [
            key if read_as[key] == type_ else f"{_cast(key, type_)} AS {key}"
            for key, type_ in types.items()
        ]
        handle, path = tempfile.mkstemp(dir=self._scratch, suffix=".jsonl")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_ENCODER.encode_lines(list(chain.from_iterable(map(_chunks, blocks)))))
            self.connection.execute(
                f"CREATE TEMP TABLE {name} AS FROM (SELECT {', '.join([*casts, *extra])}"
                f" FROM (SELECT {', '.join(f'unnest({key}) AS {key}' for key in types)}"
                " FROM read_json(?, format = 'newline_delimited', compression = 'uncompressed',"
                f" maximum_object_size = {MAX_LINE_BYTES}, columns = {{{columns}}}))){tail}",
                [path],
            )
        finally:
            Path(path).unlink()

    def define(self, statements: Sequence[str]) -> None:
        """Run statements that define relations, possibly thousands, in the caller's transaction.

        They are parsed together and run without the optimizer, which cannot improve them: that
        halves their time. An error also rolls the transaction back.
        """
        if not statements:
            return
        self.connection.execute("PRAGMA disable_optimizer")
        try:
            for each in self.connection.extract_statements(";".join(statements)):
                self.connection.execute(each)
        except BaseException:
            self.connection.execute("ROLLBACK")  # until then, DuckDB refuses other statements
            raise
        finally:
            self.connection.execute("PRAGMA enable_optimizer")


def _chunks(block: Mapping[str, Field]) -> Iterator[dict[str, Sequence[Any]]]:
    rows = max((len(values) for _, values in block.values()), default=0)
    for at in range(0, rows, CHUNK_ROWS):
        yield {key: values[at : at + CHUNK_ROWS] for key, (_, values) in block.items()}


def _cast(key: str, sql_type: str) -> str:
    # A cast to TIMESTAMP alone would ignore the offset; the session's time zone is UTC.
    text = f"{key}::TIMESTAMPTZ" if sql_type == "TIMESTAMP" else key
    return f"{text}::{sql_type}"
