"""How a destination names, splits and limits: rules as data (`profiles.json`), applied here."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec

Kind = Literal["integer", "number", "boolean", "string", "timestamp", "json"]
SYSTEM_PREFIXES = ("_sdc", "_rjm")  # reserved on tables and columns of every destination


class Profile(msgspec.Struct, frozen=True):
    """One destination's rules; a limit of 0 means none."""

    title: str
    table_characters: int
    column_characters: int
    max_columns: int
    case: Literal["kept", "lower", "upper"]
    spaces: str
    """What a space becomes."""
    others: str
    """What a character outside `allowed` becomes."""
    allowed: str
    strip_leading: str
    """Regular expression of what is removed at the start."""
    prefix_leading: str
    """Regular expression of what becomes `_` at the start."""
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

    def name(self, raw: str) -> str:
        """Turn a table or column name from data into the destination's; may be empty."""
        name = raw.replace(" ", self.spaces)
        name = re.sub(f"[^{self.allowed} ]", self.others, name)
        if self.strip_leading:
            name = re.sub(f"^(?:{self.strip_leading})", "", name)
        if self.prefix_leading:
            name = re.sub(self.prefix_leading, "_", name)
        if self.case == "lower":
            return name.lower()
        return name.upper() if self.case == "upper" else name

    def suffix(self, kind: Kind) -> str:
        """Give what is added to a column's name for a second type."""
        return {
            "integer": self.integer_suffix,
            "number": self.number_suffix,
            "boolean": "__bo",
            "string": "__st",
            "timestamp": "__ti",
            "json": self.nested_suffix,
        }[kind]

    def reserved_prefix(self, raw: str, *, table: bool = False) -> str | None:
        """Say why a name from data may not begin as it does, or None."""
        prefixes = SYSTEM_PREFIXES if table else (*SYSTEM_PREFIXES, *self.reserved_prefixes)
        if not raw.lower().startswith(prefixes):
            return None
        what = "table" if table else "column"
        return f"{what} names from client should not include reserved prefix on [{raw}]"

    def reserved_suffix(self, raw: str) -> str | None:
        """Say why a column name from data may not end as it does, or None."""
        if not raw.lower().endswith(tuple(self.reserved_suffixes)):
            return None
        return f"column names from client should not include reserved datatype suffix on [{raw}]"


@lru_cache(maxsize=1)
def profiles() -> dict[str, Profile]:
    """Read the known destinations' profiles, by name."""
    text = files(__package__).joinpath("profiles.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Profile])
