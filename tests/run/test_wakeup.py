"""A signal is handled during any long operation."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.hostile_input import CASES
from tests.support.processes import end, feeding, running, stream, until

if TYPE_CHECKING:
    from tests.support.target import Target


@pytest.mark.parametrize("name", CASES)
def test_a_signal_is_handled_during_costly_input(target: Target, name: str) -> None:
    """The first piece has been read by then; more follows for as long as it is read.

    No state after an undelivered record is written.
    """
    case = CASES[name]()
    (target.folder / "root").mkdir()
    for file, content in case.files.items():
        (target.folder / "root" / file).write_bytes(content)
    summary = target.folder / "summary.json"
    settings = {"batch_root": "root", "summary_path": str(summary)} | case.settings
    with running(target, **settings) as process, feeding(process, case) as taken:
        assert stream(process.stdout).readline() == b"1\n"
        until(lambda: taken() >= len(case.head) + len(case.piece), 60)
        process.send_signal(signal.SIGTERM)
        status, states, log = end(process, 20)
    assert (status, set(states) - {b"1"}) == (143, set()), log
    assert json.loads(summary.read_text())["exit_status"] == 143
