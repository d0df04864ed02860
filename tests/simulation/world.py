"""Simulates one seed: a tap's output is delivered to its end, despite crashes and bad data.

Each run continues from the last complete state line; after a run that ended with 65, the bad data
is removed first. When a run has ended without an error, the tables are compared with what the tap
wrote: nothing is missing, and nothing is there twice without a reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from target_stitch_import.errors import InputError
from tests.simulation.clock import Clock
from tests.simulation.dead_letters import DeadLetterFile
from tests.simulation.invariants import require
from tests.simulation.process import Process
from tests.simulation.service import Service, Weather
from tests.simulation.settings import Settings
from tests.simulation.tap import Kind, Message, Tap

if TYPE_CHECKING:
    from collections.abc import Callable

CALM_AFTER_RUNS = 8
MAX_RUNS = 40
MAX_STEPS = 20_000


@dataclass
class World:
    """Everything that one seed decides."""

    seed: int
    log: Callable[[str], None] = lambda _: None
    counters: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random = Random(self.seed)  # noqa: S311 - no secret
        self.clock = Clock(random)
        self.service = Service(random, self._sometimes)
        self.dead_letters = DeadLetterFile(random, self._sometimes)
        bad = random.choice([0.0, 0.0, 0.02, 0.1])
        self.tap = Tap(random, random.choice([3, 10, 30, 80]), bad)
        self.all_messages = list(self.tap.messages)
        self.settings = _settings(random)
        self.crash = random.choice([0.0, 0.0, 0.003, 0.02])
        self.service.weather = _weather(random, self.settings)
        self.dead_letters.trouble = random.choice([0.0, 0.0, 0.1])
        self.states: list[bytes] = []
        self.activations: dict[int, int] = {}
        """The place of each activation in the tap's output, by sequence."""
        self.ambiguous = False
        self.runs = 0
        self.steps = 0

    def simulate(self) -> None:
        """Run the target until a run succeeds.

        Raises:
            InvariantError: An invariant is violated.
        """
        while not self._run():
            require(self.runs < MAX_RUNS, "no run succeeds")
            if self.runs == CALM_AFTER_RUNS:
                self.crash = self.dead_letters.trouble = 0.0
                self.service.weather = replace(
                    self.service.weather, trouble=0.02, fatal=0.0, whim=0.0, outages=()
                )
            self.clock.now += 1.0
        while self.clock.next() < float("inf"):  # requests that are still in flight
            self.clock.run_next()
        self._check_nothing_is_lost()
        self._check_duplicates()

    def _run(self) -> bool:
        """Run the target once; return whether it succeeded."""
        self.runs += 1
        resumed_from = self.states[-1] if self.states else None
        process = Process(
            given=self.tap.input(resumed_from, self.random),
            settings=self.settings,
            clock=self.clock,
            random=self.random,
            service=self.service,
            dead_letters=self.dead_letters,
            sometimes=self._sometimes,
            on_state=self._write_state,
            on_sequence=self.activations.__setitem__,
        )
        last_step = self.steps + MAX_STEPS
        self.log(f"run {self.runs} from {resumed_from!r}, {len(process.given.lines)} lines")
        while not process.over:
            self.steps += 1
            require(self.steps < last_step, "a run does not end")
            states_before = len(self.states)
            self._step(process)
            likelier = 10 if len(self.states) > states_before else 1
            if self.random.random() < self.crash * likelier and not process.over:
                self._kill(process, states_before)
                return False
        process.alive = False
        self.ambiguous |= process.sender.ambiguous
        if process.error is None:
            self.log(f"{self.clock.now:.3f} ended well")
            return True
        self.log(f"{self.clock.now:.3f} ended: {process.error}")
        self._sometimes(f"ended with {process.error.exit_status}")
        if "records in a row" in str(process.error):
            self._sometimes("everything refused")
        if isinstance(process.error, InputError):
            self.tap.remove_bad()
            self.dead_letters.lacking.clear()
            self.service.weather = replace(self.service.weather, max_body_bytes=10**9)
        self.ambiguous = True  # the next run can send the same messages again
        return False

    def _step(self, process: Process) -> None:
        deadline = process.next_deadline()
        if self.random.random() < 0.002:
            process.step_back_the_clock()
        if self.crash and self.random.random() < 0.002:
            self._sometimes("signal")
            process.step(process.interrupt)
        elif deadline <= self.clock.next():
            require(deadline < float("inf"), "a run waits forever")
            self._sometimes("deadline")
            self.clock.now = max(self.clock.now, deadline)
            process.step(lambda: None)
        else:
            self.clock.run_next()

    def _kill(self, process: Process, states_before: int) -> None:
        self._sometimes("crash")
        process.alive = False
        self.ambiguous = True
        if len(self.states) > states_before and self.random.random() < 0.5:
            self._sometimes("a state line cut off")
            self.states.pop()
        self.log(f"{self.clock.now:.3f} killed")
        self._check_nothing_before_the_last_state_is_missing()

    def _write_state(self, state: bytes) -> None:
        self.log(f"{self.clock.now:.3f} state {state.decode()}")
        self.states.append(state)

    def _sometimes(self, what: str) -> None:
        self.counters[what] += 1
        self.log(f"{self.clock.now:.3f} {what}")

    # Checks at the end.

    def _arrived(self, message: Message) -> bool:
        return message.place in self.service.places or message.data in self.dead_letters.safe

    def _check_nothing_before_the_last_state_is_missing(self) -> None:
        last = self.states[-1] if self.states else None
        places = [m.place for m in self.tap.messages if m.kind is Kind.STATE and m.data == last]
        for message in self.tap.messages[: places[0] if places else 0]:
            if message.kind.is_record:
                require(self._arrived(message), "lost before a state:", message)

    def _check_nothing_is_lost(self) -> None:
        for message in self.tap.messages:
            if message.kind.is_record:
                require(self._arrived(message), "lost:", message)
        self._check_no_activation_is_lost()
        last = [each.data for each in self.tap.messages if each.kind is Kind.STATE][-1:]
        require(self.states[-1:] == last, "the last state is not the last one written")
        for stream in {each.stream for each in self.tap.messages if each.key is not None}:
            self._check_table(stream)

    def _check_no_activation_is_lost(self) -> None:
        """Check that activations are sent or set aside, except for streams without a SCHEMA."""
        declared = {each.stream for each in self.tap.messages if each.kind is Kind.SCHEMA}
        for message in self.tap.messages:
            if message.kind is Kind.ACTIVATE and message.stream in declared:
                known = message.place in self.activations.values()
                require(known, "an activation is lost:", message)

    def _check_table(self, stream: str) -> None:
        """Compare a keyed table with the result of the tap's messages in their order."""
        activated = {
            self.activations[each.sequence] for each in self.service.stored if each.data is None
        }
        rows: dict[int, Message] = {}
        unclear: set[int | None] = set()
        for message in self.all_messages:
            if message.stream != stream:
                continue
            if message.kind is Kind.ACTIVATE and message.place in activated:
                rows = {key: row for key, row in rows.items() if row.version == message.version}
            elif message.place in self.service.places and message.key is not None:
                rows[message.key] = message
                if message.data in self.dead_letters.safe:
                    unclear.add(message.key)  # set aside by one run, delivered by another
        expected = {key: row.place for key, row in rows.items() if key not in unclear}
        table = self.service.table(stream)
        found = {key: place for key, place in table.items() if key not in unclear}
        require(found == expected, "a table is not what was read:", found, "not", expected)

    def _check_duplicates(self) -> None:
        times = Counter(each.data["u"] for each in self.service.stored if each.data is not None)
        if any(count > 1 for count in times.values()):
            self._sometimes("duplicates")
            require(
                self.ambiguous, "a record arrived twice without an unclear outcome or a restart"
            )


def _settings(random: Random) -> Settings:
    return Settings(
        dead_letter=random.random() < 0.6,
        max_bytes=random.choice([300, 600, 2_000, 100_000]),
        max_rows=random.choice([1, 3, 10, 1_000]),
        delay_seconds=random.choice([0.5, 10.0, 60.0]),
        max_in_flight=random.choice([1, 2, 4, 8]),
        max_buffer_bytes=random.choice([1_000, 5_000, 10**6]),
        max_retry_seconds=random.choice([5.0, 300.0, 3600.0]),
        chunk_bytes=random.choice([10, 100, 1_000, 10_000]),
        silence_seconds=random.choice([0.0, 0.3, 20.0, 200.0]),
    )


def _weather(random: Random, settings: Settings) -> Weather:
    outages: list[tuple[float, float]] = []
    if random.random() < 0.2:
        start = random.uniform(0, 20)
        outages.append((start, start + random.choice([5, 600, 2_000])))
    return Weather(
        trouble=random.choice([0.0, 0.05, 0.3, 0.6]),
        fatal=random.choice([0.0, 0.0, 0.01]),
        whim=random.choices([0.0, 0.02, 0.3, 1.0], [10, 4, 4, 1])[0],
        hints=random.choice([("right",), ("wrong",), ("none",), ("right", "wrong", "none")]),
        max_body_bytes=random.choice([10**9, 10**9, max(settings.max_bytes // 2, 400)]),
        outages=tuple(outages),
    )
