"""Runs the real loop and sender, with their threads, against the simulated service.

This covers what the simulation leaves out: reports between threads, wake-ups, the end of a run.
Time is real here, so the service responds at once and requests no long waits.
"""

from __future__ import annotations

import io
import json
import os
import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from target_stitch_import.errors import TargetError
from target_stitch_import.report.observer import RunObserver
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.run.dead_letter import DeadLetters, NoDeadLetters
from target_stitch_import.run.intake import Intake, Source
from target_stitch_import.run.loop import Run
from target_stitch_import.run.sender import Sender
from target_stitch_import.run.states import StateWriter
from target_stitch_import.run.wakeup import Wakeup
from tests.simulation.invariants import require
from tests.simulation.service import Service, Weather
from tests.simulation.tap import Kind, Tap
from tests.support.defaults import limits, pipeline, sender_rules

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.delivery.answer import Answer
    from target_stitch_import.run.dead_letter import DeadLetterSink
    from tests.simulation.tap import Input

EXPECTED_ENDS = {0, 65, 76, 77}


@dataclass
class _Transport:
    """Sends bodies to the simulated service, one at a time."""

    service: Service
    busy: threading.Lock

    def send_batch(self, body: bytes, stream: str) -> Answer:  # noqa: ARG002
        with self.busy:
            fate = self.service.fate(body, 0.0)
            if fate.stores:
                self.service.store(body)
        return replace(fate.answer, retry_after=None)

    def close(self) -> None: ...


def run_seed(seed: int, folder: Path) -> int:
    """Run the target once as `seed` determines, check the invariants, and return the exit status.

    Raises:
        InvariantError: An invariant does not hold.
    """
    random = Random(seed)  # noqa: S311 - no secret
    tap = Tap(random, random.choice([10, 30, 80]), random.choice([0.0, 0.05, 0.15]))
    given = tap.input(None, random)
    service = Service(random, lambda _: None, _weather(random))
    dead_letter_path = folder / f"dead-{seed}.jsonl"
    states = io.BytesIO()
    status = _run(
        given, service, dead_letter_path if random.random() < 0.7 else None, states, random
    )
    require(status in EXPECTED_ENDS, "it ended with", status)
    written = states.getvalue().splitlines()
    _check_states(tap, written, status)
    # After an error, only what the last state covers must have arrived.
    covered = json.loads(written[-1])["at"] if written else 0
    text = dead_letter_path.read_text() if dead_letter_path.exists() else ""
    set_aside = {json.loads(line)["line"] for line in text.splitlines()}
    lines = {line.message.place: line.number for line in given.lines}
    for message in tap.messages[: covered if status else None]:
        arrived = message.place in service.places or lines[message.place] in set_aside
        require(arrived or not message.kind.is_record, "lost:", message)
    return status


def _check_states(tap: Tap, written: list[bytes], status: int) -> None:
    known = [each.data for each in tap.messages if each.kind is Kind.STATE]
    places = [known.index(state) for state in written]
    require(places == sorted(set(places)), "states are out of order")
    require(status != 0 or written[-1:] == known[-1:], "the last state is not written")


def _weather(random: Random) -> Weather:
    return Weather(
        trouble=random.choice([0.0, 0.0, 0.03]),
        whim=random.choice([0.0, 0.05]),
        fatal=random.choice([0.0, 0.0, 0.02]),
        max_body_bytes=random.choice([10**9, 3_000]),
    )


def _run(
    given: Input,
    service: Service,
    dead_letter_path: Path | None,
    states: io.BytesIO,
    random: Random,
) -> int:
    busy = threading.Lock()
    batches = limits(
        max_bytes=100_000,
        max_rows=random.choice([1, 3, 20]),
        max_age_seconds=random.choice([0.01, 5.0]),
    )
    in_flight = random.choice([1, 2, 4, 8])
    with ExitStack() as stack:
        wakeup = Wakeup()
        stack.callback(wakeup.close)
        dead_letters: DeadLetterSink = NoDeadLetters()
        if dead_letter_path:
            dead_letters = stack.enter_context(closing(DeadLetters(str(dead_letter_path), 1_000)))
        run = Run(
            intake=Intake(Source(stack.enter_context(_piped(given.text))), BatchFiles(None)),
            pipeline=pipeline(
                batches, dead_letter=dead_letter_path is not None, max_buffer_bytes=100_000
            ),
            states=StateWriter(states, wakeup.wake),
            observer=RunObserver(),
            wakeup=wakeup,
            sender=Sender(
                lambda: _Transport(service, busy),
                sender_rules(max_in_flight_requests=in_flight),
                dead_letters,
                wakeup.wake,
                lambda _: None,
            ),
            dead_letters=dead_letters,
        )
        try:
            run.run()
        except TargetError as error:
            return error.exit_status
    return 0


def _piped(text: bytes) -> io.FileIO:
    """Return the read end of a pipe to which a thread writes `text`."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), io.FileIO(write_end, "w") as pipe:
            rest = memoryview(text)
            while rest:
                rest = rest[pipe.write(rest) :]

    threading.Thread(target=write, daemon=True).start()
    return io.FileIO(read_end)
