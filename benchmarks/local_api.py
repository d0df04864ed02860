"""Measures how fast the local Import API checks and loads.

    python benchmarks/local_api.py [WORD...]

Prints CPU time, the best of several runs. Words select the workloads whose names contain one.
`--against TREE` also measures the code of another working tree, alternating with this one's, and
prints how many times longer that one takes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from target_stitch_import.local import ImportApi

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 4


def batch(table: str, properties: dict[str, Any], rows: list[str], first_sequence: int) -> bytes:
    """Return a batch body of records that are already JSON text."""
    messages = ",".join(
        f'{{"action":"upsert","sequence":{first_sequence + at},"data":{row}}}'
        for at, row in enumerate(rows)
    )
    schema = json.dumps({"properties": properties})
    return (
        f'{{"table_name":"{table}","key_names":["id"],"schema":{schema},"messages":[{messages}]}}'
    ).encode()


def wide(first_sequence: int) -> bytes:
    """Return 4 MB: 4,000 records of 1 kB and 23 columns."""
    properties: dict[str, Any] = {
        "id": {"type": "integer"},
        **{f"text_{at}": {"type": ["null", "string"]} for at in range(8)},
        **{f"integer_{at}": {"type": ["null", "integer"]} for at in range(5)},
        **{f"number_{at}": {"type": ["null", "number"]} for at in range(5)},
        "yes": {"type": "boolean"},
        "none": {"type": ["null", "string"]},
        "at": {"type": "string", "format": "date-time"},
        "date": {"type": ["null", "string"], "format": "date-time"},
    }
    rows = [
        {
            "id": at,
            **{f"text_{each}": f"value {at} {each} ".ljust(75, "x") for each in range(8)},
            **{f"integer_{each}": at * 7919 + each for each in range(5)},
            **{f"number_{each}": round(at / 7 + each, 2) for each in range(5)},
            "yes": True,
            "none": None,
            "at": "2024-05-06T07:08:09.123456Z",
            "date": "2024-05-06T07:08:09+02:00",
        }
        for at in range(4_000)
    ]
    return batch("wide", properties, list(map(json.dumps, rows)), first_sequence)


def decimals(first_sequence: int) -> bytes:
    """Return 17,000 rows of an SQL table with decimals, as SQL taps write them."""
    decimal = {"type": ["null", "number"], "multipleOf": 0.01}
    at_ = {"type": ["null", "string"], "format": "date-time"}
    properties: dict[str, Any] = {
        "id": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
        "price": {**decimal, "minimum": -1e10, "maximum": 1e10},
        "tax": decimal,
        "weight": {"type": ["null", "number"], "multipleOf": 1e-38},
        "name": {"type": ["null", "string"], "maxLength": 80},
        "created": at_,
        "changed": at_,
    }
    rows = [
        f'{{"id":{at},"price":{at % 9973}.{at % 100:02},"tax":{at % 97}.{at % 100:02},'
        f'"weight":{at}.{at:020},"name":"article {at}","created":"2024-05-06T07:08:09+00:00",'
        f'"changed":"2024-05-{at % 28 + 1:02}T07:08:09.123456Z"}}'
        for at in range(17_000)
    ]
    return batch("decimals", properties, rows, first_sequence)


def rejected(first_sequence: int) -> bytes:
    """Return 20,000 rows that are accepted and then rejected: integers out of range."""
    properties = {"id": {"type": "integer"}, "n": {"type": "integer"}}
    rows = [f'{{"id":{at},"n":9223372036854775808}}' for at in range(20_000)]
    return batch("rejected", properties, rows, first_sequence)


def arrays(first_sequence: int) -> bytes:
    """Return one record of 47 kB that is 4,000 arrays, each a subtable."""
    row = "{" + '"id":1,' + ",".join(f'"a{at}":[1]' for at in range(4_000)) + "}"
    return batch("arrays", {"id": {"type": "integer"}}, [row], first_sequence)


WORKLOADS: dict[str, Callable[[int], bytes]] = {
    "4 MB of 23 columns": wide,
    "17,000 rows with decimals": decimals,
    "20,000 rejected rows": rejected,
    "4,000 arrays in 47 kB": arrays,
}


def seconds(body: Callable[[int], bytes], rounds: int) -> tuple[float, float]:
    """Return the CPU seconds of the first request, and the fewest of those that update its rows.

    Client and server are this process; the client needs little.
    """
    used = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ImportApi(Path(folder) / "w.duckdb") as api,
        requests.Session() as session,
    ):
        session.headers["Authorization"] = "Bearer x"
        session.headers["Content-Type"] = "application/json"
        for at in range(rounds):
            data = body(at * 100_000)
            started = time.process_time()
            answer = session.post(f"{api.url}/v2/import/batch", data=data, timeout=600)
            used.append(time.process_time() - started)
            answer.raise_for_status()
    return used[0], min(used[1:])


def measured_in(tree: Path, name: str, rounds: int) -> tuple[float, float]:
    """Return `seconds` for the code of a working tree, measured in a separate process."""
    done = subprocess.run(
        [sys.executable, __file__, "--rounds", str(rounds), "--bare", name],
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    first, later = map(float, done.stdout.split())
    return first, later


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="workloads whose name has one of these")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--repeats", type=int, default=3, help="repetitions; the best counts (3)")
    parser.add_argument("--against", type=Path, help="a working tree to compare with")
    parser.add_argument("--bare", metavar="NAME", help="print only one workload's two numbers")
    given = parser.parse_args()
    if given.bare:
        print(*seconds(WORKLOADS[given.bare], given.rounds))
        return
    here = Path(__file__).parents[1]
    print(f"{'CPU seconds':28}{'first':>8}{'update':>8}")
    for name in WORKLOADS:
        if given.words and not any(word in name for word in given.words):
            continue
        trees = [here, *([given.against] if given.against else [])]
        best = [(math.inf, math.inf)] * len(trees)
        for _ in range(given.repeats):  # alternating, because other programs use the cores too
            for at, tree in enumerate(trees):
                found = measured_in(tree, name, given.rounds)
                best[at] = (min(best[at][0], found[0]), min(best[at][1], found[1]))
        line = f"{name:28}{best[0][0]:8.2f}{best[0][1]:8.2f}"
        if given.against:
            line += f"   against {best[1][0]:6.2f}{best[1][1]:6.2f}:"
            line += f" {best[1][0] / best[0][0]:.1f} and {best[1][1] / best[0][1]:.1f} times"
        print(line, flush=True)


if __name__ == "__main__":
    main()
