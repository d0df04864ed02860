"""The official test suite of Draft 4: the exact check agrees, the quick checks are never laxer.

`make` fetches the suite, which is not ours. Each schema is tried as that of one column, and, where
an instance is an object, as that of the record itself.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import simplejson
from msgspec import Raw

from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.compiled import CompiledCheck, QuickCheck, UncompilableError
from target_stitch_import.schema.draft4 import SchemaDefectError, read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.quick_checks import ExamineAll, TypedCheck
from target_stitch_import.schema.raw_flaws import NUL
from target_stitch_import.schema.record_type import key_type, record_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.schema.node import Node

SUITE = Path(__file__).parents[2] / ".tools" / "json-schema-suite"
CASES = SUITE / "tests" / "draft4"
# The Import API enforces no format but date-time.
OTHER_FORMATS = {"email", "hostname", "ipv4", "ipv6", "uri"}

STRICTER = {
    # file, words of the instance's description: why it is refused here
    ("optional/format/date-time", "leap second"): "no destination's timestamp holds second 60",
    ("enum", "match string with nul"): "no destination's text holds U+0000",
}
REMOTE = "a reference out of the schema is never fetched"
BY_ID = "`id`, which moves the base of references, is not read, as no tap writes it"
NO_SCHEMA = {
    # file, words of the schema's description: why such a schema is refused
    ("definitions", "metaschema"): REMOTE,
    ("ref", "remote ref"): REMOTE,
    ("refRemote", ""): REMOTE,
    ("ref", "Recursive references between schemas"): BY_ID,
    ("ref", "sibling id"): BY_ID,
    ("ref", "Location-independent identifier"): BY_ID,
    ("ref", "id must be resolved against nearest parent"): BY_ID,
    ("optional/id", "id inside an enum"): BY_ID,
}


@dataclass(frozen=True)
class Case:
    """One instance as a record, with the verdict of each check."""

    name: str
    valid: bool
    accepted: bool
    quick: dict[str, bool]


def files() -> list[str]:
    found = [path.relative_to(CASES).with_suffix("") for path in sorted(CASES.rglob("*.json"))]
    return [str(path) for path in found if path.name not in OTHER_FORMATS]


def moved(schema: Any) -> Any:
    """Return a schema whose references begin at `#/properties/f`, where it will be placed."""
    if isinstance(schema, list):
        return [moved(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: "#/properties/f" + value.removeprefix("#")
        if name == "$ref" and isinstance(value, str) and (value + "/").startswith("#/")
        else (value if name == "enum" else moved(value))
        for name, value in schema.items()
    }


def shapes(group: Any) -> Iterator[tuple[str, Any, list[tuple[Any, Any]]]]:
    """Yield a group's schema as a column's and as a record's, each with tests and records."""
    tests = group["tests"]
    column = {"type": "object", "properties": {"f": moved(group["schema"])}}
    yield "column", column, [(each, {"f": each["data"]}) for each in tests]
    objects = [(each, each["data"]) for each in tests if isinstance(each["data"], dict)]
    yield "record", group["schema"], objects


def quick_checks(schema: Node) -> dict[str, QuickCheck]:
    """Return every quick check that supports the schema, not only the one that would be chosen."""
    keys = key_type(())
    assert keys is not None
    checks: dict[str, QuickCheck] = {}
    typed = record_type(schema, ())
    if typed is not None:
        checks["typed"] = TypedCheck(typed)
    with suppress(UncompilableError):
        checks["compiled"] = CompiledCheck(schema, TypedCheck(keys))
    return checks


def defect(schema: Any) -> str:
    """Return the defect of a schema, or None."""
    try:
        read_schema(simplejson.dumps(schema).encode())
    except SchemaDefectError as error:
        return str(error)
    return ""


@cache
def judged(file: str) -> list[Case]:
    """Return all cases of a file whose schema can be read."""
    # With decimals, so that a number's text is the suite's own.
    groups = simplejson.loads((CASES / f"{file}.json").read_text(), use_decimal=True)
    cases: list[Case] = []
    for group in groups:
        for shape, schema, tests in shapes(group):
            if defect(schema):
                continue
            read = read_schema(simplejson.dumps(schema).encode()).root
            exact = RecordCheck(
                read, (), naive_datetimes="fail", max_record_bytes=10**7, quick=ExamineAll()
            )
            quick = quick_checks(read)
            for test, record in tests:
                raw = Raw(simplejson.dumps(record).encode())
                name = f"{shape}: {group['description']}: {test['description']}"
                accepted = not isinstance(exact.examine(raw), Refused)
                # No quick check is asked about a text that has U+0000 in it.
                yes = {
                    kind: NUL not in bytes(raw)
                    and (check.accepts(raw) or check.accepts_all(b'[{"data":%b}]' % bytes(raw)))
                    for kind, check in quick.items()
                }
                cases.append(Case(name, test["valid"], accepted, yes))
    return cases


def test_the_official_suite_is_installed() -> None:
    assert len(files()) >= 35, "`make unit` fetches it; see the Makefile"


@pytest.mark.parametrize("file", files())
def test_the_exact_check_agrees_with_the_official_suite(file: str) -> None:
    """Its verdicts are those of the suite, except for the list above, all of which is needed."""
    lax = {case.name for case in judged(file) if case.accepted and not case.valid}
    strict = {case.name for case in judged(file) if case.valid and not case.accepted}
    words = [words for name, words in STRICTER if name == file]
    assert not lax
    assert not {name for name in strict if not any(each in name for each in words)}
    assert all(any(each in name for name in strict) for each in words)


@pytest.mark.parametrize("file", files())
def test_no_quick_check_is_laxer_than_the_exact_one(file: str) -> None:
    assert not [case for case in judged(file) if any(case.quick.values()) and not case.accepted]


@pytest.mark.parametrize("file", files())
def test_a_schema_is_refused_only_for_an_unsupported_reference(file: str) -> None:
    for group in simplejson.loads((CASES / f"{file}.json").read_text()):
        expected = any(name == file and words in group["description"] for name, words in NO_SCHEMA)
        for _, schema, _ in shapes(group):
            words = defect(schema)
            assert ("`$ref`" in words) == expected, group["description"]
            assert bool(words) == expected, group["description"]


def test_the_quick_checks_accept_most_valid_instances() -> None:
    """They accept most valid instances, so that the tests above are meaningful."""
    right = [case for file in files() for case in judged(file) if case.accepted]
    yes = Counter(kind for case in right for kind, accepts in case.quick.items() if accepts)
    asked = Counter(kind for case in right for kind in case.quick)
    assert asked["typed"] > 400
    assert asked["compiled"] > 500
    # Numbers beyond doubles, `1.0` where a 1 is enumerated, a date-time in lower case.
    assert yes["typed"] >= asked["typed"] - 4
    assert yes["compiled"] > 0.98 * asked["compiled"]
