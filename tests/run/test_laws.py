"""Laws that hold between the parts: what is on the disk before a state is on stdout, and the like.

Found with the mutations of `tools/mutants.py`, and by reading the parts against each other.
"""

from __future__ import annotations

import io
import json
import os
import resource
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from target_stitch_import.app import DryRun, Options, deliver
from target_stitch_import.config import Settings
from target_stitch_import.delivery.deliver import (
    Attempt,
    DeliveryRules,
    LimitLearned,
    Outcome,
    Settled,
    Step,
    Store,
)
from target_stitch_import.delivery.deliver import deliver as deliver_batch
from target_stitch_import.delivery.tolerance import Judgement
from target_stitch_import.delivery.verdict import Acknowledged, Answer, Rejected, TooLarge, Verdict
from target_stitch_import.errors import OutputError, TargetError
from target_stitch_import.report.observer import Reporter
from target_stitch_import.run.batch_files import BatchFiles
from target_stitch_import.run.dead_letter import DeadLetters
from target_stitch_import.run.intake import Intake, Source
from target_stitch_import.run.loop import Run
from target_stitch_import.run.sender import Released, Sender
from target_stitch_import.run.states import StateWriter
from target_stitch_import.run.wakeup import Wakeup
from tests.conftest import Target, bodies, delivered, lines, record, schema, state
from tests.core.test_pipeline import feed
from tests.support.rules import pipeline, sender_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from target_stitch_import.batching.payload import Batch
    from target_stitch_import.batching.set_aside import SetAside
    from target_stitch_import.local import ImportApi

BAD_IN_THE_MIDDLE = [
    schema(name={"type": ["null", "string"], "maxLength": 5}),
    record(1),
    record(2, name="far too long"),
    record(3),
    state(1),
]


class Stdout(io.BytesIO):
    """Notes how much of a file was safe on the disk when something was written."""

    def __init__(self, file: Path, safe: dict[int, int]) -> None:
        super().__init__()
        self._file = file
        self._safe = safe
        self.safe_when_written: list[str] = []

    def write(self, text: Any, /) -> int:
        inode = self._file.stat().st_ino
        self.safe_when_written.append(self._file.read_text()[: self._safe.get(inode, 0)])
        return super().write(text)


@pytest.mark.parametrize("validate", [True, False])
def test_dead_letters_are_on_the_disk_before_the_state_is_on_stdout(
    api: ImportApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    validate: bool,  # noqa: FBT001
) -> None:
    """Refused locally or by the service: written is not enough, it must be synced."""
    path = tmp_path / "dead.jsonl"
    safe: dict[int, int] = {}
    really_sync = os.fsync

    def sync(descriptor: int) -> None:
        really_sync(descriptor)
        status = os.fstat(descriptor)
        safe[status.st_ino] = status.st_size

    monkeypatch.setattr(os, "fsync", sync)
    config = {
        "token": "T",
        "api_url": api.url,
        "validate_records": validate,
        "on_invalid_record": "dead_letter",
        "dead_letter_path": str(path),
    }
    stdout = Stdout(path, safe)
    source = io.BytesIO(lines(BAD_IN_THE_MIDDLE))
    deliver(Settings.load(config), Options(), source, stdout)
    assert stdout.getvalue() == b"1\n"
    (on_the_disk,) = stdout.safe_when_written
    assert json.loads(on_the_disk)["record"]["id"] == 2


@contextmanager
def nearly_full_disk(room_bytes: int) -> Iterator[None]:
    """Let no file grow over so many bytes, as if the disk were full from there on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("same_run", [False, True])
def test_a_line_cut_off_by_a_full_disk_spoils_no_other(
    tmp_path: Path,
    same_run: bool,  # noqa: FBT001
) -> None:
    """What is written once there is room again is readable: it counts as settled."""
    path = tmp_path / "dead.jsonl"
    refusing = pipeline(dead_letter=True)
    feed(refusing, [schema(), record(1, id="bad")])
    (letter,) = refusing.to_set_aside
    letters = DeadLetters(str(path), 10)
    with nearly_full_disk(40), pytest.raises(OutputError):
        letters.write([letter])
    if not same_run:
        letters.close()
        letters = DeadLetters(str(path), 10)
    letters.write([letter])
    letters.close()
    assert json.loads(path.read_text().splitlines()[-1])["line"] == letter.line


VERSION_7 = {"version": 7}
ACTIVATION = {"type": "ACTIVATE_VERSION", "stream": "people", **VERSION_7}
LACKING = [
    schema(),
    record(1, message=VERSION_7),
    record(0, id="bad", message=VERSION_7),
    state(1),
    ACTIVATION,
    state(2),
]


def test_an_activation_of_a_version_that_lacks_a_record_is_set_aside(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """Behind the record in the file; all else goes on, and the user is told."""
    path = tmp_path / "dead.jsonl"
    rest = [schema("b"), record(1, "b", message=VERSION_7), ACTIVATION | {"stream": "b"}, state(3)]
    outcome = target.run(
        [*LACKING, *rest], on_invalid_record="dead_letter", dead_letter_path=str(path)
    )
    assert (outcome.status, outcome.states[-1]) == (0, "3")
    letters = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(each["line"], each.get("action")) for each in letters] == [
        (3, None),
        (5, "activate_version"),
    ]
    assert letters[1]["request"]["table_version"] == 7
    activated = [
        body["table_name"]
        for body in bodies(api)
        if body["messages"][0]["action"] == "activate_version"
    ]
    assert activated == ["b"]
    assert "WARNING" in outcome.log
    assert "version 7 is not activated" in outcome.log


class AtOnce(Sender):
    """Delivers at once, and reports everything before anybody can look."""

    def submit(self, batch: Batch) -> None:
        self.reports += [Settled(batch), Released(batch)]
        self._wake()


def ending_of(
    messages: list[Any],
    letters: DeadLetters,
    observer: Reporter | None = None,
    stdout: io.BytesIO | None = None,
) -> list[TargetError]:
    """Run over `messages` with a sender that does all at once; return what it ended with."""
    wakeup = Wakeup()
    run = Run(
        intake=Intake(Source(io.BytesIO(lines(messages))), BatchFiles(None)),
        pipeline=pipeline(dead_letter=True),
        states=StateWriter(stdout or io.BytesIO(), wakeup.wake),
        observer=observer or Reporter(),
        wakeup=wakeup,
        sender=AtOnce(DryRun, sender_rules(), letters, wakeup.wake, lambda _: None),
        dead_letters=letters,
    )
    ended: list[TargetError] = []

    def end() -> None:
        try:
            run.run()
        except TargetError as error:
            ended.append(error)

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    thread.join(10)
    return ended


def test_what_is_set_aside_after_the_reports_is_written(tmp_path: Path) -> None:
    """The activation is withheld only once the batch before it is reported; nothing else wakes."""
    path = tmp_path / "dead.jsonl"
    assert ending_of([*LACKING[:3], ACTIVATION], DeadLetters(str(path), 10)) == []
    assert len(path.read_text().splitlines()) == 2


class Unforeseen(Reporter):
    """Has a defect."""

    def delivered(self, part: Batch) -> None:
        raise RuntimeError(part.body)


def test_what_was_earned_is_written_whatever_goes_wrong(tmp_path: Path) -> None:
    letters = DeadLetters(str(tmp_path / "dead.jsonl"), 10)
    stdout = io.BytesIO()
    (error,) = ending_of(
        [schema(), record(1, name="S3CRET"), state(1)], letters, Unforeseen(), stdout
    )
    assert error.exit_status == 70
    assert str(error).startswith("Internal error, please report it: RuntimeError at test_laws.py:")
    assert "S3CRET" not in str(error)
    assert stdout.getvalue() == b"1\n"


def test_an_error_among_the_reports_leaves_none_behind(tmp_path: Path) -> None:
    """What is left of them is taken although nobody wakes the run again, nor asks for its time."""
    observer = Unforeseen()
    observer.due = float("inf")
    letters = DeadLetters(str(tmp_path / "dead.jsonl"), 10)
    assert len(ending_of([schema(), record(1)], letters, observer)) == 1


class Half(DryRun):
    """Takes no two records at once; the second one only once the state behind the first is out."""

    def __init__(self, stdout: io.BytesIO) -> None:
        self.stdout = stdout
        self.written_before_the_second = b""

    def send_batch(self, body: bytes, stream: str = "") -> Answer:
        records = [message["data"]["id"] for message in json.loads(body)["messages"]]
        if len(records) > 1:
            return Answer(413)
        if records == [2]:
            until = time.monotonic() + 5
            while time.monotonic() < until and not self.stdout.getvalue():
                time.sleep(0.01)
            self.written_before_the_second = self.stdout.getvalue()
        return super().send_batch(body, stream)


def test_what_settles_is_heard_of_while_the_rest_of_its_batch_waits() -> None:
    stdout, wakeup, observer = io.BytesIO(), Wakeup(), Reporter()
    observer.due = float("inf")  # the clock wakes nobody
    transport = Half(stdout)
    source = io.BytesIO(lines([schema(), record(1), state(1), record(2), state(2)]))
    run = Run(
        intake=Intake(Source(source), BatchFiles(None)),
        pipeline=pipeline(),
        states=StateWriter(stdout, wakeup.wake),
        observer=observer,
        wakeup=wakeup,
        sender=Sender(lambda: transport, sender_rules(), None, wakeup.wake, lambda _: None),
    )
    run.run()
    wakeup.close()
    assert transport.written_before_the_second == b"1\n"
    assert stdout.getvalue() == b"1\n2\n"


class Unsynced(DeadLetters):
    """On a disk that says of what it has written that it has not."""

    def write(self, records: Sequence[SetAside]) -> None:
        super().write(records)
        raise OutputError("the disk")


def test_dead_letters_that_fail_are_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    messages = [schema(), record(1), record(0, id="bad"), state(1), "not json"]
    stdout = io.BytesIO()
    assert ending_of(messages, Unsynced(str(path), 10), stdout=stdout)
    assert len(path.read_text().splitlines()) == 1
    assert stdout.getvalue() == b"", "it does not count as settled either"


def test_a_thread_that_outlives_the_run_writes_no_dead_letters(tmp_path: Path) -> None:
    """What has the file's number by then is another file."""
    refusing = pipeline(dead_letter=True)
    feed(refusing, [schema(), record(1, id="bad")])
    letters = DeadLetters(str(tmp_path / "dead.jsonl"), 10)
    letters.close()
    with (tmp_path / "other").open("wb"), pytest.raises(OutputError, match="is closed"):
        letters.write(list(refusing.to_set_aside))
    assert (tmp_path / "other").read_bytes() == b""


def test_a_version_that_lacks_a_record_is_not_activated_by_the_next_run_either(
    target: Target, api: ImportApi, tmp_path: Path
) -> None:
    """The file knows, and knows the table by the name that it has in the service."""
    path = tmp_path / "dead.jsonl"
    settings = {"on_invalid_record": "dead_letter", "dead_letter_path": str(path)}
    first = target.run(LACKING[:4], table_prefix="raw_", **settings)
    assert (first.status, first.states) == (0, ["1"])
    second = target.run([schema(), ACTIVATION, state(2)], table_prefix="raw_", **settings)
    assert (second.status, second.states) == (0, ["2"])
    actions = [message["action"] for body in bodies(api) for message in body["messages"]]
    assert "activate_version" not in actions
    assert len(path.read_text().splitlines()) == 2
    wanted = {"table_prefix": "raw_", "activate_incomplete_versions": True}
    third = target.run([schema(), ACTIVATION, state(3)], **wanted, **settings)
    assert (third.status, third.states) == (0, ["3"])
    assert bodies(api)[-1]["messages"][0]["action"] == "activate_version"
    assert {body["table_name"] for body in bodies(api)} == {"raw_people"}


def seen_through(batch: Batch, answer: Callable[[Batch], Verdict]) -> list[Step]:
    """Return what the delivery of `batch` asks for, its attempts answered by `answer`."""
    rules = DeliveryRules(max_retry_seconds=60, dead_letter=True, chance=lambda: 0.0)
    delivery = deliver_batch(batch, rules, Judgement())
    steps: list[Step] = []
    reply: Outcome | None = None
    with suppress(StopIteration):
        while True:
            step = delivery.send(reply)
            steps.append(step)
            reply = Outcome(answer(step.part), 0.0) if isinstance(step, Attempt) else None
    return steps


def batch_of(count: int) -> Batch:
    of = pipeline()
    feed(of, [schema(), *(record(number) for number in range(count))])
    of.close()
    (batch,) = of.ready
    return batch


@pytest.mark.parametrize("named", [None, 0, 63, 99_999])
def test_a_service_that_names_the_wrong_record_is_asked_little_more(named: int | None) -> None:
    """A hint that was wrong once is not followed again: about 2 log2 n requests, and one."""

    def answer(part: Batch) -> Verdict:
        at_fault = any(message.data == b'{"id": 40}' for message in part.messages())
        return Rejected("no", named) if at_fault else Acknowledged()

    steps = seen_through(batch_of(128), answer)
    assert sum(isinstance(step, Attempt) for step in steps) <= 2 * 7 + 3
    (letters,) = [step for step in steps if isinstance(step, Store)]
    assert [letter.record for letter in letters.records] == [b'{"id": 40}']
    assert sum(step.part.count for step in steps if isinstance(step, Settled)) == 128


def test_what_the_service_takes_is_learned_from_what_it_does_not_take() -> None:
    """Each 413 teaches half the size of its body, which later batches keep to."""
    batch = batch_of(100)
    most = batch.size // 3

    def answer(part: Batch) -> Verdict:
        return TooLarge("413") if part.size > most else Acknowledged()

    steps = seen_through(batch, answer)
    learned = [step.max_bytes for step in steps if isinstance(step, LimitLearned)]
    assert learned[0] == batch.size // 2
    assert most / 2 < min(learned) <= most


def test_what_is_learned_counts_for_the_rest_of_the_run(target: Target, api: ImportApi) -> None:
    """Later batches are no larger than what the service took."""
    api.set_faults([{"kind": "status", "status": 413}])
    rows = [record(number, name="x" * 900) for number in range(1_000)]
    outcome = target.run(
        [schema(), *rows, state(1)],
        batch_size_bytes=100_000,
        max_buffer_bytes=100_000,  # so that most of the input is read after the first answer
        max_in_flight_requests=1,
    )
    assert (outcome.status, outcome.states) == (0, ["1"])
    sizes = [len(request["body"]) for request in api.requests() if request["body"]]
    assert all(size <= 50_000 for size in sizes[-8:])
    assert len(delivered(api)) == 1_000
