"""Runs the `sh` and `console` blocks of a page in bash, as a reader would, and checks the output.

An `sh` block is one command; a `text` block directly after it is its output. In a `console` block a
line that starts with `$ ` is a command, which continues after a backslash and to the end of a here
document; other lines are output. In output, `…` stands for any text.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BLOCK = re.compile(
    r"^```console\n(?P<console>.*?)^```$"
    r"|^```sh\n(?P<sh>.*?)^```$(?:\n\n```text\n(?P<text>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
HERE_DOCUMENT = re.compile(r"<<\s*'(\w+)'")


@dataclass
class Command:
    """One command of a block, with the lines that it must print."""

    text: str
    output: list[str] = field(default_factory=list)


def blocks(page: Path) -> list[list[Command]]:
    """Return the commands of each block of a page; an `sh` block is one command."""
    return [
        _commands(found["console"])
        if found["sh"] is None
        else [Command(found["sh"].rstrip("\n"), (found["text"] or "").splitlines())]
        for found in BLOCK.finditer(page.read_text())
    ]


def _commands(block: str) -> list[Command]:
    commands: list[Command] = []
    lines = iter(block.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            commands[-1].output.append(line)
            continue
        text = line.removeprefix("$ ")
        while text.endswith("\\"):
            text += "\n" + next(lines)
        if here := HERE_DOCUMENT.search(text):
            while not text.endswith(f"\n{here[1]}"):
                text += "\n" + next(lines)
        commands.append(Command(text))
    return commands


def run(command: Command, folder: Path, environment: Mapping[str, str]) -> None:
    """Run a command, which must succeed and print its `output` lines."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.text],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"$ {command.text}\n{done.stdout}"
    printed = done.stdout.splitlines()
    for line in command.output:
        if line.strip("… "):
            pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
            assert any(map(pattern.fullmatch, printed)), f"{line!r} is not in\n{done.stdout}"
