"""The commands of docs/stitch-import.md, run in one shell: they print the output on the page."""

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
    """Return every command of the page, with its output there."""
    blocks = re.findall(r"^```console\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    found = [found for block in blocks for found in COMMAND.findall(block)]
    return [(command.replace("\n> ", "\n"), output) for command, output in found]


class Shell:
    """One shell for the whole page."""

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
        """Return the output of a command; the local Import API gets a free port."""
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
        """End the shell, and the process that still runs in it."""
        self._bash.communicate("kill $! 2> /dev/null; wait\n", timeout=30)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("page"))
    yield shell
    shell.close()


def pattern(expected: str) -> re.Pattern[str]:
    """Return a pattern for an output: `...` is any text in a line, or alone in a line any lines."""
    lines = expected.splitlines(keepends=True)
    return re.compile(
        "".join(
            "(?:.*\n)*?" if line == "...\n" else re.escape(line).replace(r"\.\.\.", ".*")
            for line in lines
        )
    )


def test_commands_print_the_output_on_the_page(shell: Shell) -> None:
    page = commands()
    assert page
    for command, expected in page:
        printed = shell.run(command)
        assert pattern(expected).fullmatch(printed), f"$ {command}\n{printed}"


def every_command(group: click.Group = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its full name."""
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
def test_every_help_has_valid_examples(name: str, command: click.Command) -> None:
    """The examples use only options that the command has."""
    _, _, examples = (command.epilog or "").partition("Examples:\n")
    assert f"stitch-import {name}" in examples
    known = {option for each in command.params for option in each.opts}
    assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", examples)) - {"-r", "-n"} <= known
    assert max(map(len, examples.splitlines())) <= 90
