"""Delivers one batch: retries it, halves it, and isolates the records that the service refuses.

Invariant: a part is settled only by an acknowledgement of the request that carried it, or once its
record is safe in the dead-letter file. A retried request is byte-identical.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from target_stitch_import.batching.set_aside import SetAside
from target_stitch_import.delivery.verdict import (
    Acknowledged,
    BodyRefused,
    Stop,
    TooLarge,
    TryAgain,
    Verdict,
    wait_seconds,
)
from target_stitch_import.errors import InputError, ServiceUnavailableError, quoted
from target_stitch_import.singer.origin import origin

if TYPE_CHECKING:
    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.delivery.tolerance import RefusalStreak

LEAST_LEARNED_BYTES = 1_000
"""No smaller limit on bodies is learned from a response."""
LEAST_LEFT_SECONDS = 0.001
"""Less time than this counts as none, because sums of waits are not more precise."""


class Part(Protocol):
    """A request body, and the stream or table that it belongs to.

    Implemented by batches, and by the requests of `toolbox.push`.
    """

    @property
    def stream(self) -> str:
        """The name of the stream or table, for messages."""

    @property
    def body(self) -> bytes:
        """The bytes to send."""

    @property
    def size(self) -> int:
        """The size of the body in bytes."""


AnyPart = TypeVar("AnyPart", bound=Part)


# The steps that a delivery yields. The caller resumes it with the generator's `send`: with an
# `Outcome` after an `Attempt`, else with None.


class Attempt(Struct, Generic[AnyPart], frozen=True):
    """Send the body of `part`, and resume with its `Outcome`; `again` marks a retry."""

    part: AnyPart
    again: bool

    @property
    def body(self) -> bytes:
        """The bytes to send, the same for each attempt."""
        return self.part.body


class Wait(Struct, frozen=True):
    """Wait for `seconds`; log the `note` if there is one."""

    seconds: float
    note: str | None


class Store(Struct, frozen=True):
    """Write these records to the dead-letter file; resume only when they are on the disk."""

    records: tuple[SetAside, ...]


class Settled(Struct, frozen=True):
    """A batch or a part of one is acknowledged, or its only record is set aside, as `set_aside`."""

    part: Batch
    set_aside: tuple[SetAside, ...] = ()


class LimitLearned(Struct, frozen=True):
    """The service accepts no bodies larger than this."""

    max_bytes: int


Step: TypeAlias = "Attempt[Batch] | Wait | Store | Settled | LimitLearned"


class Outcome(Struct, frozen=True):
    """The verdict on an attempt, and its time in seconds on a monotonic clock."""

    verdict: Verdict
    now: float


class Hints(Struct, frozen=True):
    """Hints in errors about a refused record, and about an unavailable service.

    The defaults are those of a run.
    """

    refused: str = "With `on_invalid_record: dead_letter` such records are set aside."
    unavailable: str = (
        "What is not acknowledged is read again by the next run, from the last state."
    )


RUN_HINTS = Hints()
COMMAND_HINTS = Hints(refused="", unavailable="Run the command again later.")
"""For commands that people start by hand: they have no states, and set nothing aside."""


class DeliveryRules(Struct, frozen=True):
    """The user's settings for a delivery, and `chance`, which returns a random number, 0 to 1."""

    max_retry_seconds: float
    dead_letter: bool
    chance: Callable[[], float]
    hints: Hints = RUN_HINTS


Delivery: TypeAlias = Generator[Step, Outcome | None, None]


def deliver(batch: Batch, rules: DeliveryRules, streak: RefusalStreak) -> Delivery:
    """Deliver `batch` as a whole if the service accepts it, else in smaller and smaller parts.

    Raises:
        TargetError: The run cannot go on. Only what was yielded as `Settled` is settled.
    """
    refused: list[tuple[Batch, SetAside]] = []
    waiting = [batch]
    suspect: Batch | None = None
    trusts_named_record = True
    while waiting:
        part = waiting.pop()
        verdict = yield from until_answered(part, rules)
        if isinstance(verdict, Acknowledged):
            if part is suspect:
                trusts_named_record = False  # the service accepts the record that it had named
            streak.note_accepted()
            yield Settled(part)
        elif part.count == 1:
            refused.append((part, _refused(part, verdict, rules, streak)))
        elif isinstance(verdict, TooLarge):
            yield LimitLearned(max(part.size // 2, LEAST_LEARNED_BYTES))
            waiting.extend(reversed(part.split(part.count // 2)))
        elif trusts_named_record and verdict.record is not None and verdict.record < part.count:
            suspect, *rest = _single_out(part, verdict.record)
            waiting.extend([*reversed(rest), suspect])
        else:
            waiting.extend(reversed(part.split(part.count // 2)))
    if refused:
        yield Store(tuple(record for _, record in refused))
        for part, record in refused:
            yield Settled(part, (record,))


def until_answered(
    part: AnyPart, rules: DeliveryRules
) -> Generator[Attempt[AnyPart] | Wait, Outcome | None, Acknowledged | BodyRefused | TooLarge]:
    """Send one body until there is a final verdict, and return that verdict.

    Raises:
        TargetError: No verdict is final: the service is unavailable, or refuses the credentials.
    """
    first_failure: float | None = None
    tries = 0
    while True:
        outcome = yield Attempt(part, again=tries > 0)
        if outcome is None:
            raise TypeError("an attempt is answered with an outcome")
        verdict = outcome.verdict
        if isinstance(verdict, Stop):
            raise verdict.error
        if not isinstance(verdict, TryAgain):
            return verdict
        tries += 1
        first_failure = outcome.now if first_failure is None else first_failure
        spent = outcome.now - first_failure
        left = rules.max_retry_seconds - spent
        where = f"a batch of stream {quoted(part.stream)}"
        if left < LEAST_LEFT_SECONDS or verdict.at_least_seconds > left:
            attempts = f"{tries} attempts" if tries > 1 else "1 attempt"
            asked = ""
            if verdict.at_least_seconds > max(left, 0):
                asked = (
                    f"It asks for a wait of {verdict.at_least_seconds:,.0f} seconds, longer than "
                    "what is left of `max_retry_seconds`."
                )
            hints = " ".join(filter(None, (asked, verdict.advice, rules.hints.unavailable)))
            raise ServiceUnavailableError(
                f"The Import API did not accept {where} after {attempts} in {spent:.0f} "
                f"seconds: {verdict.reason}. {hints}"
            )
        # The last attempt is made when the time is up, and not before.
        wait = min(wait_seconds(tries, verdict.at_least_seconds, rules.chance()), left)
        is_logged = tries == 1 or wait > 1
        note = f"The Import API did not accept {where}: {verdict.reason}. Retrying in {wait:.1f} s."
        yield Wait(wait, note if is_logged else None)


def _refused(
    part: Batch, verdict: BodyRefused | TooLarge, rules: DeliveryRules, streak: RefusalStreak
) -> SetAside:
    """Return the one record of `part`, to be set aside.

    Raises:
        InputError: The record must not be set aside, so the run ends.
    """
    message = next(part.messages())
    where = origin(message.span.line, message.span.file)
    stream = quoted(part.stream)
    if part.barrier:
        raise InputError(
            f"{where}: the Import API refuses to activate version {part.version} of "
            f"stream {stream}: {verdict.reason}. Fix what it names, then run again."
        )
    if not rules.dead_letter:
        raise InputError(
            f"{where}: the Import API refuses a record of stream {stream}: "
            f"{verdict.reason}. {rules.hints.refused}".rstrip()
        )
    streak.note_refused()
    if streak.is_systemic:
        raise InputError(
            f"{where}: the Import API refused {streak.in_a_row} single records in a row, the "
            f"last one of stream {stream}: {verdict.reason}. The problem seems to affect all "
            "records, so the run stops instead of setting them aside."
        )
    return SetAside(
        part.stream,
        part.version,
        message.span.line,
        message.span.sequence,
        message.span.epoch,
        f"refused by the Import API: {verdict.reason}",
        message.data,
        part.prefix,
        message.span.file,
        time_extracted=message.time_extracted,
    )


def _single_out(part: Batch, record: int) -> list[Batch]:
    """Split off the message at index `record`; return it, then the parts before and after it."""
    rest: list[Batch] = []
    if record > 0:
        before, part = part.split(record)
        rest.append(before)
    if part.count > 1:
        part, after = part.split(1)
        rest.append(after)
    return [part, *rest]
