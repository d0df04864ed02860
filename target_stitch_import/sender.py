"""A bounded number of requests in flight: retries, splits, isolates, and reports what settled.

Law: a batch is reported settled only for a complete 2xx that answered the very request which
carried it, or once its record is safe in the dead-letter file.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from target_stitch_import.errors import (
    InputError,
    ServiceUnavailableError,
    TargetError,
    quoted,
)
from target_stitch_import.pipeline import SetAside
from target_stitch_import.retry import (
    Acknowledged,
    Rejected,
    Stop,
    TooLarge,
    TryAgain,
    Verdict,
    judge,
    wait_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_stitch_import.dead_letter import DeadLetters
    from target_stitch_import.payload import Batch
    from target_stitch_import.retry import Answer

FAILURES_BEFORE_PROBING = 3
LONE_REFUSALS_IN_A_ROW = 8
REFUSED_SHARE = 0.01
REFUSED_SHARE_OF_AT_LEAST = 1_000
LEAST_LEARNED_BYTES = 1_000


class Transport(Protocol):
    """What carries a body to the Import API and brings the answer back."""

    def send_batch(self, body: bytes) -> Answer:
        """Send one body; never raise."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True, slots=True)
class SenderRules:
    """What the user decided; the names are those of the settings."""

    max_in_flight_requests: int = 4
    max_retry_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Settled:
    """A batch, or a part of one, that arrived but for the records set aside."""

    part: Batch
    set_aside: tuple[SetAside, ...] = ()


@dataclass(frozen=True, slots=True)
class Released:
    """A submitted batch that the sender is done with, for better or worse."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class LimitLearned:
    """The service takes no bodies larger than this."""

    max_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The run cannot go on."""

    error: TargetError


Report: TypeAlias = Settled | Released | LimitLearned | Failed


@dataclass(slots=True)
class Traffic:
    """What went over the wire; requests that failed count too."""

    requests: int = 0
    retries: int = 0
    possible_duplicates: int = 0
    bytes_sent: int = 0
    seconds_waited: float = 0.0
    slowest_seconds: float = 0.0


class _StoppedError(Exception):
    """The sender was stopped while a request waited for its next try."""


class Sender:
    """Sends batches from its own threads.

    Args:
        connect: Makes a transport; each thread has its own.
        wake: Called from any thread when `reports` has grown.
        note: Told, from any thread, what a person should know about trouble on the way.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        rules: SenderRules,
        dead_letters: DeadLetters | None,
        wake: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self.reports: deque[Report] = deque()
        self.traffic = Traffic()
        self._connect = connect
        self._rules = rules
        self._wake = wake
        self._note = note
        self._dead_letters = dead_letters
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._gate = _Gate()
        self._lock = threading.Lock()
        self._judgement = _Judgement()
        self._threads: list[threading.Thread] = []

    def submit(self, batch: Batch) -> None:
        """Send `batch` as soon as a request is free; threads start as they are needed."""
        if len(self._threads) < self._rules.max_in_flight_requests:
            thread = threading.Thread(target=self._work, name="sender", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._batches.put(batch)

    def stop(self) -> None:
        """Try nothing again and send nothing new; requests on their way are waited for."""
        self._stop.set()
        self._gate.open()

    def close(self) -> None:
        """End the threads, which must be idle or stopped."""
        for _ in self._threads:
            self._batches.put(None)

    # Runs in the threads.

    def _work(self) -> None:
        transport = self._connect()
        while (batch := self._batches.get()) is not None:
            try:
                if not self._stop.is_set():
                    self._deliver(batch, transport)
            except _StoppedError:
                pass
            except TargetError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - a thread must not die in silence
                self._fail(TargetError(f"Internal error while sending: {type(error).__name__}"))
            finally:
                self._report(Released(batch))
        transport.close()

    def _fail(self, error: TargetError) -> None:
        """End the run: from here on, no thread sends anything new."""
        self.stop()
        self._report(Failed(error))

    def _report(self, report: Report) -> None:
        self.reports.append(report)
        self._wake()

    def _deliver(self, batch: Batch, transport: Transport) -> None:
        """See `batch` through: whole where the service takes it, else in ever smaller parts."""
        refused: list[tuple[Batch, SetAside]] = []
        waiting = [batch]
        suspect: Batch | None = None
        hints_are_right = True
        while waiting:
            part = waiting.pop()
            verdict = self._send(part, transport)
            if isinstance(verdict, Acknowledged):
                hints_are_right &= part is not suspect
                self._judgement.accepted(part.count)
                self._report(Settled(part))
            elif part.count == 1:
                refused.append((part, self._refused(part, verdict)))
            elif isinstance(verdict, TooLarge):
                self._report(LimitLearned(max(part.size // 2, LEAST_LEARNED_BYTES)))
                waiting.extend(reversed(part.split(part.count // 2)))
            elif hints_are_right and verdict.record is not None and verdict.record < part.count:
                suspect, *rest = _single_out(part, verdict.record)
                waiting.extend([*reversed(rest), suspect])
            else:
                waiting.extend(reversed(part.split(part.count // 2)))
        if refused and self._dead_letters:
            records = tuple(record for _, record in refused)
            with self._lock:
                self._dead_letters.write(records)
            for part, record in refused:
                self._report(Settled(part, (record,)))

    def _refused(self, part: Batch, verdict: Rejected | TooLarge) -> SetAside:
        """Return the one record of `part` to be set aside, unless that ends the run."""
        message = next(part.messages())
        where = f"Line {message.line}: "
        stream = quoted(part.stream)
        if part.barrier:
            raise InputError(
                f"{where}the Import API refuses to activate version {part.version} of stream "
                f"{stream}: {verdict.reason}"
            )
        if self._dead_letters is None:
            raise InputError(
                f"{where}the Import API refuses a record of stream {stream}: {verdict.reason}. "
                "With `on_invalid_record: dead_letter` such records are set aside."
            )
        if self._judgement.condemns_all():
            raise InputError(
                f"{where}the Import API refuses record after record, the last one of stream "
                f"{stream}: {verdict.reason}. Something is wrong with all of them, so the run "
                "stops instead of setting them aside."
            )
        return SetAside(
            part.stream,
            part.version,
            message.line,
            message.sequence,
            part.fragments[0].epoch,
            f"refused by the Import API: {verdict.reason}",
            message.data,
        )

    def _send(self, part: Batch, transport: Transport) -> Acknowledged | Rejected | TooLarge:
        """Send one body until there is a final verdict."""
        body = part.body()
        started = time.monotonic()
        tries = 0
        while True:
            verdict = self._try(body, transport, again=tries > 0)
            if isinstance(verdict, Stop):
                raise verdict.error
            if not isinstance(verdict, TryAgain):
                return verdict
            tries += 1
            wait = wait_seconds(tries, verdict.at_least_seconds, random.random())  # noqa: S311
            spent = time.monotonic() - started
            if spent + wait > self._rules.max_retry_seconds:
                raise ServiceUnavailableError(
                    f"The Import API did not take a batch of stream {quoted(part.stream)} after "
                    f"{tries} tries in {spent:.0f} seconds: {verdict.reason}. What is not "
                    "acknowledged is read again by the next run, from the last state."
                )
            if tries == 1 or wait > 1:
                self._note(
                    f"A batch of stream {quoted(part.stream)} was not taken: {verdict.reason}. "
                    f"Trying again in {wait:.1f} s."
                )
            if self._stop.wait(wait):
                raise _StoppedError

    def _try(self, body: bytes, transport: Transport, *, again: bool) -> Verdict:
        """Send `body` once and return the verdict."""
        self._gate.enter()
        well = False
        started = time.monotonic()
        try:
            if self._stop.is_set():
                raise _StoppedError
            verdict = judge(transport.send_batch(body), time.time())
            well = not isinstance(verdict, TryAgain)
        finally:
            self._gate.leave(well=well)
        self._count(len(body), time.monotonic() - started, verdict, again=again)
        return verdict

    def _count(self, size: int, seconds: float, verdict: Verdict, *, again: bool) -> None:
        traffic = self.traffic
        with self._lock:
            traffic.requests += 1
            traffic.retries += again
            traffic.bytes_sent += size
            traffic.seconds_waited += seconds
            traffic.slowest_seconds = max(traffic.slowest_seconds, seconds)
            traffic.possible_duplicates += isinstance(verdict, TryAgain) and verdict.ambiguous


def _single_out(part: Batch, record: int) -> list[Batch]:
    """Return the message at index `record` by itself, then what stands before and behind it."""
    rest: list[Batch] = []
    if record > 0:
        before, part = part.split(record)
        rest.append(before)
    if part.count > 1:
        part, behind = part.split(1)
        rest.append(behind)
    return [part, *rest]


@dataclass(slots=True)
class _Judgement:
    """Tells bad records from a service that refuses everything."""

    in_a_row: int = 0
    refused: int = 0
    messages: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def accepted(self, count: int) -> None:
        """Note that the service took `count` messages."""
        with self.lock:
            self.in_a_row = 0
            self.messages += count

    def condemns_all(self) -> bool:
        """Note one more lone record refused; tell whether that is too many."""
        with self.lock:
            self.in_a_row += 1
            self.refused += 1
            self.messages += 1
            return self.in_a_row >= LONE_REFUSALS_IN_A_ROW or (
                self.messages >= REFUSED_SHARE_OF_AT_LEAST
                and self.refused > REFUSED_SHARE * self.messages
            )


class _Gate:
    """Lets all requests pass while the service is well, and one at a time while it is not."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._failures = 0
        self._inside = 0
        self._opened = False

    def enter(self) -> None:
        with self._changed:
            while self._failures >= FAILURES_BEFORE_PROBING and self._inside and not self._opened:
                self._changed.wait()
            self._inside += 1

    def leave(self, *, well: bool) -> None:
        with self._changed:
            self._inside -= 1
            self._failures = 0 if well else self._failures + 1
            self._changed.notify_all()

    def open(self) -> None:
        """Let everybody pass from now on."""
        with self._changed:
            self._opened = True
            self._changed.notify_all()
