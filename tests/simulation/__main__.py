"""`python -m tests.simulation SEED` logs a seed's steps; `--soak N` runs N seeds from it on."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.invariants import InvariantError
from tests.simulation.world import World


def log(text: str) -> None:
    """Print a line and flush it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, help="the seed, or the first of them")
    parser.add_argument("--soak", type=int, metavar="N", help="run N seeds, and log failures only")
    parser.add_argument("--jobs", type=int, default=2, help="processes for --soak")
    options = parser.parse_args()
    if options.soak is None:
        World(options.seed, log=log).simulate()
        return 0
    return soak(range(options.seed, options.seed + options.soak), options.jobs)


def soak(seeds: range, jobs: int) -> int:
    """Run all seeds; return 1 if an invariant was violated."""
    started = time.monotonic()
    counters: Counter[str] = Counter()
    broken = 0
    with ProcessPoolExecutor(jobs) as pool:
        for seed, failure, counted in pool.map(run_seed, seeds, chunksize=50):
            counters += counted
            if failure:
                broken += 1
                log(f"{failure}\n  python -m tests.simulation {seed}")
    for name, count in sorted(counters.items()):
        log(f"{count:>10,}  {name}")
    seconds = time.monotonic() - started
    log(f"{len(seeds):,} seeds in {seconds:.0f} s, {broken} broken")
    return 1 if broken else 0


def run_seed(seed: int) -> tuple[int, str, Counter[str]]:
    """Run one seed; return it with its failure, or an empty text, and its counters."""
    world = World(seed)
    failure = ""
    try:
        world.simulate()
    except InvariantError as broken:
        failure = f"seed {seed}: {broken}"
    except Exception as error:  # noqa: BLE001 - any other error is a finding, too
        failure = f"seed {seed}: {type(error).__name__}: {error}"
    world.counters["runs"] += world.runs
    world.counters["steps"] += world.steps
    return seed, failure, world.counters


if __name__ == "__main__":
    sys.exit(main())
