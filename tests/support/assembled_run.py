"""Runs made from parts that a test chooses, such as transport, input and output."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from target_stitch_import.app import DryRunTransport
from target_stitch_import.delivery.deliver import Settled
from target_stitch_import.errors import TargetError
from target_stitch_import.report.observer import RunObserver
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.run.dead_letter import NoDeadLetters
from target_stitch_import.run.intake import Intake, Source
from target_stitch_import.run.loop import GRACE_SECONDS, Run
from target_stitch_import.run.sender import Released, Sender
from target_stitch_import.run.states import StateWriter
from target_stitch_import.run.wakeup import Wakeup
from tests.support.defaults import pipeline, sender_rules
from tests.support.singer import lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.run.dead_letter import DeadLetterSink
    from target_stitch_import.run.sender import Transport


class DeliversAtOnce(Sender):
    """Delivers immediately, and reports everything before the caller continues."""

    def submit(self, batch: Batch) -> None:
        """Report the batch as settled and released."""
        self.reports += [Settled(batch), Released(batch)]
        self._wake()


@dataclass
class RunParts:
    """The parts of a run, each with a default."""

    dead_letters: DeadLetterSink = field(default_factory=NoDeadLetters)
    observer: RunObserver = field(default_factory=RunObserver)
    stdout: IO[bytes] = field(default_factory=io.BytesIO)
    sender: type[Sender] = Sender
    connect: Callable[[], Transport] = DryRunTransport
    mapper: Any = None
    """The run's `StreamMapper`, if it has one."""
    grace_seconds: float = GRACE_SECONDS
    rules: dict[str, Any] = field(default_factory=dict)
    """Rules of the pipeline that differ from the defaults."""

    def run_over(self, messages: list[Any]) -> Run:
        """Return a run over `messages`."""
        wakeup = Wakeup()
        return Run(
            intake=Intake(Source(io.BytesIO(lines(messages))), BatchFiles(None)),
            pipeline=pipeline(dead_letter=self.dead_letters.sets_aside, **self.rules),
            states=StateWriter(self.stdout, wakeup.wake),
            observer=self.observer,
            wakeup=wakeup,
            sender=self.sender(
                self.connect, sender_rules(), self.dead_letters, wakeup.wake, lambda _: None
            ),
            dead_letters=self.dead_letters,
            mapper=self.mapper,
            grace_seconds=self.grace_seconds,
        )


class RunInThread:
    """A run in a thread of its own, which receives only the signals that a test sends."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._error: TargetError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._run.run()
        except TargetError as error:
            self._error = error

    def signal(self, number: int) -> None:
        """Do what the run's signal handler does."""
        self._run.wakeup.signals.append(number)
        self._run.wakeup.wake()

    def ending(self) -> TargetError | None:
        """Wait for the end of the run; return its error, or None."""
        self._thread.join(20)
        assert not self._thread.is_alive(), "the run does not end"
        self._run.wakeup.close()
        return self._error
