"""Other clients of the Import API, from their registries: what they send is accepted and loaded.

`make` installs them under .tools; without npm or their environment, the tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.programs import require, skip_without

if TYPE_CHECKING:
    from target_stitch_import.local import ImportApi

TOOLS = Path(__file__).parents[2] / ".tools"
CLIENTS = TOOLS / "clients" / "bin"
TRANSIT_JS = TOOLS / "transit-js" / "node_modules"
pytestmark = pytest.mark.timeout(120)


def run(command: list[str], text: str = "", **environment: str) -> str:
    """Run a client, which must succeed; return its output."""
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Its Transit library needs names that Python 3.10 removed from `collections`.
STITCHCLIENT = """
import collections, collections.abc, sys
from datetime import datetime, timezone
for name in ("MutableMapping", "Mapping", "Sequence", "Hashable"):
    setattr(collections, name, getattr(collections.abc, name))
from stitchclient.client import Client

acknowledged = []
with Client(
    7723, "T1", table_name="orders", key_names=["id"], override_stitch_url=sys.argv[1],
    callback_function=acknowledged.extend,
) as client:
    for number in range(3):
        data = {
            "id": number, "name": "r\\u00e9sum\\u00e9", "price": 2.5, "paid": number == 1,
            "moment": datetime(2024, 5, 6, 7, 8, number, tzinfo=timezone.utc), "none": None,
            "lines": [{"sku": "a"}, {"sku": "b"}],
        }
        message = {"action": "upsert", "sequence": number + 1, "table_version": 7, "data": data}
        client.push(message, number)
print(acknowledged)
"""


def test_pushes_of_stitchclient_are_loaded(api: ImportApi) -> None:
    """Stitch's own Python client: Transit to the push endpoint."""
    if not (CLIENTS / "python").exists():
        skip_without(".tools/clients (`make .tools/clients/.ready`)")
    program = [str(CLIENTS / "python"), "-c", STITCHCLIENT, f"{api.url}/v2/import/push"]
    assert run(program) == "[0, 1, 2]\n"
    [kept] = api.requests()
    assert kept["headers"]["content-type"] == "application/transit+json"
    rows = api.query("SELECT id, name, price, paid, moment FROM import_api.orders ORDER BY id")
    assert rows == [
        (number, "résumé", 2.5, number == 1, datetime(2024, 5, 6, 7, 8, number))  # noqa: DTZ001
        for number in range(3)
    ]
    assert api.query("SELECT count(*) FROM import_api.orders__lines") == [(6,)]


MESSAGES: list[dict[str, Any]] = [
    {
        "type": "SCHEMA",
        "stream": "people",
        "key_properties": ["id"],
        "schema": {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "score": {"type": ["null", "number"], "multipleOf": 0.01},
                "moment": {"type": ["null", "string"], "format": "date-time"},
            },
        },
    },
    *(
        {
            "type": "RECORD",
            "stream": "people",
            "version": 3,
            "record": {"id": each, "score": each + 0.29, "moment": "2024-05-06T07:08:09Z"},
        }
        for each in range(50)
    ),
    {"type": "ACTIVATE_VERSION", "stream": "people", "version": 3},
    {"type": "STATE", "value": {"people": 50}},
]


def test_batches_of_target_stitch_are_loaded(api: ImportApi, tmp_path: Path) -> None:
    """The target that Stitch publishes: batches with versions, and its state at the end."""
    if not (CLIENTS / "target-stitch").exists():
        skip_without(".tools/clients (`make .tools/clients/.ready`)")
    config = {
        "client_id": 7723,
        "token": "T1",
        "small_batch_url": f"{api.url}/v2/import/batch",
        "big_batch_url": f"{api.url}/v2/import/batch",
        "batch_size_preferences": {},
        "disable_collection": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = "".join(f"{json.dumps(each)}\n" for each in MESSAGES)
    command = [str(CLIENTS / "target-stitch"), "--config", str(tmp_path / "config.json")]
    states = run(command, text)
    assert json.loads(states.splitlines()[-1]) == {"people": 50}
    assert api.query("SELECT count(*), min(score), min(moment) FROM import_api.people") == [
        (50, Decimal("0.29"), datetime(2024, 5, 6, 7, 8, 9))  # noqa: DTZ001 - as TIMESTAMP is
    ]
    assert {each["path"] for each in api.requests()} == {"/v2/import/batch"}


TRANSIT = """
const transit = require("transit-js");
const http = require("http");
const record = (id) => transit.map([
  "client_id", 7723, "table_name", "events", "sequence", id, "action", "upsert",
  "key_names", ["id"],
  "data", transit.map([
    "id", id, "big", transit.integer("9007199254740993"), "moment", new Date(Date.UTC(2024, 4, 6)),
    "uuid", transit.uuid("531a379e-31bb-4ce1-8690-158dceb64be6"), "word", transit.keyword("k"),
    "nested", transit.map(["deep", 1.5]), "tags", ["~a", "^b", "#c"],
  ]),
]);
const body = transit.writer("json").write([record(1), record(2)]);
const request = http.request(process.argv[1] || process.argv[2], {
  method: "POST",
  headers: {"Content-Type": "application/transit+json", "Authorization": "Bearer T1"},
}, (answer) => { console.log(answer.statusCode); answer.resume(); });
request.end(body);
"""


def test_pushes_of_transit_js_are_loaded(api: ImportApi) -> None:
    """What Transit's own JavaScript library writes: cached keys, tags and escapes."""
    require("node")
    if not TRANSIT_JS.exists():
        skip_without(".tools/transit-js (`make .tools/transit-js/.ready`)")
    command = ["node", "-e", TRANSIT, f"{api.url}/v2/import/push"]
    assert run(command, NODE_PATH=str(TRANSIT_JS)) == "201\n"
    rows = api.query(
        "SELECT id, big, moment, uuid, word, nested__deep FROM import_api.events ORDER BY id"
    )
    assert rows == [
        (
            *(number, 9007199254740993, datetime(2024, 5, 6)),  # noqa: DTZ001 - as TIMESTAMP is
            *("531a379e-31bb-4ce1-8690-158dceb64be6", "k", 1.5),
        )
        for number in (1, 2)
    ]
    tags = api.query("SELECT value FROM import_api.events__tags WHERE _sdc_source_key_id = 1")
    assert tags == [("~a",), ("^b",), ("#c",)]
