"""Applies a destination's rules for names, types and limits, which are data in `profiles.json`."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec

from target_stitch_import.local.warehouse.digits import Range  # noqa: TC001 - msgspec reads it

Kind = Literal["integer", "number", "boolean", "string", "timestamp", "json"]
SYSTEM_PREFIX = "_sdc"
RESERVED_PREFIXES = ("_rjm",)  # on tables and columns of every destination
FILLED_NAME = re.compile(
    "_sdc_(?:batched_at|received_at|sequence|table_version|rejected|primary_keys"
    "|source_key_.*|level_.*_id)|__sdc_primary_key",
    re.DOTALL,
)
"""Columns that loading itself fills. Taps may send others, such as `_sdc_deleted_at`."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # no database accepts them in names


class Profile(msgspec.Struct, frozen=True):
    """One destination's rules; a limit of 0 means none."""

    title: str
    connect_type: str
    """The destination's name in Stitch Connect."""
    table_characters: int
    column_characters: int
    max_columns: int
    case: Literal["kept", "lower", "upper"]
    spaces: str
    """The replacement for a space."""
    others: str
    """The replacement for a character outside `allowed`."""
    allowed: str
    trim: bool
    """Whether spaces around a name are removed."""
    strip_leading: str
    """Regular expression of what is removed at the start."""
    strip_leading_of_tables: str
    """The same as `strip_leading`, for names of tables."""
    keeps_table_names: bool
    """Whether a table is named as it is sent: documented rules are for columns only."""
    prefix_leading: str
    """Regular expression of what is replaced by `_` at the start."""
    nested: Literal["flatten", "json"]
    on_key_change: Literal["append", "stop"]
    integer_suffix: str
    number_suffix: str
    nested_suffix: str
    reserved_suffixes: list[str]
    reserved_prefixes: list[str]
    min_year: int
    integer_digits: int
    """Digits of the largest integer; 0 means 64 bits."""
    decimals: Range
    """The limits of decimals."""

    def name(self, raw: str, *, table: bool = False) -> str:
        """Turn a table or column name from data into the destination's; may be empty."""
        if table and self.keeps_table_names:
            return _CONTROL.sub("", raw)
        name = raw.strip(" ") if self.trim else raw
        strip = self.strip_leading_of_tables if table else self.strip_leading
        if strip and not raw.lower().startswith(SYSTEM_PREFIX):
            name = re.sub(f"^(?:{strip})", "", name)
        name = name.replace(" ", self.spaces)
        name = re.sub(f"[^{self.allowed} ]", self.others, name)
        if self.prefix_leading:
            name = re.sub(self.prefix_leading, "_", name)
        if self.case == "lower":
            return name.lower()
        return name.upper() if self.case == "upper" else name

    def suffix(self, kind: Kind) -> str:
        """Return the suffix of a column for a property's second type."""
        return {
            "integer": self.integer_suffix,
            "number": self.number_suffix,
            "boolean": "__bo",
            "string": "__st",
            "timestamp": "__ti",
            "json": self.nested_suffix,
        }[kind]

    def reserved_prefix(self, raw: str, *, table: bool = False) -> str | None:
        """Return the reason to reject a name from data that has a reserved prefix, or None."""
        prefixes = (SYSTEM_PREFIX,) if table else self.reserved_prefixes
        name = raw.lower()
        if not name.startswith((*RESERVED_PREFIXES, *prefixes)) and (
            table or not FILLED_NAME.fullmatch(name)
        ):
            return None
        what = "table" if table else "column"
        return f"{what} names from client should not include reserved prefix on [{raw}]"

    def reserved_suffix(self, raw: str) -> str | None:
        """Return the reason to reject a column name that has a reserved suffix, or None."""
        if not raw.lower().endswith(tuple(self.reserved_suffixes)):
            return None
        return f"column names from client should not include reserved datatype suffix on [{raw}]"


@lru_cache(maxsize=1)
def profiles() -> dict[str, Profile]:
    """Read the known destinations' profiles, by name."""
    text = files(__package__).joinpath("profiles.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Profile])
