"""Compares the target's check with the local Import API on many generated schemas and records.

`make soak-verdicts`, or `python -m tests.soak.verdicts COUNT [SEED]`. The two share no code, and
must agree on each pair, except for the differences that `tests/support/both_verdicts.py` lists.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

from tests.support.both_verdicts import Verdicts, is_documented, verdicts
from tests.support.schemas_and_records import Pairs

MOST_SHOWN = 20


def outcome(found: Verdicts) -> str:
    if not found.target and not found.service:
        return "accepted by both"
    if found.agree:
        return f"{found.kind} refused by both"
    return "DIFFERENT"


def main(count: int, seed: int) -> int:
    pairs = Pairs(Random(seed))  # noqa: S311 - no secret
    outcomes, shown = Counter[str](), 0
    for number in range(count):
        pair = pairs.pair()
        found = verdicts(pair)
        if found.agree:
            outcomes[outcome(found)] += 1
        elif is_documented(pair):
            outcomes["different as documented"] += 1
        else:
            outcomes["DIFFERENT"] += 1
            if shown < MOST_SHOWN:
                shown += 1
                print(f"{number}: {pair}\n  target: {found.target}\n  service: {found.service}")
    print(f"{count:,} pairs from seed {seed}")
    for words, times in outcomes.most_common():
        print(f"{times:10,} {words}")
    return 1 if outcomes["DIFFERENT"] else 0


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in [*sys.argv[1:], "100000", "1"][:2])))
