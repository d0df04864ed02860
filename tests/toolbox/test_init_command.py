"""`init`: answers from prompts and options, tested with the local Import API, and written."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from target_stitch_import.toolbox.meltano import requirement
from tests.report.screen import Screen
from tests.support.singer import lines, record, schema, state
from tests.support.target import TARGET, Outcome
from tests.support.toolbox import TOOL, tool

if TYPE_CHECKING:
    from pathlib import Path

    from target_stitch_import.local import ImportApi

NOBODY = "http://127.0.0.1:9"
ADD = "meltano add --plugin-type loader target-stitch-import"
VARIABLE = "TARGET_STITCH_IMPORT_TOKEN"
_ON_TERMINAL = 'exec "$@" < "$0" > "$0" 2>&1'


def environment(token: str | None = None) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return others | ({VARIABLE: token} if token else {})


def init(folder: Path, *options: str, stdin: str = "", token: str | None = None) -> Outcome:
    """Run `init` as a script does, without a terminal."""
    done = subprocess.run(
        [*TOOL, "init", *options],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        env=environment(token),
    )
    assert "Traceback" not in done.stderr
    return Outcome(done.returncode, done.stdout.splitlines(), done.stderr)


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


class Terminal:
    """`init` in a terminal, with a person's answers."""

    def __init__(self, folder: Path, *options: str, token: str | None = None) -> None:
        self.screen = Screen(100)
        self._process = subprocess.Popen(
            ["sh", "-c", _ON_TERMINAL, os.ttyname(self.screen.follower), *TOOL, "init", *options],
            cwd=folder,
            env=environment(token),
            start_new_session=True,  # the terminal that it opens is then its own
        )

    def answer(self, question: str, text: str) -> None:
        """Wait for a prompt, and answer it."""
        self.screen.wait_for(f"(?s){question}")
        self.screen.written = ""
        self.screen.type(text)

    def end(self) -> tuple[int, str]:
        """Return the exit status, and the output since the last answer."""
        status = self._process.wait(60)
        self.screen.close()
        return status, self.screen.written


def test_a_person_is_prompted_until_the_token_is_valid(
    strict_api: ImportApi, tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path, "--api-url", strict_api.url)
    terminal.answer(
        r"app\.eu-central-1\.stitchdata\.com is eu.*Region \(us, eu, local\) \[us\]: $", "eu\n"
    )
    terminal.answer(r"not shown\): $", "no token at all\n")
    terminal.answer(r"Copy the token again\.\s+Try again.*Region [^[]*\[eu\]: $", "\n")
    terminal.answer(r"not shown\): $", "bad\n")
    terminal.answer(r"refused the token.*\[eu\]: $", "us\n")
    terminal.answer(r"not shown\): $", "good\n")
    status, shown = terminal.end()
    assert (status, "good\r" in shown, "The token is valid" in shown) == (0, False, True)
    assert "target-stitch-import --config config.json" in shown
    path = tmp_path / "config.json"
    assert json.loads(path.read_text()) == {
        "region": "us",
        "api_url": strict_api.url,
        "token": "good",
    }
    assert mode(path) == 0o600


def test_given_answers_are_not_prompted_for(strict_api: ImportApi, tmp_path: Path) -> None:
    """After an invalid token, only the token is prompted for again."""
    terminal = Terminal(tmp_path, "--region", "us", "--api-url", strict_api.url)
    terminal.answer(r"^Import API access token \(not shown\): $", "paused\n")
    terminal.answer(r"paused or deleted.*not shown\): $", "good\n")
    assert terminal.end()[0] == 0


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Control-C", "Control-D"])
def test_a_person_may_abort(tmp_path: Path, key: str) -> None:
    terminal = Terminal(tmp_path, "--region", "us")
    terminal.answer(r"not shown\): $", key)
    assert (terminal.end()[0], written(tmp_path)) == (130, set())


def test_nothing_is_asked_for_a_local_service(tmp_path: Path) -> None:
    """The command that it says to run next loads rows."""
    terminal = Terminal(tmp_path)
    terminal.answer(r"Region .*: $", "local\n")
    status, shown = terminal.end()
    assert (status, "token is valid" in shown) == (0, False)
    [step] = [line.strip() for line in shown.splitlines() if " | target-stitch-import " in line]
    assert step == "tap-something | target-stitch-import --config config.json > states.jsonl"
    done = subprocess.run(
        [*TARGET, "--config", "config.json"],
        input=lines([schema(), record(1), state(1)]),
        capture_output=True,
        check=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.stdout == b"1\n"
    assert (tmp_path / "stitch-import.duckdb").exists()


@pytest.mark.parametrize("options", ["", "--meltano", "--token-stdin"])
def test_no_token_is_used_for_a_local_service(tmp_path: Path, options: str) -> None:
    outcome = init(tmp_path, "--region", "local", *options.split(), stdin="good", token="good")  # noqa: S106 - made up
    assert (outcome.status, outcome.log) == (0, "")
    assert outcome.states[0].endswith(" is written. Next:")
    [path] = tmp_path.iterdir()
    assert "good" not in path.read_text()


def test_no_token_is_written_if_the_answer_is_local(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, token="good")  # noqa: S106 - made up
    terminal.answer(r"Region .*: $", "local\n")
    assert terminal.end()[0] == 0
    assert json.loads((tmp_path / "config.json").read_text()) == {"region": "local"}


@pytest.mark.parametrize("source", ["stdin", "environment"])
def test_a_script_gives_the_token_without_showing_it(
    strict_api: ImportApi, tmp_path: Path, source: str
) -> None:
    options = ["--region", "us", "--api-url", strict_api.url, "--output", "mine.json", "--json"]
    if source == "stdin":
        outcome = init(tmp_path, *options, "--token-stdin", stdin="good\n")
    else:
        outcome = init(tmp_path, *options, token="good")  # noqa: S106 - of the test's own service
    assert outcome.status == 0, outcome.log
    answer = json.loads("\n".join(outcome.states))
    assert (answer["path"], answer["tried"]) == ("mine.json", True)
    assert "good" not in outcome.log + "".join(outcome.states)
    assert '"token": "good"' in (tmp_path / "mine.json").read_text()
    assert mode(tmp_path / "mine.json") == 0o600


@pytest.mark.parametrize(
    ("options", "token", "status", "words"),
    [
        ("--region us --api-url {api}", "bad", 77, "refused the token"),
        ("--region us --api-url {api}", "european", 77, "other region"),
        ("--region us --api-url {api}", "two words", 78, "Copy the token again"),
        (f"--region us --api-url {NOBODY}", "good", 69, "With --no-check"),
        ("--region us --api-url http://example.com", "good", 78, "must start with https://"),
        ("--api-url {api}", "good", 78, "Give the region as --region"),
        ("--region us", None, 78, f"Give the token as {VARIABLE}, or with --token-stdin"),
        ("--region us --token-stdin", None, 78, "Setting `token` is empty"),
        (
            "--region us --output none/config.json",
            "good",
            78,
            "Give a path to a readable and writable file",
        ),
        ("--region us --token good", None, 78, "No such option"),
    ],
)
def test_nothing_is_written_if_the_answers_do_not_work(
    strict_api: ImportApi,
    tmp_path: Path,
    *,
    options: str,
    token: str | None,
    status: int,
    words: str,
) -> None:
    outcome = init(tmp_path, *options.format(api=strict_api.url).split(), token=token)
    assert (outcome.status, words in outcome.log) == (status, True), outcome.log
    assert written(tmp_path) == set()


def test_a_token_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    options = ("--region", "us", "--token-stdin", "--output", str(path))
    outcome = tool(tmp_path, "init", *options, stdin=b"\xff\n")
    assert (outcome.status, "Copy the token again" in outcome.log) == (78, True)
    assert not path.exists()


def test_the_option_no_check_skips_the_check_of_the_token(tmp_path: Path) -> None:
    outcome = init(tmp_path, "--region", "eu", "--no-check", token="good")  # noqa: S106 - made up
    assert (outcome.status, "token is valid" in "".join(outcome.states)) == (0, False)
    assert json.loads((tmp_path / "config.json").read_text()) == {"region": "eu", "token": "good"}


@pytest.mark.parametrize("there", ["a file", "an empty file", "a link to nothing", "a folder"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    """The error comes before any prompt."""
    path = tmp_path / "config.json"
    match there:
        case "a file":
            path.write_text('{"token": "old"}')
        case "an empty file":
            path.touch()
        case "a link to nothing":
            path.symlink_to("nothing")
        case "a folder":
            path.mkdir()
    before = path.lstat()
    outcome = init(tmp_path)
    assert (outcome.status, "config.json already exists" in outcome.log) == (78, True)
    assert (path.lstat().st_mtime_ns, path.lstat().st_size) == (before.st_mtime_ns, before.st_size)
    assert written(tmp_path) == {"config.json"}


@pytest.mark.parametrize("before", [None, "OTHER=1", "OTHER=1\n"])
def test_meltano_gets_a_definition_and_the_token_separately(
    strict_api: ImportApi, tmp_path: Path, before: str | None
) -> None:
    if before is not None:
        (tmp_path / ".env").write_text(before)
    options = ("--meltano", "--region", "eu", "--api-url", strict_api.url)
    outcome = init(tmp_path, *options, token="good")  # noqa: S106 - of the test's own service
    assert outcome.status == 0, outcome.log
    assert outcome.states[-2:] == [
        f"  {ADD} --from-ref target-stitch-import.yml",
        "  meltano run tap-something target-stitch-import",
    ]
    text = (tmp_path / "target-stitch-import.yml").read_text()
    values = {each["name"]: each.get("value") for each in yaml.safe_load(text)["settings"]}
    assert (values["region"], values["api_url"]) == ("eu", strict_api.url)
    assert "good" not in text
    start = f"{before.rstrip()}\n" if before else ""
    assert (tmp_path / ".env").read_text() == f"{start}{VARIABLE}=good\n"
    assert mode(tmp_path / ".env") == 0o600


@pytest.mark.parametrize("line", [f"{VARIABLE}=old", f"A=1\nexport {VARIABLE} = 'old'\n"])
def test_an_existing_token_of_meltano_is_kept(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line)
    outcome = init(tmp_path, "--meltano", "--region", "eu", "--no-check", token="good")  # noqa: S106
    assert (outcome.status, f"already sets {VARIABLE}" in outcome.log) == (78, True)
    assert (tmp_path / ".env").read_text() == line
    assert written(tmp_path) == {".env"}


EDITABLE: dict[str, Any] = {"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}}
WHEEL = {"url": "file:///tmp/a.whl", "archive_info": {}}
GIT = {"url": "https://example.com/a.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}


@pytest.mark.parametrize(
    ("origin", "extra", "expected"),
    [
        (None, "", "target-stitch-import==1.2"),
        (None, "local", "target-stitch-import[local]==1.2"),
        (EDITABLE, "local", "-e '/home/me/my clone'[local]"),
        (WHEEL, "", "target-stitch-import@file:///tmp/a.whl"),
        (GIT, "local", "target-stitch-import[local]@git+https://example.com/a.git@abc"),
    ],
    ids=["index", "index with extra", "editable", "wheel", "git"],
)
def test_meltano_installs_what_is_installed(
    origin: dict[str, Any] | None, extra: str, expected: str
) -> None:
    text = None if origin is None else json.dumps(origin)
    assert requirement(text, "1.2", extra) == expected
