"""Runs the command line with given environment variables only, and without a configuration."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.support.target import TARGET

if TYPE_CHECKING:
    from pathlib import Path

CLOSED_PIPE = (
    "Stdout cannot be written to: Broken pipe. The program that reads it has ended: see its log, "
    "then run again.\n"
)


def run_into_closed_pipe(*command: str, folder: Path) -> tuple[int, str]:
    """Run a command whose stdout is a pipe that nobody reads; return status and stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command, check=False, stdout=writer, stderr=subprocess.PIPE, cwd=folder, timeout=60
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr.decode()


def run_over_a_state(
    *options: str, folder: Path, environment: dict[str, str]
) -> tuple[int, str, str]:
    """Run the target on an input of one STATE; return status, stdout and stderr."""
    done = subprocess.run(
        [*TARGET, *options],
        input=b'{"type":"STATE","value":1}\n',
        capture_output=True,
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"} | environment,
        timeout=30,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()
