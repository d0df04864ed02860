"""Signals while a program starts: they end it, and it prints no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from target_stitch_import.interrupts import EndAtOnce, end_as_process_1
from tests.support.processes import AS_PROCESS_1, process_1, require_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
def test_sigint_ends_it_quietly_wherever_its_imports_are(
    tmp_path: Path, start: str, module: str
) -> None:
    """Three times each, as the signal falls where it falls once that module is there."""
    for _ in range(3):
        with started_up_to(module, start, tmp_path) as (process, stderr):
            process.send_signal(signal.SIGINT)
            said = [line for line in stderr if not line.startswith(SEEN)]
            assert process.wait(15) == 130, said
        assert not [line for line in said if "Traceback" in line or "KeyboardInterrupt" in line]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
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


def test_process_1_ignores_what_it_was_told_to_ignore() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        end_as_process_1(2)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        end_as_process_1(1)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_status_counts_where_nobody_reads_stderr(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "another"])
def test_a_handler_of_others_is_left_alone(handler: signal.Handlers) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        with EndAtOnce():
            assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_python_s_handler_is_back_afterwards() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with EndAtOnce():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
