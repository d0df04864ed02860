"""The Import API's answers, word for word, over real HTTP: a table of requests."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.calls import CUSTOMERS, PUSHED, call

if TYPE_CHECKING:
    import requests

    from target_stitch_import.local import ImportApi

VECTORS = [
    json.loads(line) for line in Path(__file__).with_name("vectors.jsonl").read_text().splitlines()
]
BASES = {"B": CUSTOMERS, "P": PUSHED}
GENERATED = {
    "P padded with spaces to 20000001 bytes": lambda: json.dumps(PUSHED).encode().ljust(20_000_001),
    'P with data.id = 1024 x "a"': lambda: json.dumps(
        [{**PUSHED[0], "data": {**PUSHED[0]["data"], "id": "a" * 1024}}]
    ).encode(),
}


def patched(base: Any, to_set: dict[str, Any], to_delete: list[str]) -> Any:
    """Change a copy of `base` at JSON Pointers; `-` appends."""
    body = copy.deepcopy(base)

    def parent(pointer: str) -> tuple[Any, str]:
        *path, last = pointer.split("/")[1:]
        target = body
        for step in path:
            target = target[int(step) if isinstance(target, list) else step]
        return target, last

    for pointer, value in to_set.items():
        target, last = parent(pointer)
        if not isinstance(target, list):
            target[last] = value
        elif last == "-":
            target.append(value)
        else:
            target[int(last)] = value
    for pointer in to_delete:
        target, last = parent(pointer)
        del target[int(last) if isinstance(target, list) else last]
    return body


def run(api: ImportApi, step: dict[str, Any]) -> requests.Response:
    """Send the request a step describes."""
    data: bytes | None = None
    if "raw" in step:
        data = step["raw"].encode()
    elif "gen" in step:
        data = GENERATED[step["gen"]]()
    elif "body" in step:
        data = json.dumps(step["body"]).encode()
    elif "base" in step:
        body = patched(BASES[step["base"]], step.get("set", {}), step.get("del", []))
        data = json.dumps(body).encode()
    if "fault" in step:
        api.set_faults([{"kind": step["fault"]}])
    return call(
        api,
        step.get("p", "/v2/import/batch"),
        method=step.get("m", "POST"),
        token=step.get("auth", "T1"),
        media_type=step.get("ct", "application/json"),
        data=data,
    )


def check(answer: requests.Response, step: dict[str, Any]) -> None:
    """Compare an answer with what the step expects."""
    assert answer.status_code == step["st"], answer.text
    if "res" in step:
        assert answer.json() == step["res"]
    if "text" in step:
        assert answer.text == step["text"]
        assert answer.headers["Content-Type"].startswith("text/plain")
    if "sub" in step:
        assert {name: answer.json().get(name) for name in step["sub"]} == step["sub"]
    if "re" in step:
        assert re.search(step["re"], answer.json()["message"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['n']}-{v['note']}")
def test_a_request_gets_its_exact_response(api: ImportApi, vector: dict[str, Any]) -> None:
    """Every request gets its exact answer, and a refused one stores nothing."""
    steps = vector.get("steps", [vector])
    for step in steps:
        answer = run(api, step)
        check(answer, step)
    if len(steps) == 1 and answer.status_code >= 400:
        assert api.requests() == []
        assert (
            api.query(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema <> '_stitch_import'"
            )
            == []
        )
