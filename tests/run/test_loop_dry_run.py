"""A dry run sets aside the same records as a real run."""

from __future__ import annotations

import json
import re
from random import Random
from typing import TYPE_CHECKING

from tests.support.both_verdicts import verdicts
from tests.support.schemas_and_records import Pairs

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi
    from tests.support.target import Target

STREAMS = 100


def test_a_dry_run_sets_aside_what_a_run_sets_aside(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """Without the service, which accepts everything else."""
    pairs = Pairs(Random(11))  # noqa: S311 - no secret
    made = iter(pairs.pair, None)
    sound = (pair for pair in made if verdicts(pair).kind == "record")
    lines = []
    for number in range(STREAMS):
        schema, keys, record = next(sound)
        described = f'"schema":{schema},"key_properties":{json.dumps(keys)}'
        lines += [
            f'{{"type":"SCHEMA","stream":"s{number}",{described}}}',
            f'{{"type":"RECORD","stream":"s{number}","record":{record}}}',
        ]
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    dry = target.run(lines, "--dry-run", **settings)
    assert (dry.status, api.requests()) == (0, [])
    reported = re.findall(r"Line (\d+): a record of stream .* would be set aside: (.*)", dry.log)
    run = target.run(lines, **settings)
    assert run.status == 0
    dead_letters = map(json.loads, path.read_text().splitlines())
    assert [(str(each["line"]), each["reason"]) for each in dead_letters] == reported
    assert len(api.requests()) == STREAMS - len(reported)
    assert len(reported) > STREAMS / 10
