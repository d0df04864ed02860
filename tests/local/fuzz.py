"""Fuzzes the local Import API over HTTP: `python -m tests.local.fuzz --examples 5000`.

Every answer must be in the service's own OpenAPI document, none may be a 500, a refused request
stores nothing, and at the end the service is healthy.
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from target_stitch_import.local import ImportApi
from tests.local.calls import ACCOUNTS, CUSTOMERS, PUSHED

OPENAPI: dict[str, Any] = json.loads(
    files("target_stitch_import.local.api").joinpath("openapi.json").read_bytes()
)
PATHS = ["/v2/import/batch", "/v2/import/push", "/v2/import/validate"]
NAMES = st.sampled_from(
    ["id", "name", "a", "a__it", "_sdc_x", "A", "s", "a b", 'x"; DROP TABLE t; --', "é", "", "a.b"]
) | st.text(max_size=4)
NUMBERS = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**63, -(2**63) - 1, 10**40, 0.1, 1e300, -0.0])
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "2020-01-01T00:00:00Z",
        "0000-01-01T00:00:00+2359",
        "9999-12-31T23:59:59-23:59",
        "\0",
        "\x1b[2J",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "object", "array", "null"])
PROPERTIES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES | st.lists(TYPES, max_size=3),
        "format": st.sampled_from(["date-time", "email"]),
        "multipleOf": NUMBERS,
        "minimum": NUMBERS,
        "pattern": st.sampled_from(["^a", "(", "(a+)+$"]),
        "items": st.just({}) | st.just({"type": "integer"}),
        "properties": st.dictionaries(NAMES, st.just({}), max_size=2),
        "$ref": st.sampled_from(["#", "#/properties/id", "#/no", "http://127.0.0.1:9/"]),
    },
)
DATA = st.dictionaries(NAMES, VALUES, max_size=5)
MESSAGES = st.fixed_dictionaries(
    {"action": st.just("upsert"), "sequence": st.integers(0, 10), "data": DATA},
    optional={"time_extracted": TEXTS},
) | st.just({"action": "activate_version", "sequence": 1})
BATCHES = st.fixed_dictionaries(
    {
        "table_name": NAMES,
        "schema": st.fixed_dictionaries(
            {"properties": st.dictionaries(NAMES, PROPERTIES, max_size=4)}
        ),
        "messages": st.lists(MESSAGES, min_size=1, max_size=5),
    },
    optional={
        "key_names": st.lists(st.sampled_from(["id", "a", "name"]), max_size=2),
        "table_version": st.integers(0, 3),
    },
)
KEYED = DATA.map(lambda data: {"id": 1, **data})
PUSHES = st.lists(
    st.fixed_dictionaries({name: st.just(value) for name, value in PUSHED[0].items()}).flatmap(
        lambda record: st.fixed_dictionaries(
            {**{name: st.just(value) for name, value in record.items()}, "data": KEYED}
        )
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def bent(draw: st.DrawFn, base: Any) -> Any:
    """Return a document with one value replaced."""
    body = json.loads(json.dumps(draw(base)))
    target, steps = body, draw(st.integers(0, 4))
    for _ in range(steps):
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if isinstance(target[key], dict | list) and target[key]:
            target = target[key]
            continue
        target[key] = draw(VALUES)
        break
    return body


BODIES = (BATCHES | PUSHES | bent(st.just(CUSTOMERS)) | bent(BATCHES) | bent(PUSHES) | VALUES).map(
    lambda body: json.dumps(body).encode("utf-8", "replace")
).flatmap(lambda body: st.just(body) | st.just(body[: len(body) // 2])) | st.binary(max_size=50)
REQUESTS = st.fixed_dictionaries(
    {
        "path": st.sampled_from(PATHS),
        "body": BODIES,
        "token": st.sampled_from(["T1"] * 8 + ["TP", "TE", "TX", "nope"]),
        "media_type": st.sampled_from(
            ["application/json"] * 8
            + ["application/json; charset=utf-8", "application/transit+json", "text/plain", ""]
        ),
    }
)


def check(api: ImportApi, session: requests.Session, request: dict[str, Any]) -> None:
    """Send one request, and check the answer against the OpenAPI document."""
    before = len(api.requests())
    answer = session.post(
        api.url + request["path"],
        data=request["body"],
        headers={
            "Authorization": f"Bearer {request['token']}",
            "Content-Type": request["media_type"],
        },
        timeout=30,
    )
    described = OPENAPI["paths"][request["path"]]["post"]["responses"]
    assert str(answer.status_code) in described, (answer.status_code, answer.text)
    name = described[str(answer.status_code)]["$ref"].rpartition("/")[2]
    [(media_type, content)] = OPENAPI["components"]["responses"][name]["content"].items()
    assert answer.headers["Content-Type"].startswith(media_type)
    if media_type == "application/json":
        rule = {**content["schema"], "components": OPENAPI["components"]}
        jsonschema_rs.Draft202012Validator(rule).validate(answer.json())
    stored = answer.status_code in (201, 202)
    assert len(api.requests()) - before == (stored or answer.status_code == 200)


def fuzz(examples: int, *, shrink: bool = True) -> None:
    """Send that many requests, and check at the end that the service is healthy."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    with ImportApi(accounts=ACCOUNTS, kept_bytes=None) as api, requests.Session() as session:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        )
        @given(REQUESTS)
        def one(request: dict[str, Any]) -> None:
            check(api, session, request)

        one()
        health = session.get(f"{api.url}/v2/import/status", timeout=10)
        assert health.json()["status"] == "OK"
        assert session.get(f"{api.url}/", timeout=10).status_code == 200
        for table in api.tables():
            page = f"{api.url}/table/{table['schema']}/{quote(table['table'], safe='')}"
            assert session.get(page, timeout=10).status_code == 200, table


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.local.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=5000)
    given_ = parser.parse_args()
    fuzz(given_.examples)
    print(f"{given_.examples} requests, every answer as described")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
