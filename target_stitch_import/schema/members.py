"""Collects the values at one place of all decoded records, and checks them together.

Invariant: a check gets every value of its place, and nothing else but markers of absent members.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_stitch_import.schema.text_checks import ValuesCheck


class Members:
    """Checks members of objects of the type `kind`; `checks` has the check of each field.

    Fields with the same check are checked together.
    """

    def __init__(self, kind: type, checks: Mapping[str, ValuesCheck]) -> None:
        self.kind = kind
        self.checks = checks
        fields: dict[ValuesCheck, list[str]] = {}
        for name, check in checks.items():
            fields.setdefault(check, []).append(name)
        self._together = [(check, _getter(names)) for check, names in fields.items()]

    def __call__(self, values: Sequence[Any]) -> bool:
        """Check the members of those `values` that are such objects."""
        kind = self.kind
        objects = [each for each in values if type(each) is kind]
        return not objects or all(check(get(objects)) for check, get in self._together)


def _getter(names: list[str]) -> Any:
    """Return a function that gets the members with these names from all objects, as one list."""
    get = attrgetter(*names)
    if len(names) == 1:
        return lambda objects: list(map(get, objects))
    return lambda objects: list(chain.from_iterable(map(get, objects)))


class Items:
    """Checks the items of arrays."""

    def __init__(self, check: ValuesCheck) -> None:
        self._check = check

    def __call__(self, values: Sequence[Any]) -> bool:
        """Check the items of those `values` that are arrays."""
        lists = [each for each in values if type(each) is list]
        return self._check(list(chain.from_iterable(lists)))


class Values:
    """Checks the members of objects with arbitrary names."""

    def __init__(self, check: ValuesCheck) -> None:
        self._check = check

    def __call__(self, values: Sequence[Any]) -> bool:
        """Check the members of those `values` that are such objects."""
        maps = [each.values() for each in values if type(each) is dict]
        return self._check(list(chain.from_iterable(maps)))


class Each:
    """Combines several checks of one place, each for values of its own type."""

    def __init__(self, checks: Iterable[ValuesCheck]) -> None:
        self._checks = tuple(checks)

    def __call__(self, values: Sequence[Any]) -> bool:
        """Return whether all checks accept `values`."""
        return all(check(values) for check in self._checks)
