"""Signals while a program starts end it without a traceback; while it ends, they change nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.interrupts import (
    SIGNALS,
    end_at_once,
    end_at_once_on_signals,
    leave_signals_to_python,
)
from tests.support.processes import AS_PROCESS_1, process_1, require_namespaces
from tests.support.singer import lines, record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.target import Target

PROGRAMS = Path(sys.executable).parent
SEEN = "import time:"
TARGET = ("--dry-run",)
TOOL = ("report", "-", "--output", "page.html")
STARTS = {
    "module": ["-m", "target_stitch_import", *TARGET],
    "script": [str(PROGRAMS / "target-stitch-import"), *TARGET],
    "tool": [str(PROGRAMS / "stitch-import"), *TOOL],
}
"""How each program is started, so that it then waits for input."""
MOMENTS = {
    "module": ("click.parser", "email.charset", "target_stitch_import.config.settings"),
    "script": (
        *("click.types", "target_stitch_import.report.log", "target_stitch_import.cli"),
        *("requests.models", "target_stitch_import.run.intake", "target_stitch_import.app"),
    ),
    "tool": (
        *("click.types", "target_stitch_import.local.command", "target_stitch_import.toolbox"),
        *("target_stitch_import.report.words", "target_stitch_import.report.page.charts"),
    ),
}
"""What was imported last when the signal comes."""
_SIGNALLING_ITSELF = """
import atexit, os, runpy, sys

class Torn:
    kill, process_id, signals = os.kill, os.getpid(), [int(each) for each in sys.argv[2].split(",")]

    def __del__(self):
        for each in self.signals:
            Torn.kill(self.process_id, each)

def at_the_summary(event, given):
    if event != "open" or given[0] != "summary.json":
        return
    if moment == "the summary is opened":
        Torn()
    elif moment == "Python calls what is registered for its end":
        atexit.register(Torn().__del__)
    else:
        sys.torn = Torn()

moment, _, *sys.argv[1:] = sys.argv[1:]
sys.addaudithook(at_the_summary)
runpy.run_module("target_stitch_import", run_name="__main__", alter_sys=True)
"""


@contextmanager
def started_up_to(
    module: str, start: str, folder: Path, before: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """Start a program, and wait until it has imported `module`; yield it with its stderr."""
    with subprocess.Popen(
        [*before, sys.executable, "-X", "importtime", *STARTS[start]],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        try:
            stderr = iter(process.stderr or ())
            assert any(line.rstrip().endswith(f" {module}") for line in stderr)
            yield process, stderr
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("start", "module"), [(start, module) for start in MOMENTS for module in MOMENTS[start]]
)
def test_sigint_during_imports_ends_the_program_without_a_traceback(
    tmp_path: Path, start: str, module: str
) -> None:
    """Three times each, because the exact moment of the signal varies."""
    for _ in range(3):
        with started_up_to(module, start, tmp_path) as (process, stderr):
            process.send_signal(signal.SIGINT)
            said = [line for line in stderr if not line.startswith(SEEN)]
            assert process.wait(15) == 130, said
        assert not [line for line in said if "Traceback" in line or "KeyboardInterrupt" in line]


ENDS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "status"), ENDS)
@pytest.mark.parametrize(
    ("start", "module"), [("module", "click.parser"), ("script", "target_stitch_import.app")]
)
def test_signals_have_their_exit_status_from_the_start(
    tmp_path: Path, start: str, module: str, number: signal.Signals, status: int
) -> None:
    with started_up_to(module, start, tmp_path) as (process, stderr):
        process.send_signal(number)
        assert process.wait(15) == status
        assert not [line for line in stderr if not line.startswith(SEEN)]


@pytest.mark.parametrize(("number", "status"), ENDS)
@pytest.mark.parametrize(
    ("start", "module"),
    [
        ("module", "click.parser"),
        ("script", "target_stitch_import.app"),
        ("tool", "target_stitch_import.report.words"),
    ],
)
def test_signals_end_process_1_too(
    tmp_path: Path, start: str, module: str, number: signal.Signals, status: int
) -> None:
    """The kernel keeps a signal from the first process of a container that has no handler."""
    require_namespaces()
    with started_up_to(module, start, tmp_path, AS_PROCESS_1) as (process, stderr):
        os.kill(process_1(process), number)
        assert process.wait(15) == status
        said = [line for line in stderr if not line.startswith(SEEN)]
    assert not [line for line in said if "Traceback" in line]


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restore the handlers of this process after the test."""
    before = {each: signal.getsignal(each) for each in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_process_1_keeps_its_signal_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_at_once_on_signals()
    assert [signal.getsignal(each) for each in SIGNALS] == [end_at_once] * 3
    leave_signals_to_python(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [signal.getsignal(each) for each in SIGNALS[1:]] == [end_at_once] * 2
    leave_signals_to_python(2)
    assert [signal.getsignal(each) for each in SIGNALS[1:]] == [signal.SIG_DFL] * 2


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "another"])
def test_a_handler_of_others_is_left_alone(handler: signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
    end_at_once_on_signals()
    assert [signal.getsignal(each) for each in SIGNALS] == [handler] * 3
    leave_signals_to_python(2)
    assert [signal.getsignal(each) for each in SIGNALS] == [handler] * 3


def signalling_itself(
    target: Target, moment: str, *numbers: signal.Signals, messages: Sequence[object]
) -> subprocess.CompletedProcess[bytes]:
    """Run the target on `messages`; at `moment` after the run it sends itself signals."""
    _, _, _, *options = target.command(summary_path="summary.json")
    signals = ",".join(str(int(each)) for each in numbers)
    return subprocess.run(
        [sys.executable, "-c", _SIGNALLING_ITSELF, moment, signals, *options],
        input=lines(list(messages)),
        capture_output=True,
        check=False,
        cwd=target.folder,
        timeout=30,
    )


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    "moment",
    [
        "the summary is opened",
        "Python calls what is registered for its end",
        "Python takes its modules apart",
    ],
)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_run_changes_nothing(
    target: Target, moment: str, number: signal.Signals
) -> None:
    """The exit status is that in the summary, which is complete."""
    good = [schema(), record(1), state(1)]
    for messages, status, words in ((good, 0, b""), ([*good, "junk"], 65, b"is not JSON")):
        (target.folder / "summary.json").unlink(missing_ok=True)  # else it is opened before, too
        done = signalling_itself(target, moment, number, messages=messages)
        assert (done.returncode, done.stdout) == (status, b"1\n"), done.stderr.decode()
        assert json.loads((target.folder / "summary.json").read_text())["exit_status"] == status
        assert words in done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.usefixtures("api")
def test_a_second_signal_after_the_run_ends_it_at_once(target: Target) -> None:
    done = signalling_itself(
        target,
        "the summary is opened",
        *(signal.SIGTERM, signal.SIGINT),
        messages=[schema(), record(1), state(1)],
    )
    assert (done.returncode, done.stdout) == (130, b"1\n")
    assert not (target.folder / "summary.json").exists()


def test_the_exit_status_is_right_when_stderr_is_closed(tmp_path: Path) -> None:
    nobody, stderr = os.pipe()
    os.close(nobody)
    statuses = [
        subprocess.run(
            [PROGRAMS / program, *arguments], stderr=stderr, check=False, cwd=tmp_path
        ).returncode
        for program, *arguments in (
            ["target-stitch-import", "--no-such-option"],
            ["target-stitch-import", "--config", "nowhere.json"],
            ["stitch-import", "no-such-command"],
            ["stitch-import", "check", "--config", "nowhere.json"],
        )
    ]
    os.close(stderr)
    assert statuses == [78] * 4
