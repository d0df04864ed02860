"""Breaks each guarantee in a copy of the package, and checks that a test fails.

`make mutants`, or `python -m tools.mutants [WORD...]` for those whose name has one of the words.
Each mutation replaces a text that must be there exactly once; a test that fails kills it. Tests
that cannot be imported, or do not end, show nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "target_stitch_import"
JOBS = 2
TIMEOUT_SECONDS = 300
ALL_TIMEOUT_SECONDS = 1200
"""For all tests at once, without a mutation."""


def core(*modules: str) -> tuple[str, ...]:
    """Return the tests of pure modules: for each its `test_X.py`, and any `test_X_Y.py`."""
    files: list[str] = []
    for module in modules:
        more = (ROOT / "tests" / "core").glob(f"test_{module}_*.py")
        files += [f"test_{module}.py", *sorted(path.name for path in more)]
    return tuple(f"tests/core/{file}" for file in files)


PURE = (
    *core("ledger", "verdict", "throttle", "payload", "pipeline", "messages"),
    "tests/simulation/test_simulation.py::test_the_laws_hold_through_everything_that_can_happen",
)
"""The fast part of the suite: without network, threads or processes."""
SIMULATION = PURE[-1:]
STORING = (
    "tests/run/test_dead_letter.py::test_dead_letters_are_on_the_disk_before_the_state_is_on_stdout",
)
ENDING = ("tests/run/test_loop_endings.py::test_an_error_among_the_reports_leaves_none_behind",)
HEARING = (
    "tests/run/test_loop_endings.py::test_what_settles_is_heard_of_while_the_rest_of_its_batch_waits",
)
HINTS = (
    "tests/core/test_deliver.py::test_a_service_that_names_the_wrong_record_is_asked_little_more",
)
LEARNING = (
    "tests/core/test_deliver.py::test_what_the_service_takes_is_learned_from_what_it_does_not_take",
    "tests/run/test_sender.py::test_what_is_learned_counts_for_the_rest_of_the_run",
)
CHECKS = ("tests/core/test_checks.py", *core("exact_rules"))
"""Without the official suite, which is not in the copy."""
PLACES = core("places")
TEXT_CHECKS = core("text_checks")
COLUMN_REWRITES = core("column_rewrites")
ANSWERS = ("tests/run/test_wire.py",)
TRUSTING = (
    "tests/run/test_tls_words.py::test_a_certificate_that_proves_nothing_ends_the_run_at_once",
)
SIGNALS = (
    "tests/run/test_loop_signals.py::test_what_is_ignored_stays_ignored",
    "tests/run/test_loop_signals.py::test_a_terminal_that_is_closed_is_a_signal",
    "tests/run/test_loop_signals.py::test_a_terminal_that_is_closed_may_tell_it_twice",
)
HEEDING = (
    *core("pipeline_interrupted"),
    "tests/run/test_loop_endings.py::test_a_signal_is_heard_between_two_events_of_what_was_read_at_once",
)
STARTING = ("tests/program/test_interrupts.py::test_signals_end_process_1_too",)
ENDING = ("tests/program/test_interrupts.py::test_a_signal_after_the_run_changes_nothing",)
EXHAUSTED = (
    "tests/run/test_loop_memory.py::test_no_thread_at_all_ends_the_run",
    "tests/run/test_loop_memory.py::test_fewer_threads_than_asked_for_deliver_all_the_same",
)
DELIVERY = ("tests/run/test_sender.py", "tests/program/test_app.py")
BAD_INPUT = ("tests/program/test_app.py::test_bad_input_is_named_and_what_is_before_it_arrives",)
BATCH_FILES = (
    "tests/run/test_batch_files.py::test_json_lines_as_they_are_written",
    "tests/run/test_batch_files.py::test_files_that_cannot_be_taken",
    "tests/run/test_intake.py::test_a_file_is_read_a_bounded_portion_at_a_time",
)


@dataclass(frozen=True)
class Mutation:
    """One way to break a guarantee; one of `tests` must fail."""

    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...] = PURE


MUTATIONS = [
    # States.
    Mutation(
        "one acknowledgement settles everything",
        "batching/ledger",
        "        entry.unsettled -= count\n",
        "        for entry in self._epochs:\n            entry.unsettled = 0\n",
    ),
    Mutation(
        "no prefix rule: any settled epoch earns its state",
        "batching/ledger",
        "        while self._epochs[0].unsettled == 0:\n",
        "        for epoch in self._epochs:\n"
        "            if epoch.unsettled == 0 and epoch.state is not None:\n"
        "                earned, epoch.state = epoch.state, None\n"
        "                self._pending_bytes -= len(earned)\n"
        "        while self._epochs[0].unsettled == 0:\n",
    ),
    Mutation(
        "of states earned at once the oldest is written",
        "batching/ledger",
        "                earned, epoch.state = epoch.state, None\n"
        "                self._pending_bytes -= len(earned)\n",
        "                self._pending_bytes -= len(epoch.state)\n"
        "                earned, epoch.state = earned or epoch.state, None\n",
    ),
    Mutation(
        "a state waits for records behind it",
        "batching/ledger",
        "        if newest.state is not None and (\n",
        "        if newest.state is None and (\n",
    ),
    Mutation(
        "epochs without bound",
        "batching/ledger",
        "len(self._epochs) < self._max_epochs and",
        "True and",
    ),
    Mutation(
        "of each chunk, one record alone counts in its epoch",
        "batching/payload",
        "        return Counter([span.epoch for span in self.spans])\n",
        "        return Counter([span.epoch for span in set(self.spans)])\n",
    ),
    # Acknowledgements.
    Mutation(
        "a fatal answer counts as done",
        "delivery/deliver",
        "            raise verdict.error\n",
        "            return Acknowledged()\n",
    ),
    Mutation(
        "an unclear answer counts as done",
        "delivery/verdict",
        "        return TryAgain(reason, ambiguous=failure.is_ambiguous, failure=failure)\n",
        "        if failure.is_ambiguous:\n"
        "            return Acknowledged()\n"
        "        return TryAgain(reason, failure=failure)\n",
    ),
    Mutation(
        "a 2xx that says ERROR counts as done",
        "delivery/answer",
        "        return Content.ERROR\n",
        "        return Content.ACKNOWLEDGEMENT\n",
    ),
    Mutation(
        "any 2xx of another service counts as done",
        "delivery/answer",
        "        return _FOREIGN.get(opening, Content.TEXT)",
        "        return Content.ACKNOWLEDGEMENT",
        SIMULATION,
    ),
    Mutation(
        "what cannot be read whole counts as done",
        "delivery/answer",
        "    if members is None:\n        return Content.UNCLEAR\n",
        "    if members is None:\n        return Content.ACKNOWLEDGEMENT\n",
        SIMULATION,
    ),
    Mutation(
        "a beginning of an answer is judged",
        "delivery/answer",
        "        return content_of(self.body, self.end)\n",
        "        return content_of(self.body[:4000], End.FRAMED)\n",
        core("verdict"),
    ),
    Mutation(
        "an answer of which nothing came counts as empty",
        "delivery/answer",
        "        return Content.ACKNOWLEDGEMENT if end is End.FRAMED else Content.UNCLEAR\n",
        "        return Content.ACKNOWLEDGEMENT\n",
        SIMULATION,
    ),
    Mutation(
        "an answer ends where its lines do",
        "run/wire",
        "        raise http.client.IncompleteRead(line)\n",
        "        return line\n",
        ANSWERS,
    ),
    Mutation(
        "connections read answers as `http.client` does",
        "run/wire",
        "        if not issubclass(kind, _SendingInTime):\n",
        "        if False:\n",
        ANSWERS,
    ),
    Mutation(
        "gzip without its end counts as whole",
        "run/wire",
        "        if not decoder.eof:\n",
        "        if False:\n",
        ANSWERS,
    ),
    Mutation(
        "the connection of an odd answer is used again",
        "run/http",
        "        if answer.is_success and answer.content is not Content.ACKNOWLEDGEMENT:\n",
        "        if False:\n",
        ANSWERS,
    ),
    Mutation(
        "a certificate that proves nothing is an accident",
        "run/tls_words",
        "and _reason(error).endswith(_ACCIDENTS)",
        "and bool(_reason(error))",
        TRUSTING,
    ),
    Mutation(
        "a closed terminal ends the run like a kill",
        "interrupts",
        "signal.SIGTERM, signal.SIGHUP)",
        "signal.SIGTERM)",
        SIGNALS,
    ),
    Mutation(
        "a second SIGHUP ends the run at once",
        "run/wakeup",
        "elif number != signal.SIGHUP:",
        "else:",
        SIGNALS,
    ),
    Mutation(
        "signals are heard that `nohup` has ignored",
        "run/wakeup",
        " if signal.getsignal(each) is not signal.SIG_IGN]",
        "]",
        SIGNALS,
    ),
    Mutation(
        "process 1 is spared while it starts",
        "interrupts",
        "            signal.signal(number, end_at_once)",
        "            pass",
        STARTING,
    ),
    Mutation(
        "a signal after the run ends the process",
        "run/wakeup",
        "if handler is not end_at_once:",
        "if True:",
        ENDING,
    ),
    Mutation(
        "a signal replaces the exit status while Python ends",
        "interrupts",
        "        signal.signal(number, signal.SIG_IGN)",
        "        pass",
        ENDING,
    ),
    Mutation(
        "a state that no thread can write is not written",
        "run/states",
        "                self._write_next()\n                return\n",
        "                return\n",
        EXHAUSTED,
    ),
    Mutation(
        "one thread less than asked for ends the run",
        "run/sender",
        "            if not self._threads:\n                raise\n",
        "            raise\n",
        EXHAUSTED,
    ),
    Mutation(
        "a 202 is sent again",
        "delivery/verdict",
        "    status = answer.status\n",
        '    status = answer.status\n    if status == 202:\n        return TryAgain("")\n',
    ),
    Mutation(
        "a redirect is tried again",
        "delivery/verdict",
        "_TRY_AGAIN = frozenset({",
        "_TRY_AGAIN = frozenset({302, ",
    ),
    Mutation(
        "redirects are followed",
        "run/http",
        "                redirect=False,\n",
        "                redirect=True,\n",
        DELIVERY,
    ),
    Mutation(
        "what settles is heard of only with all of its batch",
        "run/sender",
        "            if self.reports:\n                self._wake()\n",
        "",
        HEARING,
    ),
    Mutation(
        "the run goes on after a fatal answer",
        "run/sender",
        "        self._stop.set()\n",
        "",
        DELIVERY,
    ),
    Mutation(
        "what is before a bad line is left behind",
        "run/loop",
        "        self._reading = False\n        try:\n            self.pipeline.close()\n",
        "        self._reading = False\n        try:\n            pass\n",
        BAD_INPUT,
    ),
    Mutation(
        "a signal waits for all events of what was read",
        "run/loop",
        "            self.wakeup.look_around()\n",
        "",
        HEEDING,
    ),
    Mutation(
        "a signal waits for all records of a run",
        "batching/examining",
        "        look_around()\n",
        "",
        HEEDING,
    ),
    Mutation(
        "what an error left among the reports is forgotten",
        "run/loop",
        "        if self.sender.reports:\n            seconds = 0.0",
        "        if False:\n            seconds = 0.0",
        ENDING,
    ),
    # Trying again.
    Mutation(
        "`Retry-After` is ignored",
        "delivery/verdict",
        "        return TryAgain(said, wait)\n",
        "        return TryAgain(said)\n",
    ),
    Mutation(
        "`Retry-After` is a maximum",
        "delivery/verdict",
        "        return at_least_seconds + chance * RETRY_AFTER_SPREAD_SECONDS\n",
        "        return at_least_seconds * chance\n",
    ),
    Mutation(
        "tried for ever",
        "delivery/deliver",
        "        if left < LEAST_LEFT_SECONDS or verdict.at_least_seconds > left:\n",
        "        if False:\n",
    ),
    Mutation(
        "given up before the time is up",
        "delivery/deliver",
        "rules.chance()), left)\n",
        "rules.chance()), 2 * left)\n",
        core("deliver"),
    ),
    Mutation(
        "an answer may take for ever",
        "run/wire",
        "        self._connection.settimeout(self._exchange.left())\n",
        "",
        ANSWERS,
    ),
    Mutation(
        "a word that nobody allowed is shown",
        "delivery/redaction",
        '            yield f"{quote}{HIDDEN}{quote}" if quote else HIDDEN\n',
        "            yield unit[0]\n",
        core("redaction"),
    ),
    Mutation(
        "sequences are stamped again on a retry",
        "delivery/deliver",
        "        outcome = yield Attempt(part, again=tries > 0)\n",
        "        if tries:\n"
        """            body = part.body.replace(b'"sequence":17', b'"sequence":18')\n"""
        "            part = type(part)(part.stream, part.prefix, body, part.spans, 0, 0)\n"
        "        outcome = yield Attempt(part, again=tries > 0)\n",
    ),
    Mutation(
        "the throttle lets everything through",
        "delivery/throttle",
        "        return 1 if self._failures >= FAILURES_BEFORE_PROBING else int(self._limit)\n",
        "        return int(self._most)\n",
    ),
    # Halving and setting aside.
    Mutation(
        "halving drops the middle",
        "delivery/deliver",
        "        else:\n            waiting.extend(reversed(part.split(part.count // 2)))\n",
        "        else:\n"
        "            first, rest = part.split(part.count // 2)\n"
        "            waiting.extend([rest.split(1)[1] if rest.count > 1 else rest, first])\n",
    ),
    Mutation(
        "what stands before a record at fault is dropped",
        "delivery/deliver",
        "        rest.append(before)\n",
        "",
    ),
    Mutation(
        "a wrong hint is believed again",
        "delivery/deliver",
        "            hints_are_right &= part is not suspect\n",
        "",
        HINTS,
    ),
    Mutation(
        "a service that refuses everything is believed",
        "delivery/tolerance",
        "        return self._in_a_row >= LONE_REFUSALS_IN_A_ROW or (\n",
        "        return (\n",
        (*PURE, *DELIVERY),
    ),
    Mutation(
        "a learned limit is forgotten",
        "delivery/deliver",
        "            yield LimitLearned(max(part.size // 2, LEAST_LEARNED_BYTES))\n",
        "",
        LEARNING,
    ),
    Mutation(
        "a learned limit is not kept to",
        "batching/pipeline",
        "        self.limits.max_bytes = min(self.limits.max_bytes, max_bytes)\n",
        "        pass\n",
        LEARNING,
    ),
    Mutation(
        "refused records are settled without being stored",
        "delivery/deliver",
        "        yield Store(tuple(record for _, record in refused))\n",
        "",
    ),
    Mutation(
        "dead letters are settled without being written",
        "run/exchange",
        "            self._dead_letters.write((*waiting, *notes))\n",
        "",
        STORING,
    ),
    Mutation(
        "states before dead letters are synced",
        "run/dead_letter",
        "            self._sync(self._file)\n",
        "",
        STORING,
    ),
    # Activations.
    Mutation(
        "an activation overtakes records",
        "batching/lanes",
        "            if batch.barrier and self.counts.in_flight:\n",
        "            if False:\n",
    ),
    Mutation(
        "records overtake an activation",
        "batching/lanes",
        "            self._is_activating = batch.barrier\n",
        "",
    ),
    Mutation(
        "a version that lacks a record is activated",
        "batching/lanes",
        "        return first_lacking is not None and first_lacking < activation.first_sequence\n",
        "        return False\n",
    ),
    Mutation(
        "a record refused by the service does not count as lacking",
        "batching/lanes",
        "            self.lacks(each.version, each.sequence)\n",
        "            pass\n",
    ),
    Mutation(
        "a record refused locally does not count as lacking",
        "batching/packing",
        "                    self.lanes[stream.name].lacks(version, finding.span.sequence)\n",
        "",
    ),
    Mutation(
        "what an earlier run set aside does not count as lacking",
        "batching/pipeline",
        "            self._lanes[table.removeprefix(prefix)].lacks(version, 0)\n",
        "            pass\n",
    ),
    # Bodies.
    Mutation(
        "a body may be a byte over the limit",
        "batching/payload",
        "bisect_right(list(ends), room_bytes)",
        "bisect_right(list(ends), room_bytes + 1)",
    ),
    Mutation(
        "the comma between fragments is not measured",
        "batching/buffers",
        "        room = limits.max_bytes - self.size - bool(self.fragments)\n",
        "        room = limits.max_bytes - self.size\n",
    ),
    Mutation(
        "a body may hold a row too many",
        "batching/buffers",
        "        fitting = fragment.fitting(room, limits.max_rows - self.count)\n",
        "        fitting = fragment.fitting(room, limits.max_rows + 1 - self.count)\n",
    ),
    Mutation(
        "another schema or version joins the open batch",
        "batching/buffers",
        "            batch = self._open.get((stream, prefix))\n",
        "            batch = next(iter(self._of_streams.get(stream, {}).values()), None)\n",
    ),
    Mutation(
        "an activation closes one of the open batches alone",
        "batching/buffers",
        "[*self._of_streams.get(stream, {}).values()]]\n",
        "[*self._of_streams.get(stream, {}).values()][:1]]\n",
    ),
    Mutation(
        "batches of two versions are open side by side",
        "batching/buffers",
        "                oldest.version == version\n                and ",
        "                ",
    ),
    Mutation(
        "each schema closes the batch of the other",
        "batching/buffers",
        "                oldest.version == version\n                and ",
        "                False and ",
    ),
    Mutation(
        "a changed schema is no event",
        "batching/streams",
        "        if current and current.is_described_by(message):\n",
        "        if current:\n",
    ),
    Mutation(
        "sequences follow a clock that steps back",
        "batching/payload",
        "        first = max(self.last + 1, clock_ns)\n",
        "        first = clock_ns\n",
    ),
    Mutation(
        "a split gives its rest the lines of others",
        "batching/payload",
        "self.spans[at:], first, self.last)",
        "self.spans[: self.count - at], first, self.last)",
    ),
    # Gathering.
    Mutation(
        "records of two versions are gathered together",
        "batching/gathering",
        "if gathered is None or gathered.version != message.version:\n",
        "if gathered is None:\n",
    ),
    Mutation(
        "records gathered under one schema are sent under the next",
        "batching/pipeline",
        "        self._packer.admit(name)\n        if name in self._streams and",
        "        if name in self._streams and",
    ),
    Mutation(
        "an activation overtakes what is gathered",
        "batching/pipeline",
        "            self._packer.close(name)\n            self._refusals.raise_first()\n",
        "            pass\n",
    ),
    Mutation(
        "what is gathered waits for more without end",
        "batching/pipeline",
        "        if self._gathering.since + self._gather_seconds <= now:\n",
        "        if False:\n",
    ),
    Mutation(
        "what is gathered counts as new once it is checked",
        "batching/packing",
        "        since = self.gathering.since\n",
        "        since = self.gathering.since + 0.2\n",
    ),
    Mutation(
        "a record that waits takes its own room alone",
        "batching/gathering",
        "            self.size += text_bytes",
        "            self.size = text_bytes",
    ),
    Mutation(
        "a small record keeps a large chunk",
        "singer/messages",
        "    if chunk_bytes > 2 * kept:\n",
        "    if False:\n",
    ),
    Mutation(
        "what is gathered takes no room",
        "batching/packing",
        "return self.gathering.size + self.buffers.held_bytes",
        "return self.buffers.held_bytes",
    ),
    Mutation(
        "a refused record is passed over",
        "batching/refusals",
        "            raise first[1]\n",
        "            pass\n",
    ),
    Mutation(
        "a record is said to stand where the first of its chunk stands",
        "batching/payload",
        "        return Span(self.line + sequence - self.sequence, ",
        "        return Span(self.line, ",
    ),
    Mutation(
        "records go to the stream of the first of their chunk",
        "batching/gathering",
        "        are_alike = len(streams) == 1 and ",
        "        are_alike = ",
    ),
    Mutation(
        "records of one stream and two versions go in as one",
        "batching/gathering",
        " and len({message.version for message in messages}) == 1\n",
        "\n",
    ),
    Mutation(
        "what was read before a record of an unknown stream is lost",
        "batching/pipeline",
        "            messages = list(takewhile(",
        "            messages = list(() and takewhile(",
    ),
    # Batch files.
    Mutation(
        "what stands behind a BATCH does not wait for its files",
        "run/intake",
        "                self._portions = self._files.portions(event)\n                return\n",
        "                self._portions = self._files.portions(event)\n",
        BATCH_FILES,
    ),
    Mutation(
        "all of a file is read at once",
        "run/intake",
        "            yield from portion\n            return\n",
        "            yield from portion\n"
        "            for portion in self._portions:\n"
        "                yield from portion\n"
        "            return\n",
        BATCH_FILES,
    ),
    Mutation(
        "files outside of the root are read",
        "run/batch_files",
        "    if not path.is_relative_to(root):\n",
        "    if False:\n",
        BATCH_FILES,
    ),
    Mutation(
        "a file that was cut off passes for a whole one",
        "run/batch_files",
        "            except (_UnreadableError, OSError, EOFError, zlib.error) as error:\n",
        "            except EOFError:\n"
        "                pass\n"
        "            except (_UnreadableError, OSError, zlib.error) as error:\n",
        BATCH_FILES,
    ),
    Mutation(
        "what is open at the end is closed but for the first few",
        "batching/pipeline",
        "        if self._is_closing and self._needs_more:\n",
        "        if False:\n",
    ),
    Mutation(
        "a withheld activation counts as in flight",
        "batching/lanes",
        "            if not (batch.barrier and withholds and self.is_incomplete(batch)):\n",
        "            if True:\n",
    ),
    Mutation(
        "an activation without a SCHEMA holds states up for ever",
        "batching/pipeline",
        "            for each in self._undeclared.take(stream):\n"
        "                self._ledger.settle(each.span.epoch, 1)\n",
        "            self._undeclared.take(stream)\n",
    ),
    Mutation(
        "an activation that waits counts as settled",
        "batching/pipeline",
        "                self._activate(self._streams[alias], waiting.version, span)\n",
        "                self._ledger.settle(span.epoch, 1)\n"
        "                fresh = self._enter(1, span.line, None, clock_ns)\n"
        "                self._activate(self._streams[alias], waiting.version, fresh)\n",
    ),
    Mutation(
        "an activation of a stream not known yet is nothing",
        "batching/pipeline",
        "            self._undeclared.add(name, Undeclared(message.version, span, now))\n",
        "            self._ledger.settle(span.epoch, 1)\n",
    ),
    Mutation(
        "an activation is withheld while records before it are in flight",
        "batching/lanes",
        "            if batch.barrier and self.counts.in_flight:\n                return\n",
        "            is_withheld = withholds and self.is_incomplete(batch)\n"
        "            if batch.barrier and self.counts.in_flight and not is_withheld:\n"
        "                return\n",
    ),
    Mutation(
        "an incomplete activation is settled without being set aside",
        "batching/pipeline",
        "        self._refusals.withhold(batch)\n",
        "        (span,) = batch.spans\n"
        "        self._ledger.settle(span.epoch, 1)\n"
        "        self._lanes[batch.stream].counts.set_aside += 1\n",
    ),
    # Time and memory.
    Mutation(
        "age is ignored",
        "batching/buffers",
        "        while self._open and self.next_deadline() <= now:\n",
        "        while False:\n",
    ),
    Mutation(
        "a batch is thought younger than it is",
        "batching/buffers",
        "OpenBatch(stream, prefix, version, now)\n",
        "OpenBatch(stream, prefix, version, now + 0.25)\n",
    ),
    Mutation(
        "memory without bound",
        "batching/pipeline",
        "        return self.held_bytes < self._rules.max_buffer_bytes\n",
        "        return True\n",
        SIMULATION,
    ),
    Mutation(
        "held bytes are never released",
        "batching/lanes",
        "        self.held_bytes -= batch.held_bytes\n        self.ready_or_in_flight -= 1\n",
        "        self.ready_or_in_flight -= 1\n",
    ),
    # Reading.
    Mutation(
        "a chunk's end loses a byte",
        "singer/lines",
        "            self._partial.append(rest)\n",
        "            self._partial.append(rest[1:])\n",
    ),
    Mutation(
        "the last line is lost without a line break",
        "singer/reader",
        "        if last:\n            yield from self._events([last], last)\n",
        "        yield from ()\n",
    ),
    Mutation(
        "of many short lines the last is lost at each cut",
        "singer/lines",
        "        return lines, bytes(lines.pop())\n",
        "        return lines[:-1], b''\n",
    ),
    Mutation(
        "blank lines are not counted",
        "singer/reader",
        "            self.lines_read += 1\n            if not is_blank:\n",
        "            self.lines_read += not is_blank\n            if not is_blank:\n",
    ),
    Mutation(
        "lines behind a bad one are lost",
        "singer/reader",
        "                run = []\n",
        "                run = run[:0]\n                return\n",
    ),
    Mutation(
        "white space that is skipped is not counted",
        "singer/reader",
        "            self.lines_read += self._lines.skip(chunk)\n",
        "            self._lines.skip(chunk)\n",
    ),
    Mutation(
        "the quick check accepts everything",
        "schema/checks",
        "        return quick.accepts_all(messages, values)\n",
        "        return True\n",
        CHECKS,
    ),
    Mutation(
        "what no type expresses nobody checks",
        "schema/checks",
        "        return TypedCheck(record.type, record.check, record.date_times)\n",
        "        return TypedCheck(record.type, None, record.date_times)\n",
        CHECKS,
    ),
    Mutation(
        "a date-time behind an array is forgotten",
        "schema/places",
        "        found = [*self.members.values(), self.rest, self.items]\n",
        "        found = [*self.members.values(), self.rest]\n",
        PLACES,
    ),
    Mutation(
        "a shape is certain by its largest number alone",
        "schema/text_checks",
        "self.bounds.hold(farthest) and self.bounds.hold(0)",
        "self.bounds.hold(farthest)",
        TEXT_CHECKS,
    ),
    Mutation(
        "doubles decide about decimals that they cannot tell apart",
        "schema/text_checks",
        "_DOUBLE_DIGITS = 15\n",
        "_DOUBLE_DIGITS = 25\n",
        TEXT_CHECKS,
    ),
    Mutation(
        "what was rewritten at once is not checked",
        "schema/checks",
        "not self._accepts_all(self._quick, checked.messages, longest_bytes, checked.values)",
        "False",
        COLUMN_REWRITES,
    ),
    Mutation(
        "a date-time is rewritten wherever a column's name is found",
        "schema/checks",
        "self._date_times_in(records) != values",
        "self._date_times_in(records) < 0",
        COLUMN_REWRITES,
    ),
]


def main(words: list[str]) -> int:
    """Try the mutations whose name has one of `words`, or all; return 1 if one survives."""
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    tests = {test for mutation in chosen for test in mutation.tests}
    say(f"Without a mutation: {tried(None, tuple(sorted(tests)))}")
    survivors = 0
    with ThreadPoolExecutor(JOBS) as pool:
        outcomes = pool.map(lambda mutation: tried(mutation, mutation.tests), chosen)
        for mutation, outcome in zip(chosen, outcomes, strict=True):
            survivors += not outcome.startswith("killed")
            say(f"{mutation.module + '.py':15} {mutation.name:62} {outcome}")
    say(f"{len(chosen)} mutations, {survivors} survived")
    return 1 if survivors else 0


def tried(mutation: Mutation | None, tests: tuple[str, ...]) -> str:
    """Run `tests` over a copy of the package with `mutation` in it; return the result.

    Raises:
        ValueError: The text to replace is not there exactly once.
        RuntimeError: The tests fail without a mutation, so that they show nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (PACKAGE, "tests"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)
        if mutation:
            mutate(folder / PACKAGE / f"{mutation.module}.py", mutation)
        started = time.monotonic()
        timeout = TIMEOUT_SECONDS if mutation else ALL_TIMEOUT_SECONDS
        status, output = run(folder, tests, timeout)
        seconds = time.monotonic() - started
    if mutation is None:
        if status != 0:
            raise RuntimeError(f"the tests fail without a mutation:\n{output}")
        return f"all tests pass ({seconds:.0f} s)"
    if status == 0:
        return f"SURVIVED ({seconds:.0f} s)"
    failed = [line for line in output.splitlines() if line.startswith("FAILED")]
    if not failed:
        return f"SURVIVED: no test fails, but pytest ends with {status} ({seconds:.0f} s)"
    by = failed[0].split(" ")[1].split("::")[-1].split("[")[0]
    return f"killed by {by} ({seconds:.0f} s)"


def mutate(path: Path, mutation: Mutation) -> None:
    """Replace the mutation's text in a file."""
    text = path.read_text()
    if (times := text.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.name}: its text is in {path.name} {times} times, not once")
    path.write_text(text.replace(mutation.old, mutation.new))


def run(folder: Path, tests: tuple[str, ...], timeout_seconds: float) -> tuple[int, str]:
    """Run tests in `folder` until one fails; they use the package in the same folder."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},  # also for the processes they start
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired:
        return -1, ""
    return done.returncode, done.stdout + done.stderr


def say(text: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
