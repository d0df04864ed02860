"""Sends saved request bodies and repaired dead letters, with the guarantees of a run.

Invariants: sequences are sent as saved, so that a replay never replaces a newer row by an older
one. The invariants of `versions` hold across all files.
"""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from msgspec import Struct

from target_stitch_import.delivery.deliver import LimitLearned, Settled
from target_stitch_import.errors import TargetError, assert_never
from target_stitch_import.run.dead_letter import NoDeadLetters
from target_stitch_import.run.sender import Failed, Released, Sender
from target_stitch_import.toolbox.saved_batches import RecordBatches, RecordChecks, SavedBatches
from target_stitch_import.toolbox.saved_lines import Place, activated_versions
from target_stitch_import.toolbox.versions import Versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from target_stitch_import.batching.buffers import Limits
    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.run.sender import Report, SenderRules, Transport
    from target_stitch_import.toolbox.saved_files import SavedFiles


class Replayed(Struct, frozen=True):
    """The result of a replay.

    `messages` and `requests` count what was acknowledged, `replaced` the lines that were skipped
    because newer versions of their tables are loaded, and `repaired` the values that were repaired,
    by table, field and repair.
    """

    messages: int
    requests: int
    replaced: int
    repaired: Mapping[tuple[str, str, str], int]


class ReplayRules(Struct, frozen=True):
    """The user's settings; those besides `sender` apply to dead letters, not to saved bodies."""

    sender: SenderRules
    limits: Limits
    naive_datetimes: str
    repairs: tuple[str, ...] = ()


def replay(
    files: SavedFiles,
    connect: Callable[[], Transport],
    rules: ReplayRules,
    note: Callable[[str], None],
) -> Replayed:
    """Send everything in `files`, one body or dead letter per line, until it is acknowledged.

    Args:
        files: The files to send.
        connect: Makes a transport; each of the sender's threads has its own.
        rules: The user's settings.
        note: Called, from any thread, with messages for the user, such as about retries.

    Raises:
        TargetError: A line was not acknowledged; the text names the first one that must be sent
            again.
    """
    versions = Versions(activated_versions(files.lines()), note)
    checks = RecordChecks(rules.naive_datetimes, rules.repairs, note)
    saved = SavedBatches(versions, checks, RecordBatches(rules.limits))
    sending = _Sending(connect, rules.sender, note)
    try:
        _send(
            saved.batches(files.lines()),
            sending,
            at_once=2 * rules.sender.max_in_flight_requests,
        )
    except TargetError as error:
        hint = _words_on_the_rest(files, sending, saved)
        raise type(error)(f"{error} {hint}".rstrip()) from None
    except KeyboardInterrupt:
        if hint := _words_on_the_rest(files, sending, saved):
            note(hint)
        raise
    finally:
        sending.close()
    return Replayed(sending.messages, sending.requests, saved.replaced, checks.repaired)


def _send(batches: Iterator[Batch], sending: _Sending, at_once: int) -> None:
    for batch in batches:
        sending.wait_for_all_but(0 if batch.barrier else at_once - 1)
        sending.submit(batch)
        if batch.barrier:
            sending.wait_for_all_but(0)
    sending.wait_for_all_but(0)


def _words_on_the_rest(files: SavedFiles, sending: _Sending, saved: SavedBatches) -> str:
    """Describe the line from which the files must be sent again; empty if there is none."""
    first = min([*sending.places.values(), *saved.waiting()], key=files.order, default=None)
    if first is None:
        return ""
    if first.file is None:
        return f"{first} of the file and later lines may not have been delivered."
    return f"{first} and later lines, including those of later files, may not have been delivered."


class _Sending:
    """The batches in flight; `places` has the line that each of them begins with.

    `messages` and `requests` count what is acknowledged.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        rules: SenderRules,
        note: Callable[[str], None],
    ) -> None:
        self.messages = 0
        self.requests = 0
        self.places: dict[int, Place] = {}
        self._wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._sender = Sender(
            connect, rules, NoDeadLetters(), lambda: self._wakeups.put(None), note
        )

    def submit(self, batch: Batch) -> None:
        """Start sending a batch."""
        span = batch.spans[0]
        self.places[id(batch)] = Place(span.line, span.file)
        self._sender.submit(batch)

    def wait_for_all_but(self, count: int) -> None:
        """Wait until no more than `count` batches are in flight.

        Raises:
            TargetError: The delivery of a batch failed.
        """
        while len(self.places) > count:
            self._wakeups.get()
            while self._sender.reports:
                self._take(self._sender.reports.popleft())

    def _take(self, report: Report) -> None:
        match report:
            case Settled(part):
                self.messages += part.count
                self.requests += 1
            case Released(batch):
                self.places.pop(id(batch))
            case Failed(error):
                raise error
            case LimitLearned():
                pass  # each larger batch is split when the service refuses it
            case _:
                assert_never(report)

    def close(self) -> None:
        """Send nothing more."""
        self._sender.close()
