"""The exact check: it agrees with `jsonschema`, with exact numbers and bounded work."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, FormatChecker, ValidationError
from jsonschema.validators import extend
from msgspec import Raw

from target_stitch_import.schema.checks import RecordCheck
from target_stitch_import.schema.compiled import CompiledCheck, UncompilableError
from target_stitch_import.schema.date_times import is_date_time
from target_stitch_import.schema.draft4 import read_schema
from target_stitch_import.schema.exact import Refused
from target_stitch_import.schema.patterns import TooCostlyError, pattern
from target_stitch_import.schema.quick_checks import ExamineAll, quick_check
from target_stitch_import.schema.values import Size, canonical, is_multiple, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TOO_LONG = "validating it against the schema would take too long"


def examined(schema: Any, record: Any) -> str:
    """Return "ok", or the text of the refusal."""
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    check = RecordCheck(read_schema(text).root, (), max_record_bytes=19_999_000)
    verdict = check.examine(Raw(raw))
    check.accepted(b'[{"data":%b}]' % raw, len(raw))
    return str(verdict) if isinstance(verdict, Refused) else "ok"


def column(field: Any, **definitions: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"f": field}, "definitions": definitions}


def nested(levels: int, wrap: Any, value: Any = None) -> Any:
    for _ in range(levels):
        value = wrap(value)
    return value


def doubling(make: Any) -> dict[str, Any]:
    """Return a column whose schema has 2**40 references to each value."""
    levels = {f"d{n}": make({"$ref": f"#/definitions/d{n + 1}"}) for n in range(40)}
    return column({"$ref": "#/definitions/d0"}, **levels, d40={"type": "integer"})


TREE = {
    "anyOf": [
        {"type": "null"},
        {"properties": {"a": {"$ref": "#/definitions/tree"}}, "required": ["b"]},
        {"properties": {"a": {"$ref": "#/definitions/tree"}}, "required": ["c"]},
    ]
}
HEAVY = {"items": {"anyOf": [{"enum": [[n]]} for n in range(200)]}}


@pytest.mark.parametrize(
    ("schema", "record", "words"),
    [
        (column({"pattern": "(?=a)(a+)+$"}), {"f": "a" * 200_000 + "!"}, TOO_LONG),
        (column({"pattern": "(?=a)(a+)+$"}), {"f": "a" * 200_000}, "ok"),
        (column({"pattern": "[ab]*a[ab]{4000}[cd]"}), {"f": "ab" * 100_000}, TOO_LONG),
        (column({"not": {"pattern": "^(?:(?!x).)*y"}}), {"f": "ab" * 100_000}, TOO_LONG),
        (column({"pattern": "^[^@]+@[^@]+$"}), {"f": "a" * 500_000 + "@b"}, "ok"),
        (doubling(lambda below: {"allOf": [below, {"allOf": [below]}]}), {"f": 1}, "ok"),
        (doubling(lambda below: {"anyOf": [below, {"not": below}]}), {"f": "x"}, "ok"),
        (doubling(lambda below: {"oneOf": [below, {"not": below}]}), {"f": "x"}, "ok"),
        (
            doubling(lambda below: {"properties": {"a": below}, "patternProperties": {"a": below}}),
            {"f": nested(40, lambda value: {"a": value}, 1)},
            "ok",
        ),
        (
            column({"$ref": "#/definitions/tree"}, tree=TREE),
            {"f": nested(60, lambda value: {"a": value, "c": 1})},
            "ok",
        ),
        (column({"uniqueItems": True}), {"f": [n * (2**61 - 1) for n in range(9_000)]}, "ok"),
        (column({"uniqueItems": True}), {"f": [*range(9_000), 1.0]}, "it breaks `uniqueItems`"),
        (column({"items": {"enum": [[n] for n in range(5_000)]}}), {"f": [[4_999]] * 9_000}, "ok"),
        (column(HEAVY), {"f": [[199]] * 9_000}, TOO_LONG),
        (column({"minItems": 9**9}), b'{"f":[' + b"[]," * 300_000 + b"1]}", TOO_LONG),
        (
            column({"$ref": "#/definitions/d"}, d={"items": {"$ref": "#/definitions/d"}}),
            b'{"f":' + b"[" * 900 + b"]" * 900 + b"}",
            "it is nested too deeply",
        ),
    ],
)
def test_every_check_ends(schema: Any, record: Any, words: str) -> None:
    """Because of caching, or because of a budget; otherwise, each of these would take hours."""
    assert words in examined(schema, record)


def test_a_deep_record_ends_its_check() -> None:
    """Python 3.14 and later can read it."""
    record = b'{"f":' + b"[" * 9_000 + b"]" * 9_000 + b"}"
    assert examined(column({}), record) in {"it is nested too deeply", "ok"}


NUMBERS = ["1e99999999999999999999", "-1e-99999999999999999999", "9" * 5_000, "0e99999999999999999"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "rule", [{}, {"multipleOf": 0.01}, {"minimum": 0}, {"enum": [1]}, {"uniqueItems": True}]
)
def test_a_number_that_cannot_be_validated_is_reported_by_its_field(
    number: str, rule: dict[str, Any]
) -> None:
    field = {"type": ["number", "array", "null"], "not": {"enum": [5]}} | rule
    words = examined(column(field), f'{{"a":1,"f":[{{"g":{number}}}]}}'.encode())
    assert "field `/f/0/g`: it contains a number that cannot be validated" in words


@pytest.mark.parametrize(
    ("rule", "number", "words"),
    [
        ('"multipleOf":1e-20000', "5.25", "ok"),
        ('"multipleOf":7e-999999999999999999', "5.26", "it breaks `multipleOf`"),
        ('"multipleOf":0.01', "1e-400", "it breaks `multipleOf`"),
        ('"multipleOf":0.01', "1e-4000", "it breaks `multipleOf`"),
        ('"multipleOf":0.01', "0e-4000", "ok"),
        ('"multipleOf":1e300', "1e400", "ok"),
        ('"multipleOf":1e-400', "0.5", "ok"),
        ('"minimum":1e999999999999', "1e400", "it breaks `minimum`"),
        ('"maximum":1e999999999999', "1e400", "ok"),
        ('"maximum":-1e-999999999999', "-1e-4000", "ok"),
        ('"minimum":0,"exclusiveMinimum":true', "1e-4000", "ok"),
        ('"maximum":0', "1e-4000", "it breaks `maximum`"),
        ('"minimum":1e400', "1e399", "it breaks `minimum`"),
        ('"enum":[1e400,5]', "10e399", "ok"),
        ('"enum":[0]', "1e-400", "it is not one of"),
        ('"maximum":99999999999999999999.999', "99999999999999999999.9991", "it breaks `maximum`"),
    ],
)
def test_numbers_beyond_doubles_are_compared_exactly(rule: str, number: str, words: str) -> None:
    schema = f'{{"properties":{{"f":{{{rule}}}}}}}'.encode()
    assert words in examined(schema, f'{{"f":{number}}}'.encode())


DECIMALS = st.builds(
    lambda coefficient, exponent: Decimal(coefficient).scaleb(exponent),
    st.integers(-(10**6), 10**6),
    st.integers(-9, 9),
)


@given(DECIMALS, DECIMALS.filter(lambda factor: factor > 0))
def test_multiples_agree_with_exact_fractions(number: Decimal, factor: Decimal) -> None:
    assert is_multiple(number, factor) == ((Fraction(number) / Fraction(factor)).denominator == 1)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    DECIMALS,
    st.sampled_from(["", "a", "True", "1e0"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=6,
)


def unbool(value: Any) -> Any:
    """Return a value that in Python equals only what is equal in JSON."""
    if isinstance(value, dict):
        return {name: unbool(member) for name, member in value.items()}
    if isinstance(value, list):
        return [unbool(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value


@given(VALUES, VALUES)
def test_exactly_equal_values_have_the_same_canonical_text(one: Any, other: Any) -> None:
    assert (canonical(one) == canonical(other)) == (unbool(one) == unbool(other))


@given(VALUES)
def test_values_are_counted_without_parsing_the_text(value: Any) -> None:
    def points(of: Any) -> int:
        below = of.values() if isinstance(of, dict) else of if isinstance(of, list) else None
        return 1 if below is None else sum(map(points, below))

    def values(of: Any) -> int:
        below = of.values() if isinstance(of, dict) else of if isinstance(of, list) else ()
        return 1 + sum(map(values, below))

    text = json.dumps({'\\" ,[': [value, ',"}\\']}, default=str, indent=1).encode()
    size = size_of(text, Size(1_000, 1_000))
    assert (size.data_points, size.values) == (points(value) + 1, values(value) + 3)
    early = size_of(text, Size(1, 1_000))
    assert early.data_points > 1 or size.data_points <= 1


LEAVES = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["integer", "number", "string", ["null", "array"], "object"]),
            "minimum": DECIMALS,
            "maximum": DECIMALS,
            "exclusiveMinimum": st.booleans(),
            "exclusiveMaximum": st.booleans(),
            "multipleOf": DECIMALS.filter(lambda factor: factor > 0),
            "minLength": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "minItems": st.integers(0, 2),
            "minProperties": st.integers(0, 2),
            "maxProperties": st.integers(0, 1),
            "uniqueItems": st.booleans(),
            "pattern": st.sampled_from(["^a", "e|T", "^(?=1)"]),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "required": st.lists(st.sampled_from("ab"), min_size=1, unique=True),
        },
    ),
    st.just({"$ref": "#/definitions/x"}),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("ab"), inner),
            "patternProperties": st.dictionaries(st.sampled_from(["a", "^b$"]), inner),
            "additionalProperties": st.booleans() | inner,
            "dependencies": st.dictionaries(
                st.sampled_from("ab"), inner | st.lists(st.sampled_from("ab"), min_size=1)
            ),
            "items": inner | st.lists(inner, min_size=1, max_size=2),
            "additionalItems": st.booleans() | inner,
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=4,
)


def _multiple_of(_: Any, factor: Any, number: Any, __: Any) -> Iterator[ValidationError]:
    is_number = isinstance(number, int | Decimal) and not isinstance(number, bool)
    if is_number and (Fraction(number) / Fraction(factor)).denominator != 1:
        yield ValidationError("")


FORMATS = FormatChecker(formats=())
FORMATS.checks("date-time")(is_date_time)
REFERENCE: Any = extend(  # type: ignore[no-untyped-call]
    Draft4Validator,
    {"multipleOf": _multiple_of},
    type_checker=Draft4Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def written(value: Any) -> bytes:
    """Return a value as JSON, with the digits of its decimals."""

    def plain(of: Any) -> Any:
        if isinstance(of, dict):
            return {name: plain(member) for name, member in of.items()}
        if isinstance(of, list):
            return [plain(item) for item in of]
        return f"\0{of:e}\0" if isinstance(of, Decimal) else of

    return json.dumps(plain(value)).replace('"\\u0000', "").replace('\\u0000"', "").encode()


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from("ab"), SCHEMAS, min_size=1),
    st.dictionaries(st.sampled_from("ab"), VALUES),
    LEAVES.filter(lambda leaf: "$ref" not in leaf),
)
def test_the_exact_check_agrees_with_jsonschema_and_quick_checks_are_never_laxer(
    properties: Any, record: Any, shared: Any
) -> None:
    schema = {"properties": properties, "definitions": {"x": shared}}
    root = read_schema(written(schema)).root
    raw = Raw(written(record))
    # As it is read again, so that a whole decimal is one there, too.
    document = json.loads(written(schema), parse_float=Decimal)
    value = json.loads(bytes(raw), parse_float=Decimal)
    valid = REFERENCE(document, format_checker=FORMATS).is_valid(value)
    exact = RecordCheck(root, (), max_record_bytes=10**7, quick=ExamineAll())
    assert isinstance(exact.examine(raw), Refused) != valid
    quick = [quick_check(root, ())]
    with suppress(UncompilableError):
        quick.append(CompiledCheck(root, quick_check(read_schema(b"{}").root, ())))
    for each in quick:
        assert valid or not each.accepts(raw)
        assert valid or not each.accepts_all(b'[{"data":%b}]' % bytes(raw))


@pytest.mark.parametrize(
    ("expression", "is_known", "is_linear"),
    [
        ("^(a+)+$", True, True),
        (r"^\d{4}-[\]\-a]{2}(?:x|y)*$", True, True),
        ("(?=a)b", True, False),
        (r"(a)\1", True, False),
        ("[", False, False),
        ("(((a{50}){50}){50}){50}", False, False),
        ("a{99999}", False, False),
    ],
)
def test_regular_expressions_are_classified_as_linear_backtracking_or_unsupported(
    expression: str, *, is_known: bool, is_linear: bool
) -> None:
    taken = pattern(expression)
    assert (taken.is_known, taken.is_linear) == (is_known, is_linear)


def test_a_match_that_backtracks_too_often_is_an_error() -> None:
    assert pattern("(?=a)(a+)+$").matches("a" * 50)
    with pytest.raises(TooCostlyError):
        pattern("(?=a)(a+)+$").matches("a" * 50_000 + "!")


@pytest.mark.parametrize(
    "schema",
    [
        column({"enum": [[n] for n in range(5_000)]}),
        column({"pattern": "[ab]*a[ab]{4000}"}),
        doubling(lambda below: {"allOf": [below, {"allOf": [below]}]}),
        column({"not": {"$ref": "#/definitions/d"}}, d={"items": {"$ref": "#/definitions/d"}}),
    ],
)
def test_no_quick_check_takes_long_in_one_call(schema: Any) -> None:
    """One call cannot be interrupted by a signal."""
    quick = quick_check(read_schema(json.dumps(schema).encode()).root, ())
    record = Raw(b'{"f":[' + b"[4999]," * 9_000 + b"1]}")
    assert isinstance(quick, ExamineAll) or not quick.accepts(record)


def test_the_budget_limits_the_members_that_are_checked() -> None:
    """Empty objects are short, but each one is checked for all properties."""
    members = {f"c{n}": {"type": "string"} for n in range(20_000)}
    schema = column({"items": {"properties": members, "not": {"required": ["x"]}}})
    assert examined(schema, b'{"f":[' + b"{}," * 20_000 + b"{}]}") == TOO_LONG
    assert examined(schema, b'{"f":[{},{"c1":1}]}').endswith("expected string, found integer")


def test_the_best_of_very_many_alternatives_is_not_searched() -> None:
    nearest = {"type": "integer", "maximum": 0}
    others = [{"type": "object", "required": [f"a{n}"]} for n in range(1_999)]
    few = examined(column({"anyOf": [nearest, *others[:3]]}), {"f": 1})
    many = examined(column({"anyOf": [nearest, *others]}), {"f": 1})
    assert few == "field `/f`: it breaks `maximum`: 0"
    assert many == "field `/f`: it fits none of the 2000 alternatives of `anyOf`"


@pytest.mark.parametrize("expression", [r"\p{L}{90}", r"(?=a)\w{90}", "[a-z]{15000}"])
def test_expressions_of_a_schema_share_a_budget(expression: str) -> None:
    """Compiling a thousand expressions that take a tenth of a second each would take minutes."""
    many = {"properties": {f"f{n}": {"pattern": f"{expression}{n}"} for n in range(1_000)}}
    read = read_schema(json.dumps(many).encode())
    kept = [node for node in read.root.properties.values() if "pattern" in node.rules]
    assert 0 < len(kept) < 100
    [(text, places)] = read.warnings.items()
    assert text.startswith("patterns that cannot be checked before sending")
    assert len(kept) + len(places) == 1_000
