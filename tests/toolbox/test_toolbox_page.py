"""docs/stitch-import.md is true: its commands are run as they stand, and print what it says."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from target_stitch_import.toolbox import main

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (Path(__file__).parents[2] / "docs" / "stitch-import.md").read_text()
URL = "http://127.0.0.1:8087"
END = "--- the next command ---"
COMMAND = re.compile(r"^\$ (.*(?:\n> .*)*)\n?((?:(?!\$ ).*\n?)*)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Return every command of the page, with what it prints."""
    blocks = re.findall(r"^```console\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    found = [found for block in blocks for found in COMMAND.findall(block)]
    return [(command.replace("\n> ", "\n"), output) for command, output in found]


class Shell:
    """One shell for the whole page, as its reader has."""

    def __init__(self, folder: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env={**os.environ, "PATH": path, "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{self._port}"

    def run(self, command: str) -> str:
        """Return what a command prints; the local Import API gets a free port."""
        assert self._bash.stdin
        assert self._bash.stdout
        command = command.replace(URL, self._url)
        serves = command.endswith(" &")
        if serves:
            command = command.replace(" serve ", f" serve --port {self._port} ")
        end = "" if serves else f"\nstatus=$?; echo; echo '{END}'; (exit $status)"
        self._bash.stdin.write(f"{command}{end}\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            if line == f"{END}\n":
                return printed.removesuffix("\n").replace(self._url, URL)
            if serves and line.startswith("listening on "):
                return line.replace(self._url, URL)
            printed += line
        raise AssertionError(f"the shell ended: {printed}")

    def close(self) -> None:
        """End the shell, and what still runs in it."""
        self._bash.communicate("kill $! 2> /dev/null; wait\n", timeout=30)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("page"))
    yield shell
    shell.close()


def pattern(expected: str) -> re.Pattern[str]:
    """Return what an output must be: `...` is the rest of anything, alone in a line any lines."""
    lines = expected.splitlines(keepends=True)
    return re.compile(
        "".join(
            "(?:.*\n)*?" if line == "...\n" else re.escape(line).replace(r"\.\.\.", ".*")
            for line in lines
        )
    )


def test_the_page_is_true(shell: Shell) -> None:
    for command, expected in commands():
        printed = shell.run(command)
        assert pattern(expected).fullmatch(printed), f"$ {command}\n{printed}"


def every_command(group: click.Group = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


@pytest.mark.parametrize("name", [name for name, _ in every_command()])
def test_every_command_is_on_the_page(name: str) -> None:
    assert any(f"stitch-import {name} " in command for command, _ in commands())


@pytest.mark.parametrize(
    ("name", "command"), list(every_command()), ids=lambda each: str(each)[:20]
)
def test_every_help_teaches_by_example(name: str, command: click.Command) -> None:
    """With nothing in the examples that the command does not know."""
    _, _, examples = (command.epilog or "").partition("Examples:\n")
    assert f"stitch-import {name}" in examples
    known = {option for each in command.params for option in each.opts}
    assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", examples)) - {"-r", "-n"} <= known
    assert max(map(len, examples.splitlines())) <= 90
