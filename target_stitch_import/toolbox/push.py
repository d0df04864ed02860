"""Sends records to the schemaless push and validate endpoints, in order, one request at a time.

Invariant: a refused record is reported with its line; a push sends nothing after it.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import replace

from target_stitch_import.batching.payload import Sequencer
from target_stitch_import.delivery.deliver import (
    COMMAND_HINTS,
    Attempt,
    DeliveryRules,
    Outcome,
    until_answered,
)
from target_stitch_import.delivery.verdict import Acknowledged, BodyRefused, TooLarge, judge
from target_stitch_import.limits import MAX_BODY_BYTES
from target_stitch_import.toolbox.transit import integer, text, to_transit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_stitch_import.batching.buffers import Limits
    from target_stitch_import.delivery.answer import Answer
    from target_stitch_import.endpoints import Endpoint

PUSH_PATH = "/v2/import/push"
VALIDATE_PATH = "/v2/import/validate"
MAX_FAULTS = 20
"""With so many faults, the whole file is likely wrong, and each takes a dozen requests to find."""

_OBJECT = msgspec.json.Decoder(dict[str, Raw])


class PushEnvelope(Struct, frozen=True):
    """The members that all records of a push share."""

    table_name: str
    key_names: tuple[str, ...]
    client_id: int
    transit: bool = False

    def encode(self, record: bytes, sequence: int) -> bytes:
        """Return the message for one record, a line of JSON; sent as JSON, its text is unchanged.

        Raises:
            ValueError: The line is not a JSON object; the text says why.
        """
        try:
            record.decode()
            _OBJECT.decode(record)
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except msgspec.MsgspecError as error:
            raise ValueError(f"it is not a JSON object: {error}") from None
        if self.transit:
            return self._around(to_transit(record), integer(sequence))
        return self._around(record, sequence)

    def _around(self, data: bytes, sequence: int | str) -> bytes:
        names = [self.table_name, *self.key_names]
        table_name, *key_names = map(text, names) if self.transit else names
        envelope = {
            "client_id": self.client_id,
            "table_name": table_name,
            "action": "upsert",
            "key_names": key_names,
            "sequence": sequence,
            "data": Raw(data),
        }
        return msgspec.json.encode(envelope)


class Request(Struct, frozen=True):
    """Records that are sent together, with their line numbers."""

    stream: str
    records: tuple[bytes, ...]
    lines: tuple[int, ...]

    @property
    def body(self) -> bytes:
        """The body; every call returns the same bytes."""
        return b"[%b]" % b",".join(self.records)

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return len(self.body)

    def halves(self) -> tuple[Request, Request]:
        """Return the first and the second half; the request must have two records or more."""
        at = len(self.records) // 2
        return (
            Request(self.stream, self.records[:at], self.lines[:at]),
            Request(self.stream, self.records[at:], self.lines[at:]),
        )


class Fault(Struct, frozen=True):
    """A line that cannot be sent, or that the service refuses, and why."""

    line: int
    reason: str


class PushReport(Struct):
    """The progress of a push. `is_complete`: every line was sent or found at fault."""

    records: int = 0
    requests: int = 0
    last_line: int = 0
    faults: list[Fault] = field(default_factory=list)
    is_complete: bool = False


def endpoint_of(endpoint: Endpoint, path: str, *, transit: bool) -> Endpoint:
    """Return the endpoint for pushes at `path`; `endpoint` is the one for batches."""
    url = endpoint.base_url + path
    media_type = "application/transit+json" if transit else "application/json"
    return replace(endpoint, url=url, big_url=url, media_type=media_type)


def requests_of(
    file: Iterable[bytes], envelope: PushEnvelope, limits: Limits
) -> Iterator[Request | Fault]:
    """Yield the records of `file`, one per line, as requests filled to the limits, in order."""
    sequencer = Sequencer()
    records: list[bytes] = []
    lines: list[int] = []
    size = 1  # of the body: a bracket, and each record with the comma or bracket after it

    def closed() -> Request:
        nonlocal size
        size = 1
        request = Request(envelope.table_name, tuple(records), tuple(lines))
        records.clear()
        lines.clear()
        return request

    for line, given in enumerate(file, 1):
        if not given.strip():
            continue
        fault = None
        try:
            record = envelope.encode(given.strip(), sequencer.take(1, time.time_ns()))
            added = len(record) + 1
            if 1 + added > MAX_BODY_BYTES:
                fault = Fault(line, f"it is larger than {MAX_BODY_BYTES:,} bytes")
        except ValueError as error:
            fault = Fault(line, str(error))
        if fault:
            if records:
                yield closed()
            yield fault
            continue
        if records and (size + added > limits.max_bytes or len(records) >= limits.max_rows):
            yield closed()
        size += added
        records.append(record)
        lines.append(line)
    if records:
        yield closed()


class Push:
    """Sends requests one after the other, and finds the lines at fault.

    Args:
        post: Sends one body, and returns the response.
        max_retry_seconds: How long one request is retried.
        max_faults: Stop after this number of lines at fault.
        note: Called with messages for the user, such as about retries.
    """

    def __init__(
        self,
        post: Callable[[bytes], Answer],
        max_retry_seconds: float,
        max_faults: int,
        note: Callable[[str], None],
    ) -> None:
        self.report = PushReport()
        self._post = post
        self._max_faults = max_faults
        self._note = note
        self._rules = DeliveryRules(
            max_retry_seconds, dead_letter=False, chance=random.random, hints=COMMAND_HINTS
        )

    def send(self, items: Iterable[Request | Fault]) -> None:
        """Send everything; `report` has the progress, also after an error.

        Raises:
            TargetError: The service is unavailable, or refuses the credentials.
        """
        for item in items:
            waiting: list[Request | Fault] = [item]
            while waiting:
                part = waiting.pop()
                if isinstance(part, Request):
                    waiting.extend(reversed(self._send(part)))
                    continue
                self.report.faults.append(part)
                if len(self.report.faults) >= self._max_faults:
                    return
        self.report.is_complete = True

    def _send(self, request: Request) -> tuple[Request | Fault, ...]:
        """Send one request; return the parts or the fault that remain to be handled."""
        verdict = self._verdict(request)
        self.report.requests += 1
        if isinstance(verdict, Acknowledged):
            self.report.records += len(request.records)
            self.report.last_line = request.lines[-1]
            return ()
        if len(request.records) == 1:
            return (Fault(request.lines[0], verdict.reason),)
        return request.halves()

    def _verdict(self, request: Request) -> Acknowledged | BodyRefused | TooLarge:
        conversation = until_answered(request, self._rules)
        outcome: Outcome | None = None
        while True:
            try:
                step = conversation.send(outcome)
            except StopIteration as end:
                final: Acknowledged | BodyRefused | TooLarge = end.value
                return final
            if isinstance(step, Attempt):
                body = step.body
                verdict = judge(self._post(body), time.time(), body)
                outcome = Outcome(verdict, time.monotonic())
            else:
                outcome = None
                if step.note:
                    self._note(step.note)
                time.sleep(step.seconds)
