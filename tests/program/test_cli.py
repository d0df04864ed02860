"""The command line: its options, and its errors."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from target_stitch_import.cli import VERSION, command
from tests.support.command_line import CLOSED_PIPE, run_into_closed_pipe, run_over_a_state
from tests.support.target import TARGET


@pytest.mark.parametrize("option", ["--help", "--version", "--about"])
def test_a_full_stdout_is_an_output_error(tmp_path: Path, option: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*TARGET, option],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
    assert (done.returncode, "Internal" in done.stderr) == (74, False)
    assert "Stdout cannot be written to: No space left on device. Free disk space" in done.stderr


@pytest.mark.parametrize("option", ["--help", "--version", "--about"])
def test_a_closed_pipe_is_an_output_error(tmp_path: Path, option: str) -> None:
    assert run_into_closed_pipe(*TARGET, option, folder=tmp_path) == (74, CLOSED_PIPE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-c", "nowhere.json"), "nowhere.json cannot be read"),
        (("-c", "list.json"), "not a JSON object"),
        (("-c", "broken.json"), "broken.json is not JSON"),
        (("--state", "state.json"), "pass it to the tap: tap-something --state FILE"),
        (("--no-such-option",), "No such option"),
        (("--max-batch-records", "many"), "not a valid integer"),
        (("--input", "nowhere.singer"), "nowhere.singer"),
        ((), "`token` is missing"),
    ],
)
def test_an_invalid_command_line_is_refused(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text('{"token": ')
    status, states, log = run_over_a_state(*options, folder=tmp_path, environment={})
    assert (status, states) == (78, "")
    assert words in log


def test_the_sdk_s_logging_configuration_is_used(tmp_path: Path) -> None:
    """As Meltano gives it, for lines that a machine reads."""
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": {"()": "singer_sdk.logging.StructuredFormatter"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "structured"},
        },
        "root": {"level": "INFO", "handlers": ["stderr"]},
    }
    (tmp_path / "logging.json").write_text(json.dumps(config))
    environment = {"SINGER_SDK_LOG_CONFIG": str(tmp_path / "logging.json")}
    status, out, log = run_over_a_state("--dry-run", folder=tmp_path, environment=environment)
    assert (status, out) == (0, "")
    entries = [json.loads(line) for line in log.splitlines()]
    assert {each["level"] for each in entries} == {"info"}
    status, _, log = run_over_a_state(
        "-n", folder=tmp_path, environment={"SINGER_SDK_LOG_CONFIG": "nowhere"}
    )
    assert (status, "SINGER_SDK_LOG_CONFIG" in log) == (78, True)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_has_every_option(tmp_path: Path, option: str) -> None:
    status, out, _ = run_over_a_state(option, folder=tmp_path, environment={})
    assert status == 0
    shown = {each for each in command.params if not getattr(each, "hidden", False)}
    names = {name for each in shown for name in each.opts}
    assert {"-c", "-n", "-o", "-v", "-q", "--about", "--format", "--input", "--version"} < names
    assert not [name for name in names if name not in out]


def test_the_version_is_printed_and_logged_first(tmp_path: Path) -> None:
    status, out, _ = run_over_a_state("--version", folder=tmp_path, environment={})
    assert (status, f"version {VERSION}" in out) == (0, True)
    _, _, log = run_over_a_state("--dry-run", folder=tmp_path, environment={})
    [first, *others] = log.splitlines()
    assert first.endswith(f"| target-stitch-import {VERSION} on Python {platform.python_version()}")
    assert others
    assert run_over_a_state("--dry-run", "--quiet", folder=tmp_path, environment={})[2] == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", ["target-stitch-import", "stitch-import"])
def test_shells_complete_options(tmp_path: Path, shell: str, program: str) -> None:
    words = {"COMP_WORDS": f"{program} --ver", "COMP_CWORD": "1"}
    if shell == "fish":
        words["COMP_CWORD"] = "--ver"
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    done = subprocess.run(
        [Path(sys.executable).with_name(program)],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=words | {variable: f"{shell}_complete", "PATH": os.environ["PATH"]},
        text=True,
    )
    assert (done.returncode, "--version" in done.stdout) == (0, True)
